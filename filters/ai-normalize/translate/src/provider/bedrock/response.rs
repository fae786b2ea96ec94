//! Whole answers.

use crate::ir::{ApiError, Arguments, Choice, Finish, Part, Response, ToolCall, Usage};
use crate::provider::AnswerHead;
use span_json::{Kind, Text, Value};

pub(super) fn read<'a>(root: Value<'a>, head: &AnswerHead<'a>) -> Result<Response<'a>, ApiError> {
    let content = root.at(&["output", "message", "content"]).filter(|content| content.kind() == Kind::Array);
    let content = content.ok_or_else(|| ApiError::unreadable("expected output.message.content"))?;
    let parts: Vec<Part<'a>> = content.elements().filter_map(part).collect();
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let finish = finish(root).with_calls(has_calls);
    Ok(Response {
        id: head.header("x-amzn-requestid").map(Text::from),
        model: None,
        created: None,
        choices: vec![Choice { index: 0, parts, finish, stop_sequence: stop_sequence(root), logprobs: None }],
        usage: root.given("usage").map(usage),
        service_tier: None,
    })
}

fn part(block: Value<'_>) -> Option<Part<'_>> {
    if let Some(text) = block.text_of("text") {
        return Some(Part::text(text));
    }
    if let Some(call) = block.given("toolUse") {
        let input = call.get("input").filter(|input| input.kind() == Kind::Object);
        return Some(Part::ToolCall(ToolCall {
            id: call.text_of("toolUseId")?,
            name: call.text_of("name")?,
            arguments: Arguments::Object(input.map_or("{}", |input| input.raw())),
            signature: None,
        }));
    }
    let thought = block.given("reasoningContent")?;
    if let Some(data) = thought.text_of("redactedContent") {
        return Some(Part::RedactedThinking { data });
    }
    let text = thought.get("reasoningText")?;
    Some(Part::Thinking {
        text: text.text_of("text").unwrap_or_else(|| Text::from("")),
        signature: text.text_of("signature"),
    })
}

/// Why an answer ends, from what has `stopReason`.
pub(super) fn finish(root: Value<'_>) -> Finish {
    match root.str_of("stopReason").as_deref() {
        Some("end_turn") => Finish::Stop,
        Some("stop_sequence") => Finish::StopSequence,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("guardrail_intervened" | "content_filtered") => Finish::ContentFilter,
        Some("malformed_model_output" | "malformed_tool_use") => Finish::Malformed,
        _ => Finish::Unknown,
    }
}

/// Claude's models tell it among the model's own fields, if they are asked for those.
pub(super) fn stop_sequence<'a>(root: Value<'a>) -> Option<Text<'a>> {
    root.at(&["additionalModelResponseFields", "stop_sequence"])?.text()
}

/// What it cost. Counts do not include each other.
pub(super) fn usage(told: Value<'_>) -> Usage {
    let number = |name: &str| told.u64_of(name).unwrap_or(0);
    let (cached, cache_write) = (number("cacheReadInputTokens"), number("cacheWriteInputTokens"));
    Usage {
        input: number("inputTokens").saturating_add(cached).saturating_add(cache_write),
        cached,
        cache_write,
        output: number("outputTokens"),
        reasoning: 0,
    }
}
