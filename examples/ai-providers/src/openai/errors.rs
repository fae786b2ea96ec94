//! Errors of OpenAI: `{"error":{"message","type","param","code"}}`.

use crate::reply::{Body, Reply};
use crate::shape::{Fault, Wrong};
use serde_json::{Value, json};

/// An error.
pub fn problem(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Reply {
    let (kind, usual) = match status {
        429 => ("requests", Some("rate_limit_exceeded")),
        403 => ("permission_error", None),
        401 => ("invalid_request_error", Some("invalid_api_key")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    let error = json!({"message": message, "type": kind, "param": param, "code": code.or(usual)});
    Reply::json(status, &json!({"error": error}))
}

/// A body that does not look right.
pub fn fault(fault: &Fault) -> Reply {
    let at = fault.bracketed();
    let (message, code) = match &fault.wrong {
        Wrong::Unknown => (format!("Unknown parameter: '{at}'."), "unknown_parameter"),
        Wrong::Missing => (format!("Missing required parameter: '{at}'."), "missing_required_parameter"),
        Wrong::Type(name) => (format!("Invalid type for '{at}': expected {name}."), "invalid_type"),
        Wrong::Word(words) => (format!("Invalid value for '{at}': supported values are {words:?}."), "invalid_value"),
        Wrong::Other(why) => (format!("Invalid value for '{at}': {why}."), "invalid_value"),
    };
    problem(400, &message, Some(&at), Some(code))
}

/// The words for a status that was wished for.
pub const fn words(status: u16) -> &'static str {
    match status {
        401 => "Incorrect API key provided.",
        403 => "You are not allowed to do this.",
        404 => "The model does not exist or you do not have access to it.",
        413 => "The request is too large.",
        429 => "Rate limit reached for requests.",
        500 => "The server had an error while processing your request.",
        503 => "The engine is currently overloaded, please try again later.",
        _ => "This error was wished for.",
    }
}

/// What an error holds, to be sent within a stream.
pub fn value(reply: &Reply) -> Value {
    match &reply.body {
        Body::Whole(body) => serde_json::from_slice(body).unwrap_or_default(),
        Body::Stream(_) => Value::Null,
    }
}
