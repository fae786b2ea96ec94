//! Answers of Converse: at once, or as frames.

use super::{errors, frames};
use crate::answer::{Answer, Finish, pieces, thirds};
use crate::anthropic::reply::{REDACTED, SIGNATURE};
use crate::openai::chat::insert;
use crate::reply::{Reply, Stream};
use crate::text;
use serde_json::{Value, json};

/// The media type of a stream.
pub const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// `tooluse_mock1`
pub fn tool_id(number: usize) -> String {
    format!("tooluse_mock{number}")
}

const fn stop_reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop => "end_turn",
        Finish::Calls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Filter => "content_filtered",
        Finish::Unknown => "novelty",
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "inputTokens": usage.input,
        "outputTokens": usage.all_output(),
        "totalTokens": usage.all_input() + usage.all_output(),
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": 0,
    })
}

/// The answer at once.
pub fn whole(answer: &Answer) -> Reply {
    let mut content = Vec::new();
    if let Some(thought) = &answer.thought {
        content.push(json!({"reasoningContent": {"reasoningText": {"text": thought, "signature": SIGNATURE}}}));
    }
    if answer.redacted {
        content.push(json!({"reasoningContent": {"redactedContent": REDACTED}}));
    }
    if !answer.deltas.is_empty() {
        content.push(json!({"text": answer.text()}));
    }
    content.extend(answer.calls.iter().map(
        |call| json!({"toolUse": {"toolUseId": tool_id(call.number), "name": call.name, "input": call.arguments}}),
    ));
    Reply::json(
        200,
        &json!({
            "metrics": {"latencyMs": 5},
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop_reason(answer),
            "usage": usage(answer),
        }),
    )
}

/// The answer as frames.
pub fn stream(answer: &Answer) -> Reply {
    let mut events = vec![event("messageStart", json!({"role": "assistant"}))];
    let mut index = 0;
    let mut add = |start: Option<Value>, deltas: Vec<Value>| {
        if let Some(start) = start {
            events.push(event("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
        }
        for delta in deltas {
            events.push(event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta})));
        }
        events.push(event("contentBlockStop", json!({"contentBlockIndex": index})));
        index += 1;
    };
    if let Some(thought) = &answer.thought {
        let parts = pieces(thought).into_iter().map(|piece| json!({"reasoningContent": {"text": piece}}));
        add(None, parts.chain([json!({"reasoningContent": {"signature": SIGNATURE}})]).collect());
    }
    if answer.redacted {
        add(None, vec![json!({"reasoningContent": {"redactedContent": REDACTED}})]);
    }
    // a text has no start of its own
    if !answer.deltas.is_empty() {
        add(None, answer.deltas.iter().map(|delta| json!({"text": delta})).collect());
    }
    for call in &answer.calls {
        let start = json!({"toolUse": {"toolUseId": tool_id(call.number), "name": call.name}});
        let whole = text::write(&call.arguments);
        let parts = if whole == "{}" { Vec::new() } else { thirds(&whole) };
        add(Some(start), parts.into_iter().map(|part| json!({"toolUse": {"input": part}})).collect());
    }
    events.push(event("messageStop", json!({"stopReason": stop_reason(answer)})));
    events.push(event("metadata", json!({"usage": usage(answer), "metrics": {"latencyMs": 5}})));
    Reply::stream(EVENT_STREAM, framed(events, "contentBlockDelta", answer))
}

/// An event, with the padding that hides its length.
fn event(kind: &str, mut payload: Value) -> Vec<u8> {
    insert(&mut payload, "p", json!("abcdefghij"));
    frames::event(kind, &payload)
}

/// Frames, with those that are sent when something is to go wrong.
pub fn framed(events: Vec<Vec<u8>>, kind: &str, answer: &Answer) -> Stream {
    // the same exceptions as before a stream, but with a small letter; and one that only streams have
    let (exception, payload) = match answer.breaks {
        None | Some(424) => {
            ("modelStreamErrorException".to_owned(), json!({"message": errors::kind(424).1, "originalStatusCode": 500}))
        }
        Some(status) => {
            let (name, message) = errors::kind(status);
            let first = name.chars().next().map(|letter| letter.to_ascii_lowercase());
            (first.into_iter().chain(name.chars().skip(1)).collect(), json!({"message": message}))
        }
    };
    Stream { events, error: frames::exception(&exception, &payload), garbage: frames::garbage(kind) }
}
