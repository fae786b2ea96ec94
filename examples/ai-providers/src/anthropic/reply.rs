//! A message, at once.

use crate::answer::{Answer, Finish};
use serde_json::{Map, Value, json};

/// What signs all thinking; a thinking block that comes back must have it.
pub const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

/// Thinking that nobody may read.
pub const REDACTED: &str = "bW9jay1yZWRhY3RlZA==";

/// The id of all messages.
pub const ID: &str = "msg_mock1";

/// The content blocks.
pub fn blocks(answer: &Answer) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thought) = &answer.thought {
        blocks.push(json!({"type": "thinking", "thinking": thought, "signature": SIGNATURE}));
    }
    if answer.redacted {
        blocks.push(json!({"type": "redacted_thinking", "data": REDACTED}));
    }
    if !answer.deltas.is_empty() {
        blocks.push(json!({"type": "text", "text": answer.text()}));
    }
    blocks.extend(answer.calls.iter().map(
        |call| json!({"type": "tool_use", "id": tool_id(call.number), "name": call.name, "input": call.arguments}),
    ));
    blocks
}

/// `toolu_mock1`
pub fn tool_id(number: usize) -> String {
    format!("toolu_mock{number}")
}

/// The stop reason.
pub const fn stop_reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop if answer.refusal => "refusal",
        Finish::Stop => "end_turn",
        Finish::Calls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filter => "refusal",
        Finish::Unknown => "novelty",
    }
}

/// What it cost: input tokens are those that no cache knew.
pub fn usage(answer: &Answer, output: u64) -> Value {
    let members = [
        ("input_tokens", answer.usage.input),
        ("cache_creation_input_tokens", 0),
        ("cache_read_input_tokens", answer.usage.cached),
        ("output_tokens", output),
    ];
    let mut usage: Map<_, _> = members.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    if answer.usage.reasoning > 0 && output == answer.usage.all_output() {
        usage.insert("output_tokens_details".to_owned(), json!({"thinking_tokens": answer.usage.reasoning}));
    }
    usage.into()
}

/// More about why it stopped: only if it declines.
pub fn stop_details(answer: &Answer) -> Value {
    match stop_reason(answer) {
        "refusal" => json!({"type": "refusal", "category": null, "explanation": null}),
        _ => Value::Null,
    }
}

/// The message.
pub fn message(answer: &Answer, model: &str) -> Value {
    let mut usage = usage(answer, answer.usage.all_output());
    crate::openai::chat::insert(&mut usage, "service_tier", json!("standard"));
    json!({
        "id": ID,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks(answer),
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "stop_details": stop_details(answer),
        "usage": usage,
    })
}
