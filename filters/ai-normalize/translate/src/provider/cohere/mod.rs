//! Cohere's second version.

mod embed;
mod error;
mod request;
mod response;
mod stream;

use crate::capability::{Capabilities, Thinking};
use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Param, Request, Response, Support};
use crate::provider::{AnswerHead, Provider, Reader};
use crate::report::Report;
use crate::target::{Outgoing, Target};
use span_json::Value;

/// The dialect.
#[derive(Debug)]
pub struct Cohere;

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { thinking: Thinking::Budget, audio: false, files: false, ..Capabilities::default() }
    }

    fn support(&self, param: Param, capabilities: &Capabilities) -> Support {
        match param {
            Param::MaxTokens => Support::Mapped("max_tokens"),
            Param::Temperature => Support::Adapted("temperature, at most 1"),
            Param::TopP => Support::Mapped("p"),
            Param::TopK => Support::Mapped("k"),
            Param::Seed => Support::Mapped("seed"),
            Param::FrequencyPenalty => Support::Adapted("frequency_penalty, from 0 to 1"),
            Param::PresencePenalty => Support::Adapted("presence_penalty, from 0 to 1"),
            Param::Stop => Support::Adapted("stop_sequences, five at most"),
            Param::Logprobs => Support::Mapped("logprobs"),
            Param::JsonObject | Param::JsonSchema => Support::Mapped("response_format"),
            Param::Reasoning => match capabilities.thinking {
                Thinking::None => Support::None,
                _ => Support::Adapted("thinking.token_budget"),
            },
            Param::N => Support::Refused,
            Param::TopLogprobs
            | Param::LogitBias
            | Param::User
            | Param::Metadata
            | Param::ServiceTier
            | Param::Verbosity
            | Param::ParallelToolCalls
            | Param::Modalities => Support::None,
        }
    }

    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError> {
        let body = request::write(request, target, report)?;
        Ok(Outgoing { path: "/v2/chat".to_owned(), body, ..Outgoing::default() })
    }

    fn response<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>, _: &Context) -> Result<Response<'a>, ApiError> {
        response::read(answer)
    }

    fn reader(&self, _: &Context) -> Box<dyn Reader> {
        Box::new(stream::EventReader::default())
    }

    fn error(&self, head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
        error::read(head, body)
    }

    fn embed(
        &self,
        request: &EmbeddingsRequest<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let body = embed::request(request, target, report)?;
        Ok(Outgoing { path: "/v2/embed".to_owned(), body, ..Outgoing::default() })
    }

    fn embeddings<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
        embed::response(answer)
    }
}
