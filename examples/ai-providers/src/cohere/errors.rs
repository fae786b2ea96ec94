//! Errors of Cohere: `{"id","message"}`.

use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Wrong};
use serde_json::json;

/// The words for a status.
pub const fn words(status: u16) -> &'static str {
    match status {
        401 => "invalid api token",
        402 => "billing limit reached",
        403 => "not allowed",
        404 => "not found",
        429 => "You are using a trial key, which is limited. Please wait and try again later.",
        498 => "blocked input or output",
        500.. => "internal server error",
        _ => "bad request",
    }
}

/// An error.
pub fn problem(status: u16, message: &str) -> Reply {
    super::with_headers(Reply::json(status, &json!({"id": "mock1", "message": message})))
}

/// A request that is refused.
pub fn refuse<T>(message: impl AsRef<str>) -> Result<T, Refused> {
    Err(Box::new(problem(400, message.as_ref())))
}

/// A body that does not look right.
pub fn fault(fault: &Fault) -> Refused {
    let at = fault.dotted();
    let reply = match &fault.wrong {
        Wrong::Unknown => problem(422, &format!("unknown field: parameter '{at}' is not a valid field")),
        Wrong::Missing => problem(400, &format!("invalid request: {at} is required")),
        Wrong::Type(name) => {
            problem(422, &format!("invalid type: parameter '{at}' is of the wrong type, expected {name}"))
        }
        Wrong::Word(words) => problem(400, &format!("invalid request: {at} must be one of {words:?}")),
        Wrong::Other(why) => problem(400, &format!("invalid request: {at} {why}")),
    };
    Box::new(reply)
}
