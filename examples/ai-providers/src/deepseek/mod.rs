//! DeepSeek: members that it does not know are passed over, but roles and parts are few, and what the model thought must come back.

mod shapes;

use crate::call::Call;
use crate::openai::errors::words;
use crate::openai::flavour::{Flavour, Reasoning, StreamUsage};
use crate::openai::read::{array, string};
use crate::openai::{authorize, chat, models, rules};
use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Rules, Wrong};
use serde_json::{Value, json};

static DEEPSEEK: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: false, null_is_missing: true },
    fault,
    problem,
    check,
    tool_id: |number| format!("call_00_mock{number}"),
    stream_usage: StreamUsage::OnFinish,
    reasoning: Reasoning::Member("reasoning_content"),
    thinks,
    role_everywhere: false,
    filter_notes: false,
    cache_hits: true,
    keep_alive: true,
    whole_calls: false,
    embeddings_id: false,
    unknown_finish: "insufficient_system_resource",
    headers: &[("x-ds-trace-id", "mock1")],
};

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    authorize(&DEEPSEEK, call)?;
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/chat/completions" | "/v1/chat/completions" | "/beta/chat/completions") => {
            chat::answer(&DEEPSEEK, call)
        }
        ("GET", "/models" | "/v1/models") => Ok(models::answer(&DEEPSEEK, &call.wishes, "")),
        _ => Err(Box::new(DEEPSEEK.finish(Reply::whole(404, "text/plain", Vec::new())))),
    }
}

/// An error with this status.
pub fn error(status: u16) -> Reply {
    DEEPSEEK.finish(problem(status, if status == 402 { "Insufficient Balance" } else { words(status) }, None, None))
}

fn problem(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Reply {
    let kind = match status {
        401 => "authentication_error",
        402 => "unknown_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error =
        json!({"message": message, "type": kind, "param": param, "code": code.unwrap_or("invalid_request_error")});
    Reply::json(status, &json!({"error": error}))
}

/// The words of its JSON reader.
fn fault(fault: &Fault) -> Reply {
    let at = fault.bracketed();
    let why = match &fault.wrong {
        Wrong::Missing => format!("missing field `{}`", fault.name()),
        Wrong::Type(name) => format!("invalid type, expected {name}"),
        Wrong::Word(words) => format!("unknown variant, expected one of {words:?}"),
        Wrong::Other(why) => why.clone(),
        Wrong::Unknown => format!("unknown field `{}`", fault.name()),
    };
    problem(422, &format!("Failed to deserialize the JSON body into the target type: {at}: {why}"), None, None)
}

fn thinks(body: &Value) -> bool {
    let model = string(body, "model");
    match body.pointer("/thinking/type").and_then(Value::as_str) {
        Some(kind) => kind == "enabled",
        None => model.contains("reasoner"),
    }
}

fn check(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    if string(body.get("response_format").unwrap_or(&Value::Null), "type") == "json_schema" {
        return flavour.refuse(400, "This response_format type is unavailable now", None, None);
    }
    rules::json_word(flavour, body)?;
    rules::results(flavour, body)?;
    rules::tools(flavour, body)?;
    if !thinks(body) {
        return Ok(());
    }
    for (index, message) in array(body, "messages").iter().enumerate() {
        let told = message.get("reasoning_content").is_some_and(Value::is_string);
        if !array(message, "tool_calls").is_empty() && !told {
            let why = format!("Missing `reasoning_content` field in the assistant message at message index {index}.");
            return flavour.refuse(400, &why, None, None);
        }
    }
    Ok(())
}
