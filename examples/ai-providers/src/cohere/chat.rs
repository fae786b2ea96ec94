//! Chat: the request is checked and read, and answered at once.

use super::errors::{self, refuse};
use super::{RULES, body_of, shapes, stream, with_headers};
use crate::answer::{Answer, Finish, ToolUse};
use crate::call::Call;
use crate::media::{Media, Sort};
use crate::openai::chat::insert;
use crate::openai::read::{array, is_true, string, text, tool};
use crate::openai::rules::is_name;
use crate::prompt::{Choice, Format, Prompt};
use crate::reply::{Refused, Reply};
use crate::text as json_text;
use serde_json::{Value, json};

/// Why it calls tools.
pub const PLAN: &str = "I will use the tools.";

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    shapes::CHAT.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    check(&body)?;
    let prompt = prompt(call, &body);
    let answer = Answer::to(&prompt);
    let reply = if prompt.stream { stream::reply(&answer) } else { Reply::json(200, &whole(&answer)) };
    Ok(with_headers(reply.wishing(&prompt.wishes)))
}

fn check(body: &Value) -> Result<(), Refused> {
    let model = string(body, "model");
    if model.contains("missing") {
        return Err(Box::new(errors::problem(
            404,
            &format!("model '{model}' not found, make sure the correct model ID was used"),
        )));
    }
    let tools = array(body, "tools");
    if body.get("tool_choice").is_some_and(|choice| !choice.is_null()) && tools.is_empty() {
        return refuse("invalid request: tool_choice can only be specified if tools are");
    }
    if body.pointer("/response_format/type").is_some_and(|kind| kind == "json_object") && !tools.is_empty() {
        return refuse("invalid request: response_format is not supported with tools");
    }
    if let Some(tool) = tools
        .iter()
        .find(|tool| !is_name(tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default(), 64))
    {
        return refuse(format!(
            "invalid request: tool name {} is invalid",
            tool.pointer("/function/name").unwrap_or(&Value::Null)
        ));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in array(body, "messages").iter().enumerate() {
        if string(message, "role") == "tool" {
            let id = string(message, "tool_call_id");
            match open.iter().position(|open| *open == id) {
                Some(found) => drop(open.remove(found)),
                None => return refuse(format!("invalid request: tool call id not found in previous tool calls: {id}")),
            }
            continue;
        }
        if !open.is_empty() {
            break;
        }
        let calls = array(message, "tool_calls");
        if string(message, "role") == "assistant" && calls.is_empty() && text(message).is_empty() {
            return refuse(format!("invalid request: message at index {index} must have content or tool calls"));
        }
        open = calls.iter().map(|call| string(call, "id")).collect();
    }
    if !open.is_empty() {
        return refuse(format!("invalid request: missing tool results for tool calls with ids: {open:?}"));
    }
    match array(body, "messages").last().map(|last| string(last, "role")) {
        Some("user" | "tool") => Ok(()),
        _ => refuse("invalid request: the last message must be from the user or a tool"),
    }
}

fn prompt(call: &Call, body: &Value) -> Prompt {
    let messages = array(body, "messages");
    let last = messages.iter().rfind(|message| string(message, "role") == "user");
    let trailing = messages.iter().rev().take_while(|message| string(message, "role") == "tool");
    let mut results: Vec<_> = trailing.map(result).collect();
    results.reverse();
    let format = body.get("response_format").unwrap_or(&Value::Null);
    let schema = ["schema", "json_schema"].iter().find_map(|name| format.get(name));
    let prompt = Prompt {
        model: string(body, "model").to_owned(),
        system: messages.iter().filter(|message| string(message, "role") == "system").map(text).collect(),
        user: last.map(text).unwrap_or_default(),
        media: last.map(|message| array(message, "content").iter().filter_map(media).collect()).unwrap_or_default(),
        results,
        calls_before: messages.iter().map(|message| array(message, "tool_calls").len()).sum(),
        tools: array(body, "tools").iter().filter_map(|tool| tool.get("function")).map(tool).collect(),
        choice: match string(body, "tool_choice") {
            "NONE" => Choice::None,
            "REQUIRED" => Choice::Any,
            _ => Choice::Auto,
        },
        one_call: false,
        format: match (schema, string(format, "type")) {
            (Some(schema), _) => Format::Schema(schema.clone()),
            (None, "json_object") => Format::Json,
            _ => Format::Text,
        },
        thinks: body.pointer("/thinking/type").is_some_and(|kind| kind == "enabled"),
        stream: is_true(body, "stream"),
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

/// The text of a result, or the data of its documents.
fn result(message: &Value) -> String {
    let documents = array(message, "content").iter().filter_map(|part| part.pointer("/document/data"));
    let told = documents.map(|data| data.as_str().map_or(data.to_string(), str::to_owned));
    format!("{}{}", text(message), told.collect::<String>())
}

fn media(part: &Value) -> Option<Media> {
    Media::url(Sort::Image, string(part.get("image_url")?, "url"))
}

/// A call of a tool.
pub fn called(call: &ToolUse) -> Value {
    let function = json!({"name": call.name, "arguments": json_text::write(&call.arguments)});
    json!({"id": format!("{}_mock{}", call.name, call.number), "type": "function", "function": function})
}

/// The finish reason.
pub const fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop => "COMPLETE",
        Finish::Calls => "TOOL_CALL",
        Finish::Length => "MAX_TOKENS",
        Finish::Filter => "ERROR_TOXIC",
        Finish::Unknown => "NOVELTY",
    }
}

/// What it cost.
pub fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "billed_units": {"input_tokens": usage.input, "output_tokens": usage.all_output()},
        "tokens": {"input_tokens": usage.all_input(), "output_tokens": usage.all_output()},
        "cached_tokens": usage.cached,
    })
}

fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if let Some(thought) = &answer.thought {
        content.push(json!({"type": "thinking", "thinking": thought}));
    }
    if !answer.deltas.is_empty() {
        content.push(json!({"type": "text", "text": answer.text()}));
    }
    let mut message = json!({"role": "assistant"});
    if !content.is_empty() {
        insert(&mut message, "content", json!(content));
    }
    if !answer.calls.is_empty() {
        insert(&mut message, "tool_plan", json!(PLAN));
        insert(&mut message, "tool_calls", answer.calls.iter().map(called).collect());
    }
    json!({"id": "mock1", "message": message, "finish_reason": finish(answer), "usage": usage(answer)})
}
