//! OpenAI's errors.

use crate::ir::{ApiError, ErrorKind};
use span_json::Writer;

/// `{"error": {message, type, param, code}}`, all four always there.
pub fn write(error: &ApiError) -> Vec<u8> {
    let mut out = Writer::default();
    out.object(|out| {
        out.key("error").object(|out| {
            out.key("message").string(&error.message);
            out.key("type").string(type_name(error.kind));
            match &error.param {
                Some(param) => out.key("param").string(param),
                None => out.key("param").null(),
            }
            match error.code.as_deref().or(code(error.kind)) {
                Some(code) => out.key("code").string(code),
                None => out.key("code").null(),
            }
        });
    });
    out.finish()
}

fn type_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::TooLarge => {
            "invalid_request_error"
        }
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Billing => "insufficient_quota",
        ErrorKind::Permission => "permission_error",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Server => "server_error",
    }
}

fn code(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Authentication => Some("invalid_api_key"),
        ErrorKind::RateLimit => Some("rate_limit_exceeded"),
        ErrorKind::TooLarge => Some("request_too_large"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_members_are_there() {
        let error = ApiError::new(404, "no \"x\"").code("model_not_found").param("model");
        assert_eq!(
            String::from_utf8(write(&error)).unwrap(),
            r#"{"error":{"message":"no \"x\"","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        assert_eq!(
            String::from_utf8(write(&ApiError::new(500, "m"))).unwrap(),
            r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#
        );
    }
}
