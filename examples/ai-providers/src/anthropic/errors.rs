//! Errors of Anthropic: `{"type":"error","error":{"type","message"},"request_id"}`.

use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Wrong};
use serde_json::{Value, json};

/// The id of all requests.
pub const REQUEST_ID: &str = "req_mock1";

/// The error's type and words, by status.
pub const fn kind(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "Your credit balance is too low."),
        403 => ("permission_error", "Your API key may not do this."),
        404 => ("not_found_error", "Not found"),
        409 => ("conflict_error", "Conflict"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your rate limit."),
        504 => ("timeout_error", "The request took too long."),
        529 => ("overloaded_error", "Overloaded"),
        500.. => ("api_error", "Internal server error"),
        _ => ("invalid_request_error", "Error"),
    }
}

/// The body of an error.
pub fn value(status: u16, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind(status).0, "message": message}, "request_id": REQUEST_ID})
}

/// An error.
pub fn problem(status: u16, message: &str) -> Reply {
    super::with_headers(Reply::json(status, &value(status, message)))
}

/// An error with this status.
pub fn of_status(status: u16) -> Reply {
    problem(status, kind(status).1)
}

/// A request that is refused.
pub fn refuse<T>(message: impl AsRef<str>) -> Result<T, Refused> {
    Err(Box::new(problem(400, message.as_ref())))
}

/// A body that does not look right.
pub fn fault(fault: &Fault) -> Refused {
    let why = match &fault.wrong {
        Wrong::Unknown => "Extra inputs are not permitted".to_owned(),
        Wrong::Missing => "Field required".to_owned(),
        Wrong::Type(name) => format!("Input should be a valid {name}"),
        Wrong::Word(words) => format!("Input should be one of {words:?}"),
        Wrong::Other(why) => why.clone(),
    };
    Box::new(problem(400, &format!("{}: {why}", fault.dotted())))
}
