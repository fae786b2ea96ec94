//! Whole answers.

use crate::ir::{ApiError, Arguments, Choice, Finish, Part, Response, ToolCall, Usage};
use span_json::{Kind, Text, Value};

pub(super) fn read(root: Value<'_>) -> Result<Response<'_>, ApiError> {
    let message = root.get("message").filter(|message| message.kind() == Kind::Object);
    let message = message.ok_or_else(|| ApiError::unreadable("expected a message"))?;
    let mut parts = Vec::new();
    if let Some(plan) = message.text_of("tool_plan").filter(|plan| !plan.is_empty()) {
        parts.push(Part::Thinking { text: plan, signature: None });
    }
    match message.given("content") {
        Some(content) if content.kind() == Kind::Array => {
            for block in content.elements() {
                if let Some(text) = block.text_of("thinking") {
                    parts.push(Part::Thinking { text, signature: None });
                } else if let Some(text) = block.text_of("text") {
                    parts.push(Part::text(text));
                }
            }
        }
        Some(content) => parts.extend(content.text().map(Part::text)),
        None => {}
    }
    for call in message.get("tool_calls").iter().flat_map(Value::elements) {
        let Some(function) = call.get("function") else { continue };
        let (Some(id), Some(name)) = (call.text_of("id"), function.text_of("name")) else { continue };
        let arguments = Arguments::Encoded(function.text_of("arguments").unwrap_or_else(|| Text::from("")));
        parts.push(Part::ToolCall(ToolCall { id, name, arguments, signature: None }));
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let finish = finish(root)?.with_calls(has_calls);
    Ok(Response {
        id: root.text_of("id"),
        model: None,
        created: None,
        choices: vec![Choice { index: 0, parts, finish, stop_sequence: None, logprobs: None }],
        usage: root.given("usage").map(usage),
        service_tier: None,
    })
}

/// Why an answer ends; some reasons are errors.
pub(super) fn finish(value: Value<'_>) -> Result<Finish, ApiError> {
    match value.str_of("finish_reason").as_deref() {
        Some("COMPLETE") => Ok(Finish::Stop),
        Some("STOP_SEQUENCE") => Ok(Finish::StopSequence),
        Some("MAX_TOKENS" | "MAX_TOKEN") => Ok(Finish::Length),
        Some("TOOL_CALL") => Ok(Finish::ToolCalls),
        Some("ERROR") => Err(ApiError::new(502, "the provider ended its answer with an error").code("upstream_error")),
        Some("TIMEOUT") => {
            Err(ApiError::new(504, "the provider ended its answer for lack of time").code("upstream_error"))
        }
        _ => Ok(Finish::Unknown),
    }
}

pub(super) fn usage(told: Value<'_>) -> Usage {
    let counts = told.given("tokens").or_else(|| told.given("billed_units"));
    let number = |name: &str| counts.and_then(|counts| counts.u64_of(name)).unwrap_or(0);
    Usage {
        input: number("input_tokens"),
        cached: told.u64_of("cached_tokens").unwrap_or(0),
        cache_write: 0,
        output: number("output_tokens"),
        reasoning: 0,
    }
}
