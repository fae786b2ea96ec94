//! OpenAI: chat completions, responses, embeddings, models.

pub mod chat;
pub mod embeddings;
pub mod errors;
pub mod flavour;
pub mod models;
pub mod read;
pub mod responses;
pub mod responses_stream;
pub mod rules;
pub mod shapes;
pub mod stream;

use crate::call::{Call, is_good_key};
use crate::reply::{Refused, Reply};
use crate::shape::Rules;
use flavour::{Flavour, Reasoning, StreamUsage};

/// OpenAI itself.
pub static OPENAI: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: true, null_is_missing: true },
    fault: errors::fault,
    problem: errors::problem,
    check: rules::check,
    tool_id,
    stream_usage: StreamUsage::Asked,
    reasoning: Reasoning::Hidden,
    thinks: read::has_effort,
    role_everywhere: false,
    filter_notes: false,
    cache_hits: false,
    keep_alive: false,
    whole_calls: false,
    embeddings_id: false,
    unknown_finish: "novelty",
    headers: &[
        ("x-request-id", "req_mock1"),
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", "5"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
    ],
};

/// `call_mock1`
pub fn tool_id(number: usize) -> String {
    format!("call_mock{number}")
}

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    authorize(&OPENAI, call)?;
    if let ("GET", Some(rest)) = (call.method.as_str(), call.path.strip_prefix("/v1/models")) {
        return Ok(models::answer(&OPENAI, &call.wishes, rest));
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v1/chat/completions") => chat::answer(&OPENAI, call),
        ("POST", "/v1/responses") => responses::answer(&OPENAI, call),
        ("POST", "/v1/embeddings") => embeddings::answer(&OPENAI, call, &embeddings::EMBEDDINGS),
        (method, path) => OPENAI.refuse(404, &format!("Invalid URL ({method} {path})"), None, None),
    }
}

/// A request needs a bearer token.
pub fn authorize(flavour: &Flavour, call: &Call) -> Result<(), Refused> {
    match call.bearer() {
        Some(key) if is_good_key(key) => Ok(()),
        Some(_) => flavour.refuse(401, "Incorrect API key provided: wrong.", None, Some("invalid_api_key")),
        None => flavour.refuse(401, "You didn't provide an API key in an Authorization header.", None, None),
    }
}

/// An error with this status.
pub fn error(flavour: &Flavour, status: u16) -> Reply {
    flavour.finish((flavour.problem)(status, errors::words(status), None, None))
}
