//! Whole answers.

use super::error;
use crate::ir::{ApiError, Arguments, Choice, Finish, Part, Response, ToolCall, Usage};
use span_json::{Kind, Text, Value};

pub(super) fn read(root: Value<'_>) -> Result<Response<'_>, ApiError> {
    if root.str_of("type").as_deref() == Some("error") {
        return Err(error::inside(root));
    }
    let content = root.get("content").filter(|content| content.kind() == Kind::Array);
    let content = content.ok_or_else(|| ApiError::unreadable("expected content"))?;
    let parts: Vec<Part<'_>> = content.elements().filter_map(part).collect();
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let (finish, stop_sequence) = finish(root);
    Ok(Response {
        id: root.text_of("id"),
        model: root.text_of("model"),
        created: None,
        choices: vec![Choice { index: 0, parts, finish: finish.with_calls(has_calls), stop_sequence, logprobs: None }],
        usage: root.given("usage").map(|told| {
            let mut all = Usage::default();
            usage(told, &mut all);
            all
        }),
        service_tier: None,
    })
}

fn part(block: Value<'_>) -> Option<Part<'_>> {
    match block.str_of("type")?.as_ref() {
        "text" => Some(Part::Text { text: block.text_of("text")?, cache: None }),
        "thinking" => Some(Part::Thinking {
            text: block.text_of("thinking").unwrap_or_else(|| Text::from("")),
            signature: block.text_of("signature").filter(|signature| !signature.is_empty()),
        }),
        "redacted_thinking" => Some(Part::RedactedThinking { data: block.text_of("data")? }),
        "tool_use" => {
            let input = block.get("input").filter(|input| input.kind() == Kind::Object);
            Some(Part::ToolCall(ToolCall {
                id: block.text_of("id")?,
                name: block.text_of("name")?,
                arguments: Arguments::Object(input.map_or("{}", |input| input.raw())),
                signature: None,
            }))
        }
        // what the provider's own tools did is none of the client's calls
        _ => None,
    }
}

/// Why an answer ends, from what has `stop_reason` and `stop_sequence`.
pub(crate) fn finish(value: Value<'_>) -> (Finish, Option<Text<'_>>) {
    let finish = match value.str_of("stop_reason").as_deref() {
        Some("end_turn" | "pause_turn") => Finish::Stop,
        Some("stop_sequence") => Finish::StopSequence,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::Refusal,
        _ => Finish::Unknown,
    };
    (finish, value.text_of("stop_sequence").filter(|_| finish == Finish::StopSequence))
}

/// What it cost, over what was told before: counts are of the whole so far, and not each is told each time.
pub(crate) fn usage(told: Value<'_>, all: &mut Usage) {
    let number = |name: &str| told.u64_of(name);
    let plain = all.input.saturating_sub(all.cached).saturating_sub(all.cache_write);
    let input = number("input_tokens").unwrap_or(plain);
    all.cached = number("cache_read_input_tokens").unwrap_or(all.cached);
    all.cache_write = number("cache_creation_input_tokens").unwrap_or(all.cache_write);
    all.input = input.saturating_add(all.cached).saturating_add(all.cache_write);
    all.output = number("output_tokens").unwrap_or(all.output);
    let thought = told.at(&["output_tokens_details", "thinking_tokens"]).and_then(|value| value.u64());
    all.reasoning = thought.unwrap_or(all.reasoning).min(all.output);
}
