//! Errors, whose kind stands in a header.

use crate::ir::{ApiError, ErrorKind};
use crate::provider::AnswerHead;
use crate::provider::failure;

pub(super) fn read(head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
    let by_header = head.header("x-amzn-errortype").map(|name| name.split(':').next().unwrap_or_default().to_owned());
    failure::read(head, body, |root, told| {
        told.message = root.str_of("message").or_else(|| root.str_of("Message")).map(Into::into);
        let by_body = root.str_of("__type").map(|name| name.rsplit('#').next().unwrap_or_default().to_owned());
        let name = by_header.clone().or(by_body).unwrap_or_default();
        told.kind = match name.as_str() {
            "ThrottlingException" | "ServiceQuotaExceededException" | "ModelNotReadyException" => {
                Some(ErrorKind::RateLimit)
            }
            "AccessDeniedException" => Some(ErrorKind::Permission),
            "UnrecognizedClientException" | "ExpiredTokenException" | "InvalidSignatureException" => {
                Some(ErrorKind::Authentication)
            }
            "ModelTimeoutException" => Some(ErrorKind::Timeout),
            _ => None,
        };
    })
}
