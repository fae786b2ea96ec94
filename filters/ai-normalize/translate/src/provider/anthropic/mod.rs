//! Anthropic's Messages: its own interface, and those of Vertex and Bedrock, which wrap it.

mod error;
mod forward;
mod parts;
mod request;
mod response;
mod stream;

pub(crate) use stream::aws_exception;

use crate::capability::{Capabilities, StructuredOutput, Thinking};
use crate::client::Kind;
use crate::context::Context;
use crate::ir::{ApiError, Param, Request, Response, Support};
use crate::provider::{AnswerHead, Framing, Native, Provider, Reader};
use crate::report::Report;
use crate::target::{Outgoing, Target};
use crate::translate::Operation;
use span_json::Value;

/// Who serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Anthropic.
    Anthropic,
    /// Google's Vertex AI.
    Vertex,
    /// AWS Bedrock, by its older interface.
    Bedrock,
}

/// The dialect.
#[derive(Debug)]
pub struct Anthropic(pub Service);

/// The version of the interface that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";

impl Service {
    fn path(self, operation: Operation, stream: bool) -> &'static str {
        match (self, operation) {
            (Self::Anthropic, Operation::CountTokens) => "/v1/messages/count_tokens",
            (Self::Anthropic, _) => "/v1/messages",
            (Self::Vertex, Operation::CountTokens) => {
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/count-tokens:rawPredict"
            }
            (Self::Vertex, _) if stream => {
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict"
            }
            (Self::Vertex, _) => {
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict"
            }
            (Self::Bedrock, _) if stream => "/model/{model}/invoke-with-response-stream",
            (Self::Bedrock, _) => "/model/{model}/invoke",
        }
    }

    /// What a body says in place of a header.
    fn version_in_body(self) -> Option<&'static str> {
        match self {
            Self::Anthropic => None,
            Self::Vertex => Some("vertex-2023-10-16"),
            Self::Bedrock => Some("bedrock-2023-05-31"),
        }
    }

    /// Whether the body names the model.
    fn names_model(self, operation: Operation) -> bool {
        self == Self::Anthropic || self == Self::Vertex && operation == Operation::CountTokens
    }

    /// Whether the body says that a stream is wanted.
    fn names_stream(self) -> bool {
        self != Self::Bedrock
    }

    /// What clients say in headers and this service hears there.
    fn kept(self) -> &'static [&'static str] {
        match self {
            Self::Anthropic => &["anthropic-version", "anthropic-beta"],
            Self::Vertex => &["anthropic-beta"],
            Self::Bedrock => &[],
        }
    }

    fn outgoing(self, operation: Operation, stream: bool, body: Vec<u8>, target: &Target<'_>) -> Outgoing {
        let headers = match self {
            Self::Anthropic => vec![("anthropic-version", VERSION.to_owned())],
            Self::Vertex | Self::Bedrock => Vec::new(),
        };
        Outgoing { path: target.path(self.path(operation, stream)), headers, body, ..Outgoing::default() }
    }
}

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        match self.0 {
            Service::Anthropic => "anthropic",
            Service::Vertex => "anthropic-vertex",
            Service::Bedrock => "anthropic-bedrock",
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            thinking: Thinking::Budget,
            structured_output: StructuredOutput::Tool,
            image_urls: self.0 == Service::Anthropic,
            audio: false,
            ..Capabilities::default()
        }
    }

    fn support(&self, param: Param, capabilities: &Capabilities) -> Support {
        match param {
            Param::Temperature | Param::TopP | Param::TopK if !capabilities.sampling => Support::None,
            Param::MaxTokens => Support::Mapped("max_tokens"),
            Param::Temperature => Support::Adapted("temperature, at most 1"),
            Param::TopP => Support::Mapped("top_p"),
            Param::TopK => Support::Mapped("top_k"),
            Param::Stop => Support::Mapped("stop_sequences"),
            Param::User => Support::Mapped("metadata.user_id"),
            Param::ServiceTier => Support::Adapted("service_tier, where it has the same"),
            Param::ParallelToolCalls => Support::Mapped("tool_choice.disable_parallel_tool_use"),
            Param::Reasoning => match capabilities.thinking {
                Thinking::None => Support::None,
                Thinking::Budget | Thinking::Switch => Support::Adapted("thinking.budget_tokens"),
                Thinking::Effort => Support::Mapped("output_config.effort"),
            },
            Param::JsonSchema => match capabilities.structured_output {
                StructuredOutput::Native => Support::Mapped("output_config.format"),
                StructuredOutput::Tool => Support::Adapted("a tool that has to be called"),
                StructuredOutput::JsonObject | StructuredOutput::Instruction => Support::Adapted("the system text"),
            },
            Param::JsonObject => Support::Adapted("the system text"),
            Param::N => Support::Refused,
            Param::Seed
            | Param::FrequencyPenalty
            | Param::PresencePenalty
            | Param::Logprobs
            | Param::TopLogprobs
            | Param::LogitBias
            | Param::Metadata
            | Param::Verbosity
            | Param::Modalities => Support::None,
        }
    }

    fn others(&self) -> &'static [&'static str] {
        &["thinking", "cache_control"]
    }

    fn variables(&self) -> &'static [&'static str] {
        if self.0 == Service::Vertex { &["project", "location"] } else { &[] }
    }

    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError> {
        let (body, hints) = request::write(self.0, Operation::Chat, request, target, report)?;
        let outgoing = self.0.outgoing(Operation::Chat, request.stream, body, target);
        Ok(Outgoing { hints, ..outgoing })
    }

    fn response<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>, _: &Context) -> Result<Response<'a>, ApiError> {
        response::read(answer)
    }

    fn framing(&self) -> Framing {
        if self.0 == Service::Bedrock { Framing::AwsEventStream } else { Framing::Sse }
    }

    fn reader(&self, _: &Context) -> Box<dyn Reader> {
        Box::new(stream::EventReader::default())
    }

    fn error(&self, head: &AnswerHead<'_>, body: &[u8]) -> ApiError {
        error::read(head, body)
    }

    fn count_tokens(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        if self.0 == Service::Bedrock {
            return Err(ApiError::new(404, "this provider does not count tokens").code("unsupported_operation"));
        }
        let (body, _) = request::write(self.0, Operation::CountTokens, request, target, report)?;
        Ok(self.0.outgoing(Operation::CountTokens, false, body, target))
    }

    fn token_count(&self, answer: Value<'_>) -> Result<u64, ApiError> {
        answer.u64_of("input_tokens").ok_or_else(|| ApiError::unreadable("expected input_tokens"))
    }

    fn native(&self, client: Kind, operation: Operation, _: &Target<'_>) -> Option<&dyn Native> {
        let counts = operation != Operation::CountTokens || self.0 != Service::Bedrock;
        (client == Kind::Messages && operation != Operation::Embeddings && counts).then_some(self as &dyn Native)
    }
}
