//! Errors of AWS: the type is in a header, the body has a message.

use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Wrong};
use serde_json::json;

/// The id of all requests.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-00000000mock";

/// The type of an error, and its words.
pub const fn kind(status: u16) -> (&'static str, &'static str) {
    match status {
        401 | 403 => ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        404 => {
            ("ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier.")
        }
        408 => ("ModelTimeoutException", "The model took too long."),
        424 => ("ModelErrorException", "The model failed."),
        429 => ("ThrottlingException", "Too many requests, please wait before trying again."),
        503 => ("ServiceUnavailableException", "Bedrock is unable to process your request."),
        500.. => ("InternalServerException", "The system encountered an unexpected error during processing."),
        _ => ("ValidationException", "The request is not valid."),
    }
}

/// An error.
pub fn problem(status: u16, kind: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message}))
        .with("x-amzn-requestid", REQUEST_ID)
        .with("x-amzn-errortype", format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"))
}

/// An error with this status.
pub fn of_status(status: u16) -> Reply {
    let (kind, message) = kind(status);
    problem(status, kind, message)
}

/// A request that is refused.
pub fn refuse<T>(message: impl AsRef<str>) -> Result<T, Refused> {
    Err(Box::new(problem(400, "ValidationException", message.as_ref())))
}

/// A body that does not look right.
pub fn fault(fault: &Fault) -> Refused {
    let at = fault.dotted();
    let not = |why: &str| format!("1 validation error detected: Value at '{at}' failed to satisfy constraint: {why}");
    let (kind, message) = match &fault.wrong {
        Wrong::Unknown => (
            "ValidationException",
            format!(
                "Malformed input request: #/{}: extraneous key [{}] is not permitted, please reformat your input and try again.",
                fault.parent().replace('.', "/"),
                fault.name()
            ),
        ),
        Wrong::Missing => ("ValidationException", not("Member must not be null")),
        Wrong::Type(name) => ("SerializationException", format!("{at}: expected {name}")),
        Wrong::Word(words) => ("ValidationException", not(&format!("Member must satisfy enum value set: {words:?}"))),
        Wrong::Other(why) => ("ValidationException", not(why)),
    };
    Box::new(problem(400, kind, &message))
}
