//! Errors.

use crate::ir::{ApiError, ErrorKind};
use crate::provider::AnswerHead;
use crate::provider::failure::{self, Told};
use span_json::Value;

pub(super) fn read(head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
    failure::read(head, body, tell)
}

/// An error event of a stream.
pub(super) fn inside(root: Value<'_>) -> ApiError {
    let kind = root.get("error").and_then(|error| error.str_of("type")).unwrap_or_default();
    let status = match kind.as_ref() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    };
    let mut told = Told::default();
    tell(root, &mut told);
    failure::from(status, told)
}

/// `{"type": "error", "error": {type, message}}`; Google and AWS, before Anthropic, have their own.
fn tell(root: Value<'_>, told: &mut Told) {
    let error = root.given("error").unwrap_or(root);
    told.message = error.str_of("message").or_else(|| root.str_of("Message")).map(Into::into);
    told.kind = match error.str_of("type").as_deref() {
        Some("billing_error") => Some(ErrorKind::Billing),
        Some("overloaded_error") => Some(ErrorKind::Overloaded),
        _ => None,
    };
}
