//! Who calls: a signature of the right form, or a bearer token.

use super::errors;
use crate::call::{Call, is_good_key};
use crate::reply::Refused;

/// The signature itself is not computed anew: what matters here is that everything it needs is there.
pub fn check(call: &Call) -> Result<(), Refused> {
    let refuse = |kind: &str, message: &str| Err(Box::new(errors::problem(403, kind, message)));
    let Some(authorization) = call.header("authorization") else {
        return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    if let Some(token) = call.bearer() {
        return match is_good_key(token) {
            true => Ok(()),
            false => refuse("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."),
        };
    }
    let Some(fields) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return refuse("IncompleteSignatureException", "Authorization header requires a known scheme.");
    };
    let field = |name: &str| {
        let fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let scope: Vec<_> = field("Credential").unwrap_or_default().split('/').collect();
    let scoped = matches!(scope.as_slice(), [key, date, region, "bedrock", "aws4_request"]
        if !key.is_empty() && date.len() == 8 && !region.is_empty());
    let signed = field("SignedHeaders").unwrap_or_default();
    let signature = field("Signature").unwrap_or_default();
    let hexadecimal = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !scoped || !hexadecimal || call.header("x-amz-date").is_none() {
        return refuse(
            "IncompleteSignatureException",
            "Authorization header requires Credential, SignedHeaders and Signature, and the x-amz-date header.",
        );
    }
    if !["host", "x-amz-date"].iter().all(|name| signed.split(';').any(|header| header == *name)) {
        return refuse("InvalidSignatureException", "'Host' and 'X-Amz-Date' must be signed.");
    }
    match scope.first().is_some_and(|key| is_good_key(key)) {
        true => Ok(()),
        false => refuse("UnrecognizedClientException", "The security token included in the request is invalid."),
    }
}
