//! Whole answers.

use super::error;
use crate::ir::{ApiError, Arguments, Choice, Finish, Part, Response, ToolCall, Usage};
use span_json::{Kind, Text, Value};

pub(super) fn read(root: Value<'_>) -> Result<Response<'_>, ApiError> {
    // a stream that was not asked for is an array of one
    let root = if root.kind() == Kind::Array { root.elements().next().unwrap_or(root) } else { root };
    if let Some(error) = error::inside(root) {
        return Err(error);
    }
    let mut choices: Vec<Choice<'_>> = (0..)
        .zip(root.get("candidates").iter().flat_map(Value::elements))
        .map(|(place, candidate)| read_candidate(candidate, place))
        .collect();
    choices.sort_by_key(|choice| choice.index);
    if choices.is_empty() {
        if !is_blocked(root) {
            return Err(ApiError::unreadable("expected candidates"));
        }
        let finish = Finish::ContentFilter;
        choices.push(Choice { index: 0, parts: Vec::new(), finish, stop_sequence: None, logprobs: None });
    }
    Ok(Response {
        id: root.text_of("responseId"),
        model: root.text_of("modelVersion"),
        created: None,
        choices,
        usage: root.given("usageMetadata").map(usage),
        service_tier: None,
    })
}

/// The prompt was refused: there are no candidates then.
pub(super) fn is_blocked(root: Value<'_>) -> bool {
    root.at(&["promptFeedback", "blockReason"]).is_some_and(|reason| !reason.is_null())
}

fn read_candidate(candidate: Value<'_>, place: u32) -> Choice<'_> {
    let parts: Vec<Part<'_>> = parts(candidate).filter_map(part).collect();
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    Choice {
        index: index(candidate).unwrap_or(place),
        finish: finish(candidate).unwrap_or(Finish::Unknown).with_calls(has_calls),
        parts,
        stop_sequence: None,
        logprobs: None,
    }
}

pub(super) fn index(candidate: Value<'_>) -> Option<u32> {
    candidate.u64_of("index").and_then(|index| u32::try_from(index).ok())
}

/// The parts of a candidate.
pub(super) fn parts<'a>(candidate: Value<'a>) -> impl Iterator<Item = Value<'a>> {
    candidate.at(&["content", "parts"]).into_iter().flat_map(|parts| parts.elements())
}

pub(super) fn part(part: Value<'_>) -> Option<Part<'_>> {
    let signature = part.text_of("thoughtSignature");
    if let Some(call) = part.given("functionCall") {
        let arguments = call.get("args").filter(|args| args.kind() == Kind::Object);
        return Some(Part::ToolCall(ToolCall {
            id: call.text_of("id").unwrap_or_else(|| Text::from("")),
            name: call.text_of("name")?,
            arguments: Arguments::Object(arguments.map_or("{}", |arguments| arguments.raw())),
            signature,
        }));
    }
    if let Some(text) = part.text_of("text") {
        return match part.get("thought").and_then(|thought| thought.bool()) {
            Some(true) => Some(Part::Thinking { text, signature }),
            _ => Some(Part::text(text)),
        };
    }
    if let Some(code) = part.at(&["executableCode", "code"]).and_then(|code| code.str()) {
        return Some(Part::text(format!("\n```\n{code}\n```\n")));
    }
    if let Some(output) = part.at(&["codeExecutionResult", "output"]).and_then(|output| output.str()) {
        return Some(Part::text(format!("\n```\n{output}\n```\n")));
    }
    let image = part.given("inlineData")?;
    let (kind, data) = (image.str_of("mimeType")?, image.str_of("data")?);
    Some(Part::text(format!("![image](data:{kind};base64,{data})")))
}

/// Why a candidate ends, if it does.
pub(super) fn finish(candidate: Value<'_>) -> Option<Finish> {
    let reason = candidate.given("finishReason")?.str()?;
    Some(match reason.as_ref() {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "MODEL_ARMOR" => {
            Finish::ContentFilter
        }
        reason if reason.starts_with("IMAGE_") => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE"
        | "OTHER" => Finish::Malformed,
        "FINISH_REASON_UNSPECIFIED" => return None,
        _ => Finish::Unknown,
    })
}

/// What it cost. Counts of a prompt have what was cached in them; those of an answer have not what was thought.
pub(super) fn usage(told: Value<'_>) -> Usage {
    let number = |name: &str| told.u64_of(name).unwrap_or(0);
    let reasoning = number("thoughtsTokenCount");
    Usage {
        input: number("promptTokenCount").saturating_add(number("toolUsePromptTokenCount")),
        cached: number("cachedContentTokenCount"),
        cache_write: 0,
        output: number("candidatesTokenCount").saturating_add(reasoning),
        reasoning,
    }
}
