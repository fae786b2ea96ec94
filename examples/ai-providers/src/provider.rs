//! Which provider answers.

use crate::call::Call;
use crate::kind::Kind;
use crate::openai::OPENAI;
use crate::reply::Reply;
use crate::{anthropic, azure, bedrock, cohere, compatible, deepseek, gemini, groq, mistral, openai, vertex};

/// The answer to a request.
pub fn answer(kind: Kind, call: &Call) -> Reply {
    let answered = match kind {
        Kind::OpenAi => openai::answer(call),
        Kind::Anthropic => anthropic::answer(call),
        Kind::Gemini => gemini::answer(call),
        Kind::Vertex => vertex::answer(call),
        Kind::Bedrock => bedrock::answer(call),
        Kind::Cohere => cohere::answer(call),
        Kind::Mistral => mistral::answer(call),
        Kind::Azure => azure::answer(call),
        Kind::DeepSeek => deepseek::answer(call),
        Kind::Groq => groq::answer(call),
        Kind::Compatible => compatible::answer(call),
    };
    answered.unwrap_or_else(|refused| *refused)
}

/// An error with this status, as the provider would tell it.
pub fn error(kind: Kind, call: &Call, status: u16) -> Reply {
    match kind {
        Kind::OpenAi => openai::error(&OPENAI, status),
        Kind::Anthropic => anthropic::errors::of_status(status),
        Kind::Gemini => gemini::errors::of_status(status, call.wishes.retry_after),
        Kind::Vertex => vertex::error(call, status),
        Kind::Bedrock => bedrock::error(status),
        Kind::Cohere => cohere::error(status),
        Kind::Mistral => mistral::error(status),
        Kind::Azure => azure::error(call, status),
        Kind::DeepSeek => deepseek::error(status),
        Kind::Groq => groq::error(status),
        Kind::Compatible => compatible::error(status),
    }
}
