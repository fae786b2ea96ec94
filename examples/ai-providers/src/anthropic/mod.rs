//! Anthropic: messages, and the count of their tokens.

pub mod errors;
pub mod read;
pub mod reply;
pub mod rules;
pub mod shapes;
pub mod stream;

use crate::answer::{Answer, INPUT};
use crate::call::{Call, is_good_key};
use crate::openai::read::{is_true, string};
use crate::reply::{Refused, Reply};
use crate::shape::{Rules, Shape};
use serde_json::{Value, json};

/// The version of the interface before the newest.
const OLDER: &str = "2023-06-01";
/// The newest version: keys are bearer tokens, and system texts may stand between the turns.
pub const NEWER: &str = "2026-10-21";

/// On which terms a request is checked.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Pictures and documents may be elsewhere.
    pub remote: bool,
    /// The newest version of the interface.
    pub newer: bool,
}

/// Strict, and null is a value.
pub const RULES: Rules = Rules { strict: true, null_is_missing: false };

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    let terms = Terms { remote: true, newer: authorize(call)? == NEWER };
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v1/messages") => {
            let body = checked(call, &shapes::MESSAGES)?;
            let model = known(string(&body, "model"))?;
            let stream = is_true(&body, "stream");
            messages(call, &body, model, stream, terms)
        }
        ("POST", "/v1/messages/count_tokens") => {
            let body = checked(call, &shapes::COUNT)?;
            let model = known(string(&body, "model"))?;
            rules::check(&body, model, terms)?;
            Ok(with_headers(Reply::json(200, &json!({"input_tokens": INPUT})).wishing(&call.wishes)))
        }
        _ => Err(Box::new(errors::problem(404, "Not Found"))),
    }
}

/// A key, in its own header or as a bearer token, and the version of the interface. Of two keys none counts.
fn authorize(call: &Call) -> Result<&str, Refused> {
    let refuse = |message: &str| Err(Box::new(errors::problem(401, message)));
    match (call.bearer(), call.header("x-api-key")) {
        (None, None) => return refuse("x-api-key header is required"),
        (Some(_), Some(_)) => return refuse("only one of x-api-key and authorization may be sent"),
        (Some(key), None) | (None, Some(key)) if !is_good_key(key) => return refuse("invalid x-api-key"),
        _ => {}
    }
    match call.header("anthropic-version") {
        Some(version @ (OLDER | NEWER)) => Ok(version),
        Some(version) => errors::refuse(format!("anthropic-version: {version:?} is not a valid version")),
        None => errors::refuse("anthropic-version: header is required"),
    }
}

/// The terms of a platform whose body tells the version.
pub fn terms_of(body: &Value) -> Terms {
    Terms { remote: false, newer: string(body, "anthropic_version") == NEWER }
}

/// The body, if it looks like this.
pub fn checked(call: &Call, shape: &Shape) -> Result<Value, Refused> {
    let body = call.json().or_else(|why| errors::refuse(format!("The request body is not valid JSON: {why}")))?;
    shape.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    Ok(body)
}

/// The model, if there is one of this name.
pub fn known(model: &str) -> Result<&str, Refused> {
    if model.contains("missing") {
        return Err(Box::new(errors::problem(404, &format!("model: {model}"))));
    }
    Ok(model)
}

/// Answers a request that looks right, for this model.
pub fn messages(call: &Call, body: &Value, model: &str, stream: bool, terms: Terms) -> Result<Reply, Refused> {
    rules::check(body, model, terms)?;
    let prompt = read::prompt(call, body, model, stream);
    let answer = Answer::to(&prompt);
    let reply = if stream { stream::reply(&answer, model) } else { Reply::json(200, &reply::message(&answer, model)) };
    Ok(with_headers(reply.wishing(&prompt.wishes)))
}

/// With the headers of all answers.
pub fn with_headers(reply: Reply) -> Reply {
    reply
        .with("request-id", errors::REQUEST_ID)
        .with("anthropic-organization-id", "org-mock")
        .with("anthropic-ratelimit-requests-limit", "1000")
        .with("anthropic-ratelimit-requests-remaining", "999")
        .with("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z")
}
