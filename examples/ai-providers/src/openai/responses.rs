//! The responses interface: items in, items out.

use super::chat::{CREATED, read_body};
use super::flavour::Flavour;
use super::read::{array, is_true, string};
use super::responses_stream;
use crate::answer::{Answer, Finish, THOUGHT};
use crate::call::Call;
use crate::media::{Media, Sort};
use crate::prompt::{Choice, Format, Prompt};
use crate::reply::{Refused, Reply};
use crate::shape::{Shape, may, must};
use crate::text;
use serde_json::{Value, json};

static CONTENT: Shape = Shape::Tagged(
    "type",
    &[
        ("input_text", &[must("text", &Shape::Text)]),
        ("input_image", &[may("image_url", &Shape::Filled), may("file_id", &Shape::Text), may("detail", &Shape::Text)]),
        ("input_file", &[may("file_data", &Shape::Text), may("file_id", &Shape::Text), may("filename", &Shape::Text)]),
        ("output_text", &[must("text", &Shape::Text), may("annotations", &Shape::Any), may("logprobs", &Shape::Any)]),
        ("refusal", &[must("refusal", &Shape::Text)]),
    ],
);
static CONTENTS: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&CONTENT, 0, 4096)]);
static BODY: Shape = Shape::Record(&[
    must("model", &Shape::Filled),
    must("input", &Shape::Either(&[&Shape::Text, &Shape::List(&Shape::Object, 1, 4096)])),
    may("access_programs", &Shape::Any),
    may("background", &Shape::Bool),
    may("background_options", &Shape::Object),
    may("context_management", &Shape::Any),
    may("conversation", &Shape::Any),
    may("image", &Shape::Any),
    may("include", &Shape::List(&Shape::Text, 0, 16)),
    may("instructions", &Shape::Text),
    may("max_output_tokens", &Shape::Integer(16, i64::MAX)),
    may("max_tool_calls", &Shape::Integer(1, i64::MAX)),
    may("metadata", &Shape::Map(&Shape::Text)),
    may("moderation", &Shape::Object),
    may("parallel_tool_calls", &Shape::Bool),
    may("previous_response_id", &Shape::Text),
    may("prompt", &Shape::Object),
    may("prompt_cache_key", &Shape::Text),
    may("prompt_cache_options", &Shape::Object),
    may("prompt_cache_retention", &Shape::Text),
    may("reasoning", &REASONING),
    may("safety_identifier", &Shape::Text),
    may("service_tier", &Shape::Text),
    may("store", &Shape::Bool),
    may("stream", &Shape::Bool),
    may("stream_options", &Shape::Object),
    may("temperature", &Shape::Number(0.0, 2.0)),
    may("text", &TEXT),
    may("tool_choice", &Shape::Either(&[&Shape::Word(&["none", "auto", "required"]), &Shape::Object])),
    may("tools", &Shape::List(&TOOL, 0, 128)),
    may("top_logprobs", &Shape::Integer(0, 20)),
    may("top_p", &Shape::Number(0.0, 1.0)),
    may("truncation", &Shape::Word(&["auto", "disabled"])),
    may("user", &Shape::Text),
]);
static REASONING: Shape = Shape::Record(&[
    may("effort", &Shape::Word(&["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    may("summary", &Shape::Word(&["auto", "concise", "detailed"])),
    may("generate_summary", &Shape::Text),
    may("context", &Shape::Word(&["auto", "current_turn", "all_turns"])),
    may("mode", &Shape::Text),
]);
static TEXT: Shape = Shape::Record(&[may("format", &FORMAT), may("verbosity", &Shape::Text)]);
static FORMAT: Shape = Shape::Tagged(
    "type",
    &[
        ("text", &[]),
        ("json_object", &[]),
        (
            "json_schema",
            &[
                must("name", &Shape::Filled),
                must("schema", &Shape::Object),
                may("strict", &Shape::Bool),
                may("description", &Shape::Text),
            ],
        ),
    ],
);
static TOOL: Shape = Shape::Tagged(
    "type",
    &[(
        "function",
        &[
            must("name", &Shape::Filled),
            may("parameters", &Shape::Object),
            may("strict", &Shape::Bool),
            may("description", &Shape::Text),
        ],
    )],
);

/// Answers a request.
pub fn answer(flavour: &Flavour, call: &Call) -> Result<Reply, Refused> {
    let body = read_body(flavour, call)?;
    BODY.check(&body, flavour.rules).map_err(|fault| Box::new((flavour.fault)(&fault)))?;
    items(flavour, &body)?;
    let model = string(&body, "model");
    if model.contains("missing") {
        let message = format!("The requested model '{model}' does not exist.");
        return flavour.refuse(400, &message, Some("model"), Some("model_not_found"));
    }
    let prompt = prompt(call, &body);
    let answer = Answer::to(&prompt);
    let whole = whole(&body, &answer);
    let reply =
        if prompt.stream { responses_stream::reply(flavour, &whole, &answer) } else { Reply::json(200, &whole) };
    Ok(flavour.finish(reply.wishing(&prompt.wishes)))
}

fn inputs(body: &Value) -> Vec<Value> {
    match body.get("input") {
        Some(Value::String(text)) => vec![json!({"role": "user", "content": text})],
        _ => array(body, "input").to_vec(),
    }
}

/// Each item is of a known kind, and each output belongs to a call.
fn items(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let mut open: Vec<String> = Vec::new();
    for (index, item) in inputs(body).iter().enumerate() {
        let at = format!("input[{index}]");
        let refuse = |message: String| flavour.refuse(400, &message, Some(&at), Some("invalid_value"));
        let id = string(item, "call_id");
        match string(item, "type") {
            "" | "message" => {
                if !["user", "assistant", "system", "developer"].contains(&string(item, "role")) {
                    return refuse(format!("Invalid value for '{at}.role'."));
                }
                CONTENTS.check(item.get("content").unwrap_or(&Value::Null), flavour.rules).map_err(|mut fault| {
                    let steps = ["input".to_owned(), "content".to_owned()].map(crate::shape::Step::Name);
                    fault.path.splice(0..0, steps);
                    Box::new((flavour.fault)(&fault))
                })?;
            }
            "function_call" if id.is_empty() || item.get("arguments").and_then(Value::as_str).is_none() => {
                return refuse(format!("Missing required parameter: '{at}.call_id' or '{at}.arguments'."));
            }
            "function_call" => open.push(id.to_owned()),
            "function_call_output" => match open.iter().position(|open| open == id) {
                Some(found) => drop(open.remove(found)),
                None => return refuse(format!("No tool call found for function call output with call_id {id}.")),
            },
            "reasoning" | "item_reference" => {}
            other => return refuse(format!("Invalid value: '{other}'.")),
        }
    }
    match open.first() {
        Some(id) => flavour.refuse(400, &format!("No tool output found for function call {id}."), Some("input"), None),
        None => Ok(()),
    }
}

fn text_of(item: &Value) -> String {
    match item.get("content").or_else(|| item.get("output")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().map(|part| string(part, "text")).collect(),
        _ => String::new(),
    }
}

fn prompt(call: &Call, body: &Value) -> Prompt {
    let items = inputs(body);
    let of = |role: &'static [&str]| items.iter().filter(move |item| role.contains(&string(item, "role")));
    let last = of(&["user"]).next_back();
    let trailing = items.iter().rev().take_while(|item| string(item, "type") == "function_call_output");
    let mut results: Vec<_> = trailing.map(text_of).collect();
    results.reverse();
    let instructions = body.get("instructions").and_then(Value::as_str).map(str::to_owned);
    let format = body.pointer("/text/format").unwrap_or(&Value::Null);
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    let media = last.map(|item| array(item, "content")).unwrap_or_default().iter().filter_map(|part| {
        match string(part, "type") {
            "input_image" => Media::url(Sort::Image, string(part, "image_url")),
            "input_file" => Media::url(Sort::File, string(part, "file_data")),
            _ => None,
        }
    });
    let prompt = Prompt {
        model: string(body, "model").to_owned(),
        system: instructions.into_iter().chain(of(&["system", "developer"]).map(text_of)).collect(),
        user: last.map(text_of).unwrap_or_default(),
        media: media.collect(),
        results,
        calls_before: items.iter().filter(|item| string(item, "type") == "function_call").count(),
        tools: array(body, "tools").iter().map(super::read::tool).collect(),
        choice: match choice.as_str() {
            Some("none") => Choice::None,
            Some("required") => Choice::Any,
            _ if string(choice, "type") == "function" => Choice::Named(string(choice, "name").to_owned()),
            _ => Choice::Auto,
        },
        one_call: body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
        format: match string(format, "type") {
            "json_object" => Format::Json,
            "json_schema" => Format::Schema(format.get("schema").cloned().unwrap_or_default()),
            _ => Format::Text,
        },
        thinks: body.pointer("/reasoning/effort").and_then(Value::as_str).is_some_and(|effort| effort != "none"),
        stream: is_true(body, "stream"),
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

fn whole(body: &Value, answer: &Answer) -> Value {
    let mut output = Vec::new();
    if answer.thought.is_some() {
        let summary = json!([{"type": "summary_text", "text": THOUGHT}]);
        output.push(json!({"id": "rs_mock1", "type": "reasoning", "summary": summary}));
    }
    if answer.calls.is_empty() {
        let said = answer.text();
        let content = if answer.refusal {
            json!({"type": "refusal", "refusal": said})
        } else {
            json!({"type": "output_text", "text": said, "annotations": [], "logprobs": []})
        };
        let status = if answer.finish == Finish::Stop { "completed" } else { "incomplete" };
        output.push(
            json!({"id": "msg_mock1", "type": "message", "status": status, "role": "assistant", "content": [content]}),
        );
    }
    output.extend(answer.calls.iter().map(|call| {
        json!({
            "id": format!("fc_mock{}", call.number),
            "type": "function_call",
            "status": "completed",
            "call_id": super::tool_id(call.number),
            "name": call.name,
            "arguments": text::write(&call.arguments),
        })
    }));
    let (status, reason) = match answer.finish {
        Finish::Stop | Finish::Calls => ("completed", None),
        Finish::Length => ("incomplete", Some("max_output_tokens")),
        Finish::Filter => ("incomplete", Some("content_filter")),
        Finish::Unknown => ("incomplete", Some("novelty")),
    };
    let member = |name: &str, usual: Value| body.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(usual);
    let usage = answer.usage;
    json!({
        "id": "resp_mock1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": reason.map(|reason| json!({"reason": reason})),
        "instructions": member("instructions", Value::Null),
        "max_output_tokens": member("max_output_tokens", Value::Null),
        "model": member("model", Value::Null),
        "output": output,
        "parallel_tool_calls": member("parallel_tool_calls", json!(true)),
        "previous_response_id": null,
        "reasoning": member("reasoning", json!({"effort": null, "summary": null})),
        "store": member("store", json!(true)),
        "temperature": member("temperature", json!(1.0)),
        "text": member("text", json!({"format": {"type": "text"}})),
        "tool_choice": member("tool_choice", json!("auto")),
        "tools": member("tools", json!([])),
        "top_p": member("top_p", json!(1.0)),
        "truncation": member("truncation", json!("disabled")),
        "usage": {
            "input_tokens": usage.all_input(),
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.all_output(),
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.all_input() + usage.all_output(),
        },
        "user": member("user", Value::Null),
        "metadata": member("metadata", json!({})),
    })
}
