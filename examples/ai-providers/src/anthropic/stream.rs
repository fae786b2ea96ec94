//! A message as a stream of events.

use super::errors;
use super::reply::{blocks, message, stop_details, stop_reason, usage};
use crate::answer::{Answer, pieces, thirds};
use crate::openai::chat::insert;
use crate::openai::read::string;
use crate::reply::{Reply, Stream};
use crate::{sse, text};
use serde_json::{Value, json};

/// The events, without any framing.
pub fn events(answer: &Answer, model: &str) -> Vec<Value> {
    let mut begun = message(answer, model);
    insert(&mut begun, "content", json!([]));
    insert(&mut begun, "stop_reason", Value::Null);
    insert(&mut begun, "stop_details", Value::Null);
    insert(&mut begun, "usage", usage(answer, 1));
    let mut events = vec![json!({"type": "message_start", "message": begun})];
    for (index, block) in blocks(answer).iter().enumerate() {
        let (opened, deltas) = parts(block, answer);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": opened}));
        if index == 0 {
            events.push(json!({"type": "ping"}));
        }
        events.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "stop_details": stop_details(answer),
    });
    let usage = usage(answer, answer.usage.all_output());
    events.push(json!({"type": "message_delta", "delta": delta, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    events
}

/// A block as it begins, and what is added to it.
fn parts(block: &Value, answer: &Answer) -> (Value, Vec<Value>) {
    let mut opened = block.clone();
    let deltas = match string(block, "type") {
        "thinking" => {
            insert(&mut opened, "thinking", json!(""));
            insert(&mut opened, "signature", json!(""));
            let thought = pieces(string(block, "thinking"));
            let thought = thought.into_iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
            let signature = json!({"type": "signature_delta", "signature": string(block, "signature")});
            thought.chain([signature]).collect()
        }
        "text" => {
            insert(&mut opened, "text", json!(""));
            answer.deltas.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
        }
        "tool_use" => {
            insert(&mut opened, "input", json!({}));
            let whole = block.get("input").map(text::write).unwrap_or_default();
            // a tool without arguments gets no more than an empty piece
            let pieces = if whole == "{}" { Vec::new() } else { thirds(&whole) };
            let pieces = std::iter::once(String::new()).chain(pieces);
            pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect()
        }
        _ => Vec::new(),
    };
    (opened, deltas)
}

/// The error event.
pub fn error(answer: &Answer) -> Value {
    let status = answer.breaks.unwrap_or(529);
    errors::value(status, errors::kind(status).1)
}

/// As server-sent events.
pub fn reply(answer: &Answer, model: &str) -> Reply {
    let framed = |event: &Value| sse::event(string(event, "type"), event);
    let events = events(answer, model).iter().map(framed).collect();
    Reply::stream("text/event-stream; charset=utf-8", Stream::sse(events, framed(&error(answer))))
}
