//! Which provider answers.

use crate::anthropic;
use crate::call::Call;
use crate::kind::Kind;
use crate::openai;
use crate::reply::Reply;

/// The answer to a request.
pub fn answer(kind: Kind, call: &Call) -> Reply {
    let answered = match kind {
        Kind::Anthropic => anthropic::answer(call),
        Kind::OpenAi => openai::answer(call),
    };
    answered.unwrap_or_else(|refused| *refused)
}

/// An error with this status, as the provider would tell it.
pub fn error(kind: Kind, _call: &Call, status: u16) -> Reply {
    match kind {
        Kind::Anthropic => anthropic::errors::of_status(status),
        Kind::OpenAi => openai::error(&openai::OPENAI, status),
    }
}
