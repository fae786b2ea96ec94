//! Errors of Google: `{"error":{"code","message","status","details"}}`.

use crate::openai::chat::insert;
use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Step, Wrong};
use serde_json::{Value, json};

/// The name of a status, and its words.
pub const fn kind(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403 => ("PERMISSION_DENIED", "The caller does not have permission"),
        404 => ("NOT_FOUND", "Requested entity was not found."),
        409 => ("ABORTED", "The operation was aborted."),
        429 => ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
        499 => ("CANCELLED", "The operation was cancelled."),
        501 => ("UNIMPLEMENTED", "Operation is not implemented."),
        503 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
        504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
        500.. => ("INTERNAL", "An internal error has occurred."),
        _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    }
}

/// The body of an error.
pub fn value(status: u16, message: &str, details: &[Value]) -> Value {
    let mut error = json!({"code": status, "message": message, "status": kind(status).0});
    if !details.is_empty() {
        insert(&mut error, "details", json!(details));
    }
    json!({"error": error})
}

/// An error.
pub fn problem(status: u16, message: &str) -> Reply {
    reply(status, &value(status, message, &[]))
}

/// An error with this status, and when to come again.
pub fn of_status(status: u16, retry_after: Option<u32>) -> Reply {
    let retry =
        |seconds| json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")});
    let details: Vec<_> = retry_after.map(retry).into_iter().collect();
    reply(status, &value(status, kind(status).1, &details))
}

/// A key that is none.
pub fn bad_key() -> Reply {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    });
    reply(400, &value(400, "API key not valid. Please pass a valid API key.", &[info]))
}

/// A request that is refused.
pub fn refuse<T>(message: impl AsRef<str>) -> Result<T, Refused> {
    Err(Box::new(problem(400, message.as_ref())))
}

/// A body that does not look right.
pub fn fault(fault: &Fault) -> Refused {
    let snake = |fault: &Fault| {
        let steps = fault.path.iter().map(|step| match step {
            Step::Name(name) => Step::Name(snake(name)),
            Step::Index(index) => Step::Index(*index),
        });
        Fault { path: steps.collect(), wrong: fault.wrong.clone() }
    };
    let there = snake(fault);
    let at = there.bracketed();
    let message = match &fault.wrong {
        Wrong::Unknown => {
            let mut parent = there.clone();
            parent.path.pop();
            let parent = parent.bracketed();
            let place = if parent.is_empty() { String::new() } else { format!(" at '{parent}'") };
            format!("Invalid JSON payload received. Unknown name \"{}\"{place}: Cannot find field.", fault.name())
        }
        Wrong::Missing => format!("* GenerateContentRequest.{at}: {} is not specified\n", fault.name()),
        Wrong::Type(name) => format!("Invalid value at '{at}' (TYPE_{}).", name.to_uppercase()),
        Wrong::Word(words) => format!("Invalid value at '{at}', expected one of {words:?}."),
        Wrong::Other(why) => format!("Unable to submit request because {at} {why}."),
    };
    let violation = json!({"field": at, "description": message});
    let details = json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]});
    Box::new(reply(400, &value(400, &message, &[details])))
}

/// `systemInstruction` is `system_instruction` there.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn reply(status: u16, value: &Value) -> Reply {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    Reply::whole(status, "application/json; charset=UTF-8", text.into_bytes()).with("vary", "Origin, X-Origin, Referer")
}
