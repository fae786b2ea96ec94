//! Reading a whole answer.

use super::{error, forward_answer, usage};
use crate::ir::{ApiError, Arguments, Choice, Finish, Part, Response, ToolCall};
use span_json::{Kind, Text, Value};

pub(super) fn response(root: Value<'_>) -> Result<Response<'_>, ApiError> {
    if let Some(error) = error::inside(root) {
        return Err(error);
    }
    let choices = root.get("choices").filter(|choices| choices.kind() == Kind::Array);
    let choices = choices.ok_or_else(|| ApiError::unreadable("expected choices"))?;
    Ok(Response {
        id: root.text_of("id"),
        model: root.text_of("model"),
        created: root.u64_of("created"),
        choices: (0..)
            .zip(choices.elements())
            .map(|(place, choice)| read_choice(choice, place))
            .collect::<Result<_, _>>()?,
        usage: usage::find(root).map(usage::read),
        service_tier: root.text_of("service_tier"),
    })
}

fn read_choice(choice: Value<'_>, place: u32) -> Result<Choice<'_>, ApiError> {
    if let Some(error) = error::of_choice(choice) {
        return Err(error);
    }
    let mut parts = Vec::new();
    let message = choice.given("message");
    let text = |name: &str| message.and_then(|message| message.text_of(name)).filter(|text| !text.is_empty());
    if let Some(text) = text("reasoning_content").or_else(|| text("reasoning")) {
        parts.push(Part::Thinking { text, signature: None });
    }
    match message.and_then(|message| message.given("content")) {
        Some(content) if content.kind() == Kind::Array => {
            let (said, thought) = forward_answer::split(content);
            parts.extend(thought.into_iter().map(|text| Part::Thinking { text, signature: None }));
            parts.extend(said.into_iter().map(Part::text));
        }
        Some(content) => parts.extend(content.text().map(Part::text)),
        None => {}
    }
    parts.extend(text("refusal").map(Part::Refusal));
    let calls = message.and_then(|message| message.get("tool_calls"));
    parts.extend(calls.iter().flat_map(Value::elements).filter_map(call).map(Part::ToolCall));
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let (finish, stop_sequence) = finish(choice);
    Ok(Choice {
        index: choice.u64_of("index").and_then(|index| u32::try_from(index).ok()).unwrap_or(place),
        parts,
        finish: finish.with_calls(has_calls),
        stop_sequence,
        logprobs: choice.given("logprobs"),
    })
}

fn call(call: Value<'_>) -> Option<ToolCall<'_>> {
    let function = call.get("function")?;
    let arguments = match function.given("arguments") {
        Some(value) if value.kind() == Kind::Object => Arguments::Object(value.raw()),
        Some(value) => Arguments::Encoded(value.text()?),
        None => Arguments::Encoded(Text::from("")),
    };
    let id = call.text_of("id").unwrap_or_else(|| Text::from(""));
    let signature = call.at(&["extra_content", "google", "thought_signature"]).and_then(|value| value.text());
    Some(ToolCall { id, name: function.text_of("name")?, arguments, signature })
}

/// Why a choice ends, and the text that ended it where servers tell (vLLM's `stop_reason`, SGLang's `matched_stop`).
pub(super) fn finish(choice: Value<'_>) -> (Finish, Option<Text<'_>>) {
    let stop = choice.text_of("stop_reason").or_else(|| choice.text_of("matched_stop"));
    let finish = match choice.str_of("finish_reason").as_deref() {
        Some("stop") if stop.is_some() => Finish::StopSequence,
        Some("stop") => Finish::Stop,
        Some("length" | "model_length" | "max_tokens" | "insufficient_system_resource") => Finish::Length,
        Some("tool_calls" | "function_call" | "tool_use") => Finish::ToolCalls,
        Some("content_filter" | "safety") => Finish::ContentFilter,
        _ => Finish::Unknown,
    };
    (finish, stop.filter(|_| finish == Finish::StopSequence))
}
