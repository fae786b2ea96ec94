//! A self-hosted server with the interface of OpenAI, such as vLLM: it takes what it does not know, and has habits of its own.

use crate::call::Call;
use crate::openai::errors::words;
use crate::openai::flavour::{Flavour, Reasoning, StreamUsage};
use crate::openai::{authorize, chat, embeddings, models, read, rules, shapes};
use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Rules, Wrong};
use serde_json::{Value, json};

static COMPATIBLE: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: false, null_is_missing: true },
    fault,
    problem,
    check: |flavour, body| {
        if body.get("model").is_none_or(Value::is_null) {
            return flavour.refuse(400, "model: Field required", None, None);
        }
        rules::tools(flavour, body)
    },
    tool_id: |number| format!("chatcmpl-tool-mock{number}"),
    stream_usage: StreamUsage::Asked,
    reasoning: Reasoning::Member("reasoning"),
    thinks: read::has_effort,
    role_everywhere: true,
    filter_notes: false,
    cache_hits: false,
    keep_alive: false,
    whole_calls: false,
    embeddings_id: false,
    unknown_finish: "novelty",
    headers: &[("server", "uvicorn")],
};

/// Answers a request. A token is not needed, but a wrong one is refused.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    if call.header("authorization").is_some() {
        authorize(&COMPATIBLE, call)?;
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v1/chat/completions") => chat::answer(&COMPATIBLE, call),
        ("POST", "/v1/embeddings") => embeddings::answer(&COMPATIBLE, call, &embeddings::EMBEDDINGS),
        ("GET", "/v1/models") => Ok(models::answer(&COMPATIBLE, &call.wishes, "")),
        _ => Err(Box::new(COMPATIBLE.finish(Reply::json(404, &json!({"detail": "Not Found"}))))),
    }
}

/// An error with this status.
pub fn error(status: u16) -> Reply {
    COMPATIBLE.finish(problem(status, words(status), None, None))
}

fn problem(status: u16, message: &str, param: Option<&str>, _: Option<&str>) -> Reply {
    let kind = match status {
        401 => "AuthenticationError",
        404 => "NotFoundError",
        500.. => "InternalServerError",
        _ => "BadRequestError",
    };
    Reply::json(status, &json!({"object": "error", "message": message, "type": kind, "param": param, "code": status}))
}

fn fault(fault: &Fault) -> Reply {
    let why = match &fault.wrong {
        Wrong::Missing => "Field required".to_owned(),
        Wrong::Unknown => "Extra inputs are not permitted".to_owned(),
        Wrong::Type(name) => format!("Input should be a valid {name}"),
        Wrong::Word(words) => format!("Input should be one of {words:?}"),
        Wrong::Other(why) => why.clone(),
    };
    problem(400, &format!("1 validation error: {}: {why}", fault.dotted()), Some(fault.name()), None)
}
