//! Errors: `{"message", "id"}`.

use crate::ir::ApiError;
use crate::provider::AnswerHead;
use crate::provider::failure;

pub(super) fn read(head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
    failure::read(head, body, |root, told| told.message = root.str_of("message").map(Into::into))
}
