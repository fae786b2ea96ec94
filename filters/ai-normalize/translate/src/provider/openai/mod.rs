//! OpenAI, and providers that speak like it: a table entry each.

mod calls;
mod encode;
mod error;
mod forward;
mod forward_answer;
mod forward_responses;
mod forward_stream;
mod quirks;
mod read;
mod stream;
mod table;
mod usage;

pub use quirks::{Quirks, ThinkingSwitch, ToolIds};
pub use table::{ENTRIES, Entry};

use crate::capability::{Capabilities, Thinking};
use crate::client::Kind;
use crate::context::Context;
use crate::ir::{ApiError, Embeddings, EmbeddingsRequest, Inputs, Param, Request, Response, Support, Usage, Vector};
use crate::provider::{AnswerHead, Native, Provider, Reader};
use crate::report::Report;
use crate::stream::Stage;
use crate::target::{Outgoing, Target};
use crate::translate::Operation;
use span_json::{Doc, Limits, Value, Writer};

/// A provider of the table.
#[derive(Debug)]
pub struct Compatible(pub &'static Entry);

impl Provider for Compatible {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn quirks(&self) -> Quirks {
        self.0.quirks()
    }

    fn support(&self, param: Param, capabilities: &Capabilities) -> Support {
        let dropped = |name| self.0.drop.contains(&name);
        let renamed = self.0.rename.iter().find(|(from, _)| *from == param.name()).map(|(_, to)| *to);
        match param {
            Param::N if dropped("n") => Support::Refused,
            param if dropped(param.name()) => Support::None,
            param if !capabilities.sampling && forward::SAMPLING.contains(&param.name()) => Support::None,
            Param::TopK if !self.0.top_k => Support::None,
            Param::Reasoning => match capabilities.thinking {
                Thinking::None => Support::None,
                Thinking::Effort | Thinking::Budget => Support::Mapped("reasoning_effort"),
                Thinking::Switch => Support::Adapted("on or off"),
            },
            Param::JsonSchema if !self.0.json_schema => Support::Adapted("JSON, and the schema in the system text"),
            Param::JsonObject => Support::Mapped("response_format"),
            Param::JsonSchema => Support::Mapped("response_format"),
            Param::MaxTokens => Support::Mapped(self.0.max_tokens.unwrap_or("max_completion_tokens")),
            param => Support::Mapped(renamed.unwrap_or(param.name())),
        }
    }

    fn others(&self) -> &'static [&'static str] {
        &encode::OTHERS
    }

    fn variables(&self) -> &'static [&'static str] {
        self.0.variables
    }

    fn chat(&self, request: &Request<'_>, target: &Target<'_>, report: &mut Report) -> Result<Outgoing, ApiError> {
        let written = encode::chat(request, self.0, target, report)?;
        let doc = Doc::parse(&written, Limits::default())
            .map_err(|_| ApiError::new(500, "the request could not be written"))?;
        self.request(&doc, Operation::Chat, target, report)
    }

    fn response<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>, _: &Context) -> Result<Response<'a>, ApiError> {
        read::response(answer)
    }

    fn reader(&self, _: &Context) -> Box<dyn Reader> {
        Box::new(stream::ChunkReader::default())
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
        let Inputs::Texts(texts) = &request.inputs else {
            return Err(ApiError::invalid("input: this provider takes texts, not tokens").param("input"));
        };
        let mut out = Writer::default();
        out.object(|out| {
            out.key("model").string(target.model);
            out.key("input").array(|out| texts.iter().for_each(|text| out.text(text)));
            if let Some(dimensions) = request.dimensions {
                out.key("dimensions").raw(dimensions);
            }
            if let Some(user) = &request.user {
                out.key("user").text(user);
            }
        });
        let written = out.finish();
        let doc = Doc::parse(&written, Limits::default())
            .map_err(|_| ApiError::new(500, "the request could not be written"))?;
        self.request(&doc, Operation::Embeddings, target, report)
    }

    fn embeddings<'a>(&self, answer: Value<'a>, _: &AnswerHead<'a>) -> Result<Embeddings<'a>, ApiError> {
        let data = answer.get("data").ok_or_else(|| ApiError::unreadable("expected data"))?;
        let vector = |entry: Value<'a>| {
            let embedding = entry.get("embedding")?;
            Some(embedding.text().map_or(Vector::Floats(embedding), Vector::Base64))
        };
        let vectors: Option<Vec<_>> = data.elements().map(vector).collect();
        Ok(Embeddings {
            vectors: vectors.ok_or_else(|| ApiError::unreadable("expected embeddings"))?,
            model: answer.text_of("model"),
            usage: answer.given("usage").map(usage::read),
        })
    }

    fn native(&self, client: Kind, operation: Operation, _: &Target<'_>) -> Option<&dyn Native> {
        match (client, operation) {
            (Kind::Chat, Operation::Chat | Operation::Embeddings) => Some(self),
            (Kind::Responses, Operation::Chat) => self.0.responses.is_some().then_some(self.0 as &dyn Native),
            _ => None,
        }
    }
}

impl Native for Compatible {
    fn request(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let path = match operation {
            Operation::Chat => self.0.chat,
            _ => self
                .0
                .embeddings
                .ok_or_else(|| ApiError::invalid("this provider has no embeddings").code("unsupported_operation"))?,
        };
        let body = forward::request(doc, operation, target, report)?;
        Ok(Outgoing { path: target.path(path), body, ..Outgoing::default() })
    }

    fn response(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        context: &Context,
    ) -> Result<(Option<Vec<u8>>, Option<Usage>), ApiError> {
        forward_answer::response(doc, operation, context)
    }

    fn stream(&self, context: &Context) -> Box<dyn Stage> {
        Box::new(forward_stream::Forward::new(context))
    }
}
