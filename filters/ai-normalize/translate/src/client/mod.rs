//! Dialects of clients. Each is a module; [`ALL`] names them and nothing else does.

pub mod chat;
pub mod embeddings;
pub mod messages;
pub mod responses;

use crate::context::Context;
use crate::ir::{ApiError, Event, Param, Request, Response};
use span_json::Value;
use std::fmt::Debug;

/// All of them.
pub static ALL: &[&dyn Client] = &[&chat::Chat, &messages::Messages, &responses::Responses];

/// The dialect of that name.
pub fn find(name: &str) -> Option<&'static dyn Client> {
    ALL.iter().copied().find(|client| client.name() == name)
}

/// Which dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// OpenAI Chat Completions, Embeddings and Models.
    Chat,
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
}

/// How a client speaks.
pub trait Client: Sync + Debug {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// What commands call it.
    fn name(&self) -> &'static str;

    /// Its name for a parameter.
    fn param_name(&self, param: Param) -> &'static str {
        param.name()
    }

    /// Whether a request asks for what it costs as part of a stream.
    fn wants_usage(&self, request: Value<'_>) -> bool {
        let _ = request;
        true
    }

    /// Members of a request that an answer repeats, as JSON without braces.
    fn echo(&self, request: Value<'_>) -> String {
        let _ = request;
        String::new()
    }

    /// A request.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    fn request<'a>(&self, request: Value<'a>) -> Result<Request<'a>, ApiError>;

    /// A whole answer, as JSON.
    fn response(&self, response: &Response<'_>, context: &Context) -> Vec<u8>;

    /// Writes a stream.
    fn emitter(&self, context: &Context) -> Box<dyn Emitter>;

    /// An error, as JSON.
    fn error(&self, error: &ApiError) -> Vec<u8>;

    /// A number of tokens, as JSON.
    fn token_count(&self, tokens: u64) -> Vec<u8> {
        format!("{{\"input_tokens\":{tokens}}}").into_bytes()
    }
}

/// Turns events into a client's stream.
pub trait Emitter {
    /// The next event, in the order that [`Event`] promises; nothing comes behind [`Event::End`]. What it leads to is
    /// written at once, unless it has to wait for the end.
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>);

    /// Something went wrong, and nothing comes any more: a client must not take it for the end of an answer.
    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>);
}
