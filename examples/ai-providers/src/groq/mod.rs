//! Groq: OpenAI's dialect without what it does not do, and `x_groq`.

mod shapes;

use crate::call::Call;
use crate::openai::flavour::{Flavour, Reasoning, StreamUsage};
use crate::openai::read::array;
use crate::openai::{authorize, chat, errors, models, read, rules};
use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Rules, Wrong};
use serde_json::Value;

static GROQ: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: true, null_is_missing: true },
    fault,
    problem: errors::problem,
    check,
    tool_id: |number| format!("mock{number}"),
    stream_usage: StreamUsage::Groq,
    reasoning: Reasoning::Member("reasoning"),
    thinks: read::has_effort,
    role_everywhere: false,
    filter_notes: false,
    cache_hits: false,
    keep_alive: false,
    whole_calls: false,
    embeddings_id: false,
    unknown_finish: "novelty",
    headers: &[("x-request-id", "req_mock1"), ("x-ratelimit-remaining-tokens", "9999")],
};

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    authorize(&GROQ, call)?;
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/openai/v1/chat/completions") => chat::answer(&GROQ, call),
        ("GET", "/openai/v1/models") => Ok(models::answer(&GROQ, &call.wishes, "")),
        (method, path) => {
            GROQ.refuse(404, &format!("Unknown request URL: {method} {path}."), None, Some("unknown_url"))
        }
    }
}

/// An error with this status.
pub fn error(status: u16) -> Reply {
    GROQ.finish(errors::problem(status, errors::words(status), None, None))
}

fn fault(fault: &Fault) -> Reply {
    match &fault.wrong {
        Wrong::Unknown => {
            let at = fault.dotted();
            errors::problem(400, &format!("property '{at}' is unsupported"), None, None)
        }
        _ => errors::fault(fault),
    }
}

/// What its table has only to be refused with other words, and the pairs of calls and results.
fn check(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    for name in ["logprobs", "top_logprobs", "logit_bias"] {
        if body.get(name).is_some_and(|value| !value.is_null() && *value != Value::Bool(false)) {
            return flavour.refuse(400, &format!("`{name}` is not supported with this model"), None, None);
        }
    }
    if body.get("n").and_then(Value::as_u64).is_some_and(|count| count > 1) {
        return flavour.refuse(400, "'n' : value must be at most 1", None, None);
    }
    if !array(body, "tools").is_empty()
        && body.pointer("/response_format/type").is_some_and(|kind| kind == "json_object" || kind == "json_schema")
    {
        return flavour.refuse(400, "json mode cannot be combined with tool/function calling", None, None);
    }
    rules::json_word(flavour, body)?;
    rules::results(flavour, body)?;
    rules::tools(flavour, body)
}
