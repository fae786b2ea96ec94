//! A chat as a stream of events.

use super::chat::{PLAN, called, finish, usage};
use super::errors;
use crate::answer::{Answer, pieces, thirds};
use crate::openai::chat::insert;
use crate::openai::read::string;
use crate::reply::{Reply, Stream};
use crate::{sse, text};
use serde_json::{Value, json};

/// The stream.
pub fn reply(answer: &Answer) -> Reply {
    let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut events = vec![json!({"type": "message-start", "id": "mock1", "delta": {"message": message}})];
    let mut index = 0;
    let mut content = |kind: &str, parts: &[String]| {
        let open = json!({"message": {"content": {"type": kind, kind: ""}}});
        let mut all = vec![json!({"type": "content-start", "index": index, "delta": open})];
        all.extend(parts.iter().map(
            |part| json!({"type": "content-delta", "index": index, "delta": {"message": {"content": {kind: part}}}}),
        ));
        all.push(json!({"type": "content-end", "index": index}));
        index += 1;
        all
    };
    if let Some(thought) = &answer.thought {
        events.extend(content("thinking", &pieces(thought)));
    }
    if !answer.deltas.is_empty() {
        events.extend(content("text", &answer.deltas));
    }
    if !answer.calls.is_empty() {
        let plan = pieces(PLAN).into_iter();
        events.extend(plan.map(|part| json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": part}}})));
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let mut opened = called(call);
        insert(&mut opened, "function", json!({"name": call.name, "arguments": ""}));
        events.push(json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": opened}}}));
        events.extend(thirds(&text::write(&call.arguments)).into_iter().map(|part| {
            let calls = json!({"function": {"arguments": part}});
            json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls": calls}}})
        }));
        events.push(json!({"type": "tool-call-end", "index": index}));
    }
    events.push(json!({"type": "message-end", "delta": {"finish_reason": finish(answer), "usage": usage(answer)}}));
    let framed = |event: &Value| sse::event(string(event, "type"), event);
    let mut framed_events: Vec<_> = events.iter().map(framed).collect();
    framed_events.push(sse::done());
    let error = json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": errors::words(answer.breaks.unwrap_or(500))}});
    Reply::stream("text/event-stream", Stream::sse(framed_events, framed(&error)))
}
