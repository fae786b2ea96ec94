//! Mistral: OpenAI's dialect with names of its own, and no member that it does not know.

mod rules;
mod shapes;

use crate::call::{Call, is_good_key};
use crate::openai::errors::words;
use crate::openai::flavour::{Flavour, Reasoning, StreamUsage};
use crate::openai::{chat, embeddings, models, read};
use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Rules, Step, Wrong};
use serde_json::{Value, json};

static MISTRAL: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: true, null_is_missing: true },
    fault,
    problem,
    check: rules::check,
    tool_id: |number| format!("mockid{:03}", number % 1000),
    stream_usage: StreamUsage::OnFinish,
    reasoning: Reasoning::Part,
    thinks: |body| read::has_effort(body) || read::string(body, "prompt_mode") == "reasoning",
    role_everywhere: false,
    filter_notes: false,
    cache_hits: false,
    keep_alive: false,
    whole_calls: true,
    embeddings_id: true,
    unknown_finish: "model_length",
    headers: &[("mistral-correlation-id", "mock1")],
};

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    if !call.bearer().is_some_and(is_good_key) {
        return Err(Box::new(error(401)));
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v1/chat/completions") => chat::answer(&MISTRAL, call),
        ("POST", "/v1/embeddings") => embeddings::answer(&MISTRAL, call, &embeddings::MISTRAL),
        ("GET", "/v1/models") => Ok(models::answer(&MISTRAL, &call.wishes, "")),
        _ => Err(Box::new(error(404))),
    }
}

/// An error with this status; those before the model have only a detail.
pub fn error(status: u16) -> Reply {
    MISTRAL.finish(match status {
        401 => Reply::json(401, &json!({"detail": "Unauthorized"})),
        404 => Reply::json(404, &json!({"detail": "Not Found"})),
        _ => problem(status, words(status), None, None),
    })
}

fn problem(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Reply {
    told(status, &json!(message), param, code)
}

fn told(status: u16, message: &Value, param: Option<&str>, code: Option<&str>) -> Reply {
    let kind = match (status, code) {
        (429, _) => "rate_limited",
        (500.., _) => "internal_server_error",
        (_, Some("3230")) => "invalid_request_message_order",
        (_, Some("3280")) => "invalid_request_function_call",
        (_, Some("model_not_found")) => "invalid_model",
        _ => "invalid_request_error",
    };
    Reply::json(status, &json!({"object": "error", "message": message, "type": kind, "param": param, "code": code}))
}

fn fault(fault: &Fault) -> Reply {
    let (kind, why) = match &fault.wrong {
        Wrong::Unknown => ("extra_forbidden", "Extra inputs are not permitted".to_owned()),
        Wrong::Missing => ("missing", "Field required".to_owned()),
        Wrong::Type(name) => ("type_error", format!("Input should be a valid {name}")),
        Wrong::Word(words) => ("enum", format!("Input should be one of {words:?}")),
        Wrong::Other(why) => ("value_error", why.clone()),
    };
    let steps = fault.path.iter().map(|step| match step {
        Step::Name(name) => json!(name),
        Step::Index(index) => json!(index),
    });
    let place: Vec<_> = std::iter::once(json!("body")).chain(steps).collect();
    told(422, &json!({"detail": [{"type": kind, "loc": place, "msg": why}]}), None, None)
}
