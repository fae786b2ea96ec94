//! A response as a stream: its items grow, then it is told whole.

use super::chat::insert;
use super::errors;
use super::flavour::Flavour;
use super::read::{array, string};
use crate::answer::{Answer, pieces, thirds};
use crate::reply::{Reply, Stream};
use crate::sse;
use serde_json::{Value, json};

/// Events with their numbers.
#[derive(Default)]
struct Events(Vec<Vec<u8>>);

impl Events {
    fn add(&mut self, kind: &str, mut event: Value) {
        insert(&mut event, "type", json!(kind));
        insert(&mut event, "sequence_number", json!(self.0.len()));
        self.0.push(sse::event(kind, &event));
    }
}

/// The stream of a response.
pub fn reply(flavour: &Flavour, whole: &Value, answer: &Answer) -> Reply {
    let mut begun = whole.clone();
    insert(&mut begun, "status", json!("in_progress"));
    insert(&mut begun, "output", json!([]));
    insert(&mut begun, "usage", Value::Null);
    insert(&mut begun, "incomplete_details", Value::Null);
    let mut events = Events::default();
    events.add("response.created", json!({"response": begun}));
    events.add("response.in_progress", json!({"response": begun}));
    for (index, item) in array(whole, "output").iter().enumerate() {
        let mut opened = item.clone();
        for (name, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
            if item.get(name).is_some() {
                insert(&mut opened, name, empty);
            }
        }
        if item.get("status").is_some() {
            insert(&mut opened, "status", json!("in_progress"));
        }
        events.add("response.output_item.added", json!({"output_index": index, "item": opened}));
        match string(item, "type") {
            "reasoning" => summary(&mut events, index, item),
            "message" => message(&mut events, index, item, answer),
            _ => arguments(&mut events, index, item),
        }
        events.add("response.output_item.done", json!({"output_index": index, "item": item}));
    }
    events.add(&format!("response.{}", string(whole, "status")), json!({"response": whole}));
    let mut failed = begun;
    insert(&mut failed, "status", json!("failed"));
    let status = answer.breaks.unwrap_or(500);
    let problem = errors::value(&(flavour.problem)(status, errors::words(status), None, None));
    let code = if status == 429 { "rate_limit_exceeded" } else { "server_error" };
    let message = problem.pointer("/error/message").cloned().unwrap_or_default();
    insert(&mut failed, "error", json!({"code": code, "message": message}));
    let error = json!({"type": "response.failed", "sequence_number": events.0.len() / 2, "response": failed});
    let stream = Stream::sse(events.0, sse::event("response.failed", &error));
    Reply::stream("text/event-stream; charset=utf-8", stream)
}

fn summary(events: &mut Events, index: usize, item: &Value) {
    for part in array(item, "summary") {
        let place = |member: &str, value: Value| {
            let mut event = json!({"item_id": item["id"], "output_index": index, "summary_index": 0});
            insert(&mut event, member, value);
            event
        };
        let empty = json!({"type": "summary_text", "text": ""});
        events.add("response.reasoning_summary_part.added", place("part", empty));
        for piece in pieces(string(part, "text")) {
            events.add("response.reasoning_summary_text.delta", place("delta", json!(piece)));
        }
        events.add("response.reasoning_summary_text.done", place("text", part["text"].clone()));
        events.add("response.reasoning_summary_part.done", place("part", part.clone()));
    }
}

fn message(events: &mut Events, index: usize, item: &Value, answer: &Answer) {
    for part in array(item, "content") {
        let kind = string(part, "type");
        let member = if kind == "refusal" { "refusal" } else { "text" };
        let mut empty = part.clone();
        insert(&mut empty, member, json!(""));
        let place = |member: &str, value: Value| {
            let mut event = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
            insert(&mut event, member, value);
            if kind != "refusal" && member != "part" {
                insert(&mut event, "logprobs", json!([]));
            }
            event
        };
        events.add("response.content_part.added", place("part", empty));
        for delta in &answer.deltas {
            events.add(&format!("response.{kind}.delta"), place("delta", json!(delta)));
        }
        events.add(&format!("response.{kind}.done"), place(member, part[member].clone()));
        events.add("response.content_part.done", place("part", part.clone()));
    }
}

fn arguments(events: &mut Events, index: usize, item: &Value) {
    let whole = string(item, "arguments");
    for delta in thirds(whole) {
        let event = json!({"item_id": item["id"], "output_index": index, "delta": delta});
        events.add("response.function_call_arguments.delta", event);
    }
    let event = json!({"item_id": item["id"], "output_index": index, "name": item["name"], "arguments": whole});
    events.add("response.function_call_arguments.done", event);
}
