//! Dialects of providers. Each is a module; [`ALL`] names them and nothing else does.

pub mod anthropic;
pub mod bedrock;
pub mod cohere;
mod failure;
pub mod gemini;
pub mod openai;

use crate::capability::Capabilities;
use crate::client::Kind;
use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Event, Param, Request, Response, Support, Usage};
use crate::report::Report;
use crate::stream::{Item, Stage};
use crate::target::{Outgoing, Target};
use crate::translate::Operation;
use span_json::{Doc, Value};
use std::fmt::Debug;

/// All of them.
pub static ALL: &[&dyn Provider] = &[
    &anthropic::Anthropic(anthropic::Service::Anthropic),
    &anthropic::Anthropic(anthropic::Service::Vertex),
    &anthropic::Anthropic(anthropic::Service::Bedrock),
    &bedrock::Bedrock,
    &cohere::Cohere,
    &gemini::Gemini(gemini::Service::Studio),
    &gemini::Gemini(gemini::Service::Vertex),
    &openai::Compatible(&openai::ENTRIES[0]),
    &openai::Compatible(&openai::ENTRIES[1]),
    &openai::Compatible(&openai::ENTRIES[2]),
    &openai::Compatible(&openai::ENTRIES[3]),
    &openai::Compatible(&openai::ENTRIES[4]),
    &openai::Compatible(&openai::ENTRIES[5]),
    &openai::Compatible(&openai::ENTRIES[6]),
    &openai::Compatible(&openai::ENTRIES[7]),
    &openai::Compatible(&openai::ENTRIES[8]),
    &openai::Compatible(&openai::ENTRIES[9]),
    &openai::Compatible(&openai::ENTRIES[10]),
    &openai::Compatible(&openai::ENTRIES[11]),
];

/// The dialect of that name.
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    ALL.iter().copied().find(|provider| provider.name() == name)
}

/// How a provider speaks.
pub trait Provider: Sync + Debug {
    /// What configurations call it.
    fn name(&self) -> &'static str;

    /// What its models can do, unless a configuration says otherwise.
    fn capabilities(&self) -> Capabilities;

    /// What it makes of a parameter. Whatever has no support is dropped and reported, or refused, before a request comes here.
    fn support(&self, param: Param, capabilities: &Capabilities) -> Support;

    /// How it differs from OpenAI, if it speaks that dialect.
    fn quirks(&self) -> openai::Quirks {
        openai::Quirks::default()
    }

    /// Parameters beside [`Param`] that it takes, by their names.
    fn others(&self) -> &'static [&'static str] {
        &[]
    }

    /// Variables that its paths name beside `{model}`: configurations have to have them.
    fn variables(&self) -> &'static [&'static str] {
        &[]
    }

    /// A request for an answer.
    ///
    /// # Errors
    /// What the provider cannot do and nobody may drop.
    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError>;

    /// A whole answer.
    ///
    /// # Errors
    /// If it is none.
    fn response<'a>(
        &self,
        answer: Value<'a>,
        head: &AnswerHead<'a>,
        context: &Context,
    ) -> Result<Response<'a>, ApiError>;

    /// How its streams are framed.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// Reads a stream.
    fn reader(&self, context: &Context) -> Box<dyn Reader>;

    /// Reads an answer that is an error by its status: any bytes at all.
    fn error(&self, head: &AnswerHead<'_>, body: &[u8]) -> ApiError;

    /// A request for vectors.
    ///
    /// # Errors
    /// If it has none, or what it cannot do.
    fn embed(
        &self,
        request: &EmbeddingsRequest<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let _ = (request, target, report);
        Err(ApiError::invalid("this provider has no embeddings").code("unsupported_operation"))
    }

    /// Vectors.
    ///
    /// # Errors
    /// If they are none.
    fn embeddings<'a>(&self, answer: Value<'a>, head: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
        let _ = (answer, head);
        Err(ApiError::unreadable("expected no embeddings"))
    }

    /// A request for the number of a request's tokens.
    ///
    /// # Errors
    /// If it cannot tell.
    fn count_tokens(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let _ = (request, target, report);
        Err(ApiError::new(404, "this provider does not count tokens").code("unsupported_operation"))
    }

    /// The number of tokens.
    ///
    /// # Errors
    /// If it is none.
    fn token_count(&self, answer: Value<'_>) -> Result<u64, ApiError> {
        let _ = answer;
        Err(ApiError::unreadable("expected no number of tokens"))
    }

    /// If it speaks a client's dialect itself for an operation: requests are then forwarded, not translated.
    fn native(&self, client: Kind, operation: Operation, target: &Target<'_>) -> Option<&dyn Native> {
        let _ = (client, operation, target);
        None
    }
}

/// How a provider that speaks the client's own dialect is spoken to: only what has to change is changed.
pub trait Native {
    /// A request, with the model's name and whatever else has to change.
    ///
    /// # Errors
    /// What the provider cannot do and nobody may drop.
    fn request(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError>;

    /// A whole answer: other bytes, if something has to change, and what it cost.
    ///
    /// # Errors
    /// If it is none.
    fn response(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        context: &Context,
    ) -> Result<(Option<Vec<u8>>, Option<Usage>), ApiError>;

    /// A stream.
    fn stream(&self, context: &Context) -> Box<dyn Stage>;
}

/// How a stream is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// AWS event stream.
    AwsEventStream,
}

/// Turns items of a provider's stream into events.
pub trait Reader {
    /// The next item. Comments come as well.
    ///
    /// # Errors
    /// What the provider says went wrong, or what is not its dialect.
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError>;

    /// There is no more. Not called behind [`Event::End`].
    ///
    /// # Errors
    /// If that is too early.
    fn end(&mut self, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        let _ = out;
        Err(ApiError::truncated())
    }
}

/// Status and headers of an answer.
#[derive(Clone, Copy)]
pub struct AnswerHead<'a> {
    /// HTTP status.
    pub status: u16,
    /// The value of a header, by its lower-case name; one that is no UTF-8 is none.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

impl AnswerHead<'_> {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<String> {
        (self.header)(name)
    }
}

impl Debug for AnswerHead<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "AnswerHead({})", self.status)
    }
}
