//! Chat completions as a stream of chunks.

use super::chat::{CREATED, Chat, ID, filter_notes, insert, thinking_part};
use super::errors;
use super::flavour::{Reasoning, StreamUsage};
use super::read;
use crate::answer::{Answer, thirds};
use crate::reply::{Reply, Stream};
use crate::{sse, text};
use serde_json::{Map, Value, json};

/// The stream.
pub fn reply(chat: &Chat<'_>) -> Reply {
    let asked = chat.body.get("stream_options").is_some_and(|options| read::is_true(options, "include_usage"));
    let mut chunks: Vec<Value> = Vec::new();
    if chat.flavour.filter_notes {
        let notes = json!([{"prompt_index": 0, "content_filter_results": filter_notes()}]);
        let mut first = chunk(chat, json!([]));
        insert(&mut first, "id", json!(""));
        insert(&mut first, "object", json!(""));
        insert(&mut first, "created", json!(0));
        insert(&mut first, "model", json!(""));
        insert(&mut first, "prompt_filter_results", notes);
        chunks.push(first);
    }
    // several answers come side by side
    for delta in deltas(chat) {
        for index in 0..chat.choices() {
            chunks.push(chunk(chat, json!([choice(chat, index, &delta)])));
        }
    }
    for index in 0..chat.choices() {
        chunks.push(last(chat, index));
    }
    if chat.flavour.stream_usage != StreamUsage::OnFinish && asked {
        for chunk in &mut chunks {
            insert(chunk, "usage", Value::Null);
        }
        let mut costs = chunk(chat, json!([]));
        insert(&mut costs, "usage", chat.usage());
        chunks.push(costs);
    }
    if chat.flavour.stream_usage == StreamUsage::Groq
        && let Some(first) = chunks.first_mut()
    {
        insert(first, "x_groq", json!({"id": "req_mock1"}));
    }
    let mut events: Vec<_> = chunks.iter().map(sse::data).collect();
    if chat.flavour.keep_alive {
        events.insert(0, b": keep-alive\n\n".to_vec());
    }
    if !chat.prompt.wishes.no_done {
        events.push(sse::done());
    }
    let status = chat.answer.breaks.unwrap_or(500);
    let problem = (chat.flavour.problem)(status, errors::words(status), None, None);
    let error = sse::data(&errors::value(&problem));
    Reply::stream("text/event-stream; charset=utf-8", Stream::sse(events, error))
}

fn chunk(chat: &Chat<'_>, choices: Value) -> Value {
    json!({
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": chat.model,
        "system_fingerprint": "fp_mock",
        "choices": choices,
    })
}

fn choice(chat: &Chat<'_>, index: u64, delta: &Value) -> Value {
    let mut delta = delta.clone();
    if chat.flavour.role_everywhere {
        insert(&mut delta, "role", json!("assistant"));
    }
    let token = delta.get("content").and_then(Value::as_str).filter(|token| !token.is_empty()).map(str::to_owned);
    let logprobs = token.map_or(Value::Null, |token| chat.logprobs(&[token]));
    let mut choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null});
    if chat.flavour.filter_notes {
        insert(&mut choice, "content_filter_results", filter_notes());
    }
    choice
}

/// The chunk that ends an answer.
fn last(chat: &Chat<'_>, index: u64) -> Value {
    let delta = if chat.flavour.whole_calls && !chat.answer.calls.is_empty() {
        let calls = chat.answer.calls.iter().enumerate().map(|(slot, call)| {
            let mut called = chat.called(call);
            insert(&mut called, "index", json!(slot));
            called
        });
        json!({"content": "", "tool_calls": calls.collect::<Vec<_>>()})
    } else {
        json!({})
    };
    let mut ends = choice(chat, index, &delta);
    insert(&mut ends, "finish_reason", json!(chat.finish()));
    let mut chunk = chunk(chat, json!([ends]));
    match chat.flavour.stream_usage {
        StreamUsage::Asked => {}
        StreamUsage::OnFinish => insert(&mut chunk, "usage", chat.usage()),
        StreamUsage::Groq => insert(&mut chunk, "x_groq", json!({"id": "req_mock1", "usage": chat.usage()})),
    }
    chunk
}

/// What each chunk of one answer adds.
fn deltas(chat: &Chat<'_>) -> Vec<Value> {
    let Answer { thought, deltas, refusal, calls, .. } = &chat.answer;
    let first = if calls.is_empty() { json!("") } else { Value::Null };
    let mut all = vec![json!({"role": "assistant", "content": first, "refusal": null})];
    let member = |name: &str, value: Value| Value::Object(Map::from_iter([(name.to_owned(), value)]));
    for part in thought.iter().flat_map(|thought| thirds(thought)) {
        match chat.flavour.reasoning {
            Reasoning::Hidden => {}
            Reasoning::Member(name) => all.push(member(name, json!(part))),
            Reasoning::Part => all.push(member("content", json!([thinking_part(&part)]))),
        }
    }
    let said = if *refusal { "refusal" } else { "content" };
    all.extend(deltas.iter().map(|delta| member(said, json!(delta))));
    let in_pieces = calls.iter().filter(|_| !chat.flavour.whole_calls);
    for (slot, call) in in_pieces.enumerate() {
        let function = json!({"name": call.name, "arguments": ""});
        let opened = json!({"index": slot, "id": chat.tool_id(call), "type": "function", "function": function});
        all.push(json!({"tool_calls": [opened]}));
        for part in thirds(&text::write(&call.arguments)) {
            all.push(json!({"tool_calls": [{"index": slot, "function": {"arguments": part}}]}));
        }
    }
    all
}
