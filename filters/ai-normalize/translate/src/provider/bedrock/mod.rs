//! AWS Bedrock's Converse.

mod embed;
mod error;
mod parts;
mod request;
mod response;
mod stream;

use crate::capability::{Capabilities, StructuredOutput, Thinking};
use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Param, Request, Response, Support};
use crate::provider::{AnswerHead, Framing, Provider, Reader};
use crate::report::Report;
use crate::target::{Outgoing, Target};
use span_json::Value;

/// The dialect.
#[derive(Debug)]
pub struct Bedrock;

impl Provider for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            thinking: Thinking::Budget,
            structured_output: StructuredOutput::Tool,
            image_urls: false,
            audio: false,
            ..Capabilities::default()
        }
    }

    fn support(&self, param: Param, capabilities: &Capabilities) -> Support {
        match param {
            Param::Temperature | Param::TopP | Param::TopK if !capabilities.sampling => Support::None,
            Param::MaxTokens => Support::Mapped("inferenceConfig.maxTokens"),
            Param::Temperature => Support::Adapted("inferenceConfig.temperature, at most 1"),
            Param::TopP => Support::Mapped("inferenceConfig.topP"),
            Param::TopK => Support::Mapped("additionalModelRequestFields.top_k"),
            Param::Stop => Support::Mapped("inferenceConfig.stopSequences"),
            Param::Metadata => Support::Mapped("requestMetadata"),
            Param::ServiceTier => Support::Adapted("serviceTier, where it has the same"),
            Param::Reasoning => match capabilities.thinking {
                Thinking::None => Support::None,
                _ => Support::Adapted("additionalModelRequestFields.thinking"),
            },
            Param::JsonSchema => match capabilities.structured_output {
                StructuredOutput::Native => Support::Mapped("outputConfig.textFormat"),
                StructuredOutput::Tool => Support::Adapted("a tool that has to be called"),
                StructuredOutput::JsonObject | StructuredOutput::Instruction => Support::Adapted("the system text"),
            },
            Param::JsonObject => Support::Adapted("the system text"),
            Param::N => Support::Refused,
            Param::ParallelToolCalls
            | Param::User
            | Param::Seed
            | Param::FrequencyPenalty
            | Param::PresencePenalty
            | Param::Logprobs
            | Param::TopLogprobs
            | Param::LogitBias
            | Param::Verbosity
            | Param::Modalities => Support::None,
        }
    }

    fn others(&self) -> &'static [&'static str] {
        &["guardrail_config"]
    }

    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError> {
        let path = if request.stream { "/model/{model}/converse-stream" } else { "/model/{model}/converse" };
        let (body, hints) = request::write(request, target, report)?;
        Ok(Outgoing { path: target.path(path), body, hints, ..Outgoing::default() })
    }

    fn response<'a>(&self, answer: Value<'a>, head: &AnswerHead<'a>, _: &Context) -> Result<Response<'a>, ApiError> {
        response::read(answer, head)
    }

    fn framing(&self) -> Framing {
        Framing::AwsEventStream
    }

    fn reader(&self, context: &Context) -> Box<dyn Reader> {
        Box::new(stream::FrameReader::new(context))
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
        Ok(Outgoing { path: target.path("/model/{model}/invoke"), body, ..Outgoing::default() })
    }

    fn embeddings<'a>(&self, answer: Value<'a>, head: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
        embed::response(answer, head)
    }

    fn count_tokens(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let body = request::count(request, target, report)?;
        Ok(Outgoing { path: target.path("/model/{model}/count-tokens"), body, ..Outgoing::default() })
    }

    fn token_count(&self, answer: Value<'_>) -> Result<u64, ApiError> {
        answer.u64_of("inputTokens").ok_or_else(|| ApiError::unreadable("expected inputTokens"))
    }
}
