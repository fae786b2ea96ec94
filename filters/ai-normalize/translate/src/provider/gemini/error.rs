//! Errors.

use crate::ir::ApiError;
use crate::provider::AnswerHead;
use crate::provider::failure::{self, Told};
use span_json::Value;

pub(super) fn read(head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
    failure::read(head, body, tell)
}

/// An error that stands in an answer, or in a stream.
pub(super) fn inside(root: Value<'_>) -> Option<ApiError> {
    let error = root.given("error")?;
    let mut told = Told::default();
    tell(root, &mut told);
    let status =
        error.u64_of("code").and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    Some(failure::from(status.unwrap_or(502), told))
}

/// `{"error": {code, message, status, details}}`
fn tell(root: Value<'_>, told: &mut Told) {
    let error = root.given("error").unwrap_or(root);
    told.message = error.str_of("message").map(Into::into);
    told.code = error.str_of("status").map(|status| status.to_ascii_lowercase());
    for detail in error.get("details").iter().flat_map(Value::elements) {
        // `3.5s`
        if let Some(delay) = detail.str_of("retryDelay") {
            let seconds = delay.trim_end_matches('s').split('.').next().and_then(|whole| whole.parse::<u64>().ok());
            let has_fraction = delay.contains('.');
            told.retry_after = seconds.map(|seconds| seconds.saturating_add(u64::from(has_fraction)).to_string());
        }
        let violation = detail.get("fieldViolations").and_then(|violations| violations.elements().next());
        told.param = told.param.take().or_else(|| violation?.str_of("field").map(Into::into));
    }
}
