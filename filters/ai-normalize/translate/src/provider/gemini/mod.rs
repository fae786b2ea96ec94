//! Google's Gemini: AI Studio, and Vertex AI.

mod embed;
mod error;
mod parts;
mod request;
mod response;
pub mod schema;
mod stream;

use crate::capability::{Capabilities, Thinking};
use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Param, Request, Response, Support};
use crate::provider::{AnswerHead, Provider, Reader};
use crate::report::Report;
use crate::target::{Outgoing, Target};
use span_json::Value;

/// Who serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// AI Studio.
    Studio,
    /// Vertex AI.
    Vertex,
}

/// The dialect.
#[derive(Debug)]
pub struct Gemini(pub Service);

impl Service {
    /// The path of a method of a model.
    fn path(self, method: &str, target: &Target<'_>) -> String {
        let before = match self {
            Self::Studio => "/v1beta/models/{model}:",
            Self::Vertex => "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:",
        };
        format!("{}{method}", target.path(before))
    }
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        match self.0 {
            Service::Studio => "gemini",
            Service::Vertex => "vertex",
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { thinking: Thinking::Budget, json_schema: true, ..Capabilities::default() }
    }

    fn support(&self, param: Param, capabilities: &Capabilities) -> Support {
        match param {
            Param::MaxTokens => Support::Mapped("generationConfig.maxOutputTokens"),
            Param::Temperature => Support::Mapped("generationConfig.temperature"),
            Param::TopP => Support::Mapped("generationConfig.topP"),
            Param::TopK => Support::Mapped("generationConfig.topK"),
            Param::N => Support::Mapped("generationConfig.candidateCount"),
            Param::Seed => Support::Mapped("generationConfig.seed"),
            Param::FrequencyPenalty => Support::Mapped("generationConfig.frequencyPenalty"),
            Param::PresencePenalty => Support::Mapped("generationConfig.presencePenalty"),
            Param::Stop => Support::Adapted("generationConfig.stopSequences, five at most"),
            Param::Logprobs => Support::Mapped("generationConfig.responseLogprobs"),
            Param::TopLogprobs => Support::Mapped("generationConfig.logprobs"),
            Param::Reasoning => match capabilities.thinking {
                Thinking::None => Support::None,
                Thinking::Effort => Support::Adapted("generationConfig.thinkingConfig.thinkingLevel"),
                Thinking::Budget | Thinking::Switch => {
                    Support::Adapted("generationConfig.thinkingConfig.thinkingBudget")
                }
            },
            Param::JsonObject => Support::Mapped("generationConfig.responseMimeType"),
            Param::JsonSchema if capabilities.json_schema => Support::Mapped("generationConfig.responseJsonSchema"),
            Param::JsonSchema => Support::Adapted("generationConfig.responseSchema"),
            Param::Modalities => Support::Mapped("generationConfig.responseModalities"),
            Param::Metadata if self.0 == Service::Vertex => Support::Mapped("labels"),
            Param::Metadata
            | Param::User
            | Param::LogitBias
            | Param::ServiceTier
            | Param::Verbosity
            | Param::ParallelToolCalls => Support::None,
        }
    }

    fn others(&self) -> &'static [&'static str] {
        &["safety_settings"]
    }

    fn variables(&self) -> &'static [&'static str] {
        if self.0 == Service::Vertex { &["project", "location"] } else { &[] }
    }

    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError> {
        let method = if request.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let (body, hints) = request::write(self.0, request, target, report)?;
        Ok(Outgoing { path: self.0.path(method, target), body, hints, ..Outgoing::default() })
    }

    fn response<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>, _: &Context) -> Result<Response<'a>, ApiError> {
        response::read(answer)
    }

    fn reader(&self, context: &Context) -> Box<dyn Reader> {
        Box::new(stream::CandidateReader::new(context))
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
        let (method, body) = embed::request(self.0, request, target, report)?;
        Ok(Outgoing { path: self.0.path(method, target), body, ..Outgoing::default() })
    }

    fn embeddings<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
        embed::response(answer)
    }

    fn count_tokens(
        &self,
        request: &Request<'_>,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let body = request::count(self.0, request, target, report)?;
        Ok(Outgoing { path: self.0.path("countTokens", target), body, ..Outgoing::default() })
    }

    fn token_count(&self, answer: Value<'_>) -> Result<u64, ApiError> {
        answer.u64_of("totalTokens").ok_or_else(|| ApiError::unreadable("expected totalTokens"))
    }
}
