//! From a client's request to a provider's, and from the provider's answer to the client's.

use crate::capability::Capabilities;
use crate::client::{Client, embeddings};
use crate::context::{Context, ModelName};
use crate::ir::{ApiError, Event, Param, Part, Request, Response, Support, Usage};
use crate::provider::{AnswerHead, Provider};
use crate::report::Report;
use crate::stream::{StreamPipe, Translating};
use crate::target::{Outgoing, Target};
use span_json::{Doc, Kind, Limits, Text, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer of a model.
    Chat,
    /// Vectors.
    Embeddings,
    /// The number of a request's tokens.
    CountTokens,
}

impl Operation {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::CountTokens => "count_tokens",
        }
    }
}

/// Checks a request's body as far as it has to be for finding its model.
///
/// # Errors
/// 400, with the place of the mistake.
pub fn parse(body: &[u8]) -> Result<Doc<'_>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::invalid("the request has no body; expected a JSON object").code("missing_body"));
    }
    let doc = Doc::parse(body, Limits::default())
        .map_err(|error| ApiError::invalid(format!("the request's body is no JSON: {error}")).code("invalid_json"))?;
    let kind = doc.root().kind();
    if kind != Kind::Object {
        return Err(ApiError::invalid(format!("expected a JSON object, found {}", kind.name())).code("invalid_json"));
    }
    // readers differ in which of both counts: a model could be named twice
    if let Some(name) = doc.root().repeated() {
        return Err(ApiError::invalid(format!("the member {name:?} is there twice"))
            .code("invalid_json")
            .param(name.into_owned()));
    }
    Ok(doc)
}

/// The model that a request asks for, if it names one.
///
/// # Errors
/// 400, if what names it is no text.
pub fn model<'a>(request: Value<'a>) -> Result<Option<Cow<'a, str>>, ApiError> {
    match request.given("model") {
        None => Ok(None),
        Some(model) => match model.str() {
            Some(name) if !name.is_empty() => Ok(Some(name)),
            _ => {
                Err(ApiError::invalid(format!("model: expected a string, found {}", model.raw_short())).param("model"))
            }
        },
    }
}

/// Whether a request asks for a stream.
///
/// # Errors
/// 400, if it says so in something else than a boolean.
pub fn wants_stream(request: Value<'_>) -> Result<bool, ApiError> {
    match request.given("stream") {
        None => Ok(false),
        Some(stream) => {
            let why = || ApiError::invalid(format!("stream: expected a boolean, found {}", stream.kind().name()));
            stream.bool().ok_or_else(|| why().param("stream"))
        }
    }
}

/// A request as it goes to a provider.
#[derive(Debug, Clone)]
pub struct Translated {
    /// It.
    pub outgoing: Outgoing,
    /// It was forwarded with changes to single spans.
    pub native: bool,
    /// The answer is to come as a stream.
    pub stream: bool,
    /// The client wants to see what a stream cost.
    pub want_usage: bool,
    /// What the answer repeats of the request.
    pub echo: String,
}

/// Translates a request, or forwards it.
///
/// # Errors
/// What is wrong with it, or what the provider cannot do.
pub fn request(
    client: &dyn Client,
    provider: &dyn Provider,
    operation: Operation,
    doc: &Doc<'_>,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<Translated, ApiError> {
    let root = doc.root();
    let stream = operation == Operation::Chat && wants_stream(root)?;
    let want_usage = client.wants_usage(root);
    if let Some(native) = provider.native(client.kind(), operation, target) {
        let outgoing = native.request(doc, operation, target, report)?;
        return Ok(Translated { outgoing, native: true, stream, want_usage, echo: String::new() });
    }
    let outgoing = match operation {
        Operation::Embeddings => {
            let request = embeddings::request(root)?;
            for (name, _) in &request.others {
                report.drop(name.decode().into_owned(), "not known")?;
            }
            let mut outgoing = provider.embed(&request, target, report)?;
            outgoing.hints.notes.extend(request.base64.then_some(embeddings::BASE64));
            outgoing
        }
        Operation::Chat | Operation::CountTokens => {
            let request = client.request(root)?;
            let params = &request.params;
            for param in Param::ALL.iter().filter(|param| param.is_given(params)) {
                match provider.support(*param, target.capabilities) {
                    Support::Mapped(_) | Support::Adapted(_) => {}
                    Support::None => report.drop(client.param_name(*param), "this provider has nothing like it")?,
                    Support::Refused => {
                        return Err(ApiError::unsupported(
                            client.param_name(*param),
                            "this provider has nothing like it",
                        ));
                    }
                }
            }
            for (name, _) in params.others.iter().filter(|(name, _)| !provider.others().contains(name)) {
                report.drop(*name, "this provider has nothing like it")?;
            }
            for name in &params.unknown {
                report.drop(name.decode().into_owned(), "not known")?;
            }
            check_parts(&request, target.capabilities)?;
            match operation {
                Operation::CountTokens => provider.count_tokens(&request, target, report)?,
                _ => provider.chat(&request, target, report)?,
            }
        }
    };
    Ok(Translated { outgoing, native: false, stream, want_usage, echo: client.echo(root) })
}

/// Refuses what a model cannot take: an answer that is not about it would be a wrong one.
fn check_parts(request: &Request<'_>, capabilities: &Capabilities) -> Result<(), ApiError> {
    let refuse = |why| Err(ApiError::unsupported("messages", why));
    if !capabilities.tools && !request.tools.is_empty() {
        return Err(ApiError::unsupported("tools", "this model calls no tools"));
    }
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        match part {
            Part::Image { .. } if !capabilities.images => return refuse("this model does not look at images"),
            Part::Audio { .. } if !capabilities.audio => return refuse("this model does not listen to audio"),
            Part::File { .. } if !capabilities.files => return refuse("this model does not read files"),
            _ => {}
        }
    }
    Ok(())
}

/// What a client gets for a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON, or a stream if the client asked for one; `None` if the provider's stays as it is.
    pub body: Option<Vec<u8>>,
    /// `text/event-stream` where the body is a stream.
    pub is_stream: bool,
    /// What it cost.
    pub usage: Option<Usage>,
    /// What went wrong.
    pub error: Option<ApiError>,
}

/// A request under way: who gets the answer, and from whom.
#[derive(Debug)]
pub struct Answering {
    /// Who gets it.
    pub client: &'static dyn Client,
    /// Who gives it.
    pub provider: &'static dyn Provider,
    /// What it is.
    pub operation: Operation,
    /// Client and provider speak the same dialect.
    pub native: bool,
    /// What it is written with.
    pub context: Context,
    /// How the provider differs from OpenAI, and what its model can do.
    pub settings: Settings,
}

/// What of a [`Target`] outlives a request.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// See [`Target`].
    pub capabilities: crate::Capabilities,
    /// See [`Target`].
    pub quirks: crate::provider::openai::Quirks,
    /// See [`Target`].
    pub variables: BTreeMap<String, String>,
}

impl Answering {
    fn target(&self) -> Target<'_> {
        let Settings { capabilities, quirks, variables } = &self.settings;
        Target { model: &self.context.sent_model, capabilities, quirks, variables }
    }

    /// A whole answer, with any status.
    pub fn whole(&self, head: &AnswerHead<'_>, body: &[u8]) -> Answer {
        if !(200..300).contains(&head.status) {
            return self.failed(self.provider.error(head, body));
        }
        self.read(head, body).unwrap_or_else(|error| self.failed(error))
    }

    /// An error in the client's dialect.
    pub fn failed(&self, error: ApiError) -> Answer {
        Answer {
            status: error.status,
            body: Some(self.client.error(&error)),
            is_stream: false,
            usage: None,
            error: Some(error),
        }
    }

    fn read(&self, head: &AnswerHead<'_>, body: &[u8]) -> Result<Answer, ApiError> {
        let doc = Doc::parse(body, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        let answer = |body, usage| Answer { status: head.status, body, is_stream: false, usage, error: None };
        let target = self.target();
        if self.native
            && let Some(native) = self.provider.native(self.client.kind(), self.operation, &target)
            && !(self.context.stream && self.operation == Operation::Chat)
        {
            let (body, usage) = native.response(&doc, self.operation, &self.context)?;
            return Ok(answer(body, usage));
        }
        match self.operation {
            Operation::Embeddings => {
                let vectors = self.provider.embeddings(doc.root(), head)?;
                let usage = vectors.usage;
                Ok(answer(Some(embeddings::response(&vectors, &self.context)?), usage))
            }
            Operation::CountTokens => {
                let tokens = self.provider.token_count(doc.root())?;
                Ok(answer(Some(self.client.token_count(tokens)), None))
            }
            Operation::Chat => {
                let mut response = self.provider.response(doc.root(), head, &self.context)?;
                self.restore(&mut response);
                let usage = response.usage;
                if self.context.stream {
                    // a provider that answers as a whole where it was asked for a stream
                    let body = self.as_stream(&response);
                    return Ok(Answer { is_stream: true, ..answer(Some(body), usage) });
                }
                Ok(answer(Some(self.client.response(&response, &self.context)), usage))
            }
        }
    }

    /// Takes back what the request's translation has changed.
    fn restore(&self, response: &mut Response<'_>) {
        let hints = &self.context.hints;
        for choice in &mut response.choices {
            let mut unwrapped = false;
            for part in &mut choice.parts {
                let Part::ToolCall(call) = part else { continue };
                let name = call.name.decode();
                if hints.answer_tool.as_deref() == Some(name.as_ref()) {
                    unwrapped = true;
                    *part = Part::text(call.arguments.encoded());
                } else {
                    call.name = Text::from(hints.tool_name(&name).to_owned());
                }
            }
            if unwrapped && choice.finish == crate::ir::Finish::ToolCalls {
                choice.finish = crate::ir::Finish::Stop;
            }
        }
    }

    fn as_stream(&self, response: &Response<'_>) -> Vec<u8> {
        let mut emitter = self.client.emitter(&self.context);
        let mut out = Vec::new();
        response.events(&mut |event| emitter.event(event, &mut out));
        out
    }

    /// The answer as a stream.
    pub fn stream(&self) -> StreamPipe {
        let target = self.target();
        if self.native
            && let Some(native) = self.provider.native(self.client.kind(), self.operation, &target)
        {
            return StreamPipe::new(self.provider.framing(), native.stream(&self.context));
        }
        let reader = self.provider.reader(&self.context);
        let stage = Translating::new(reader, self.client.emitter(&self.context), &self.context);
        StreamPipe::new(self.provider.framing(), Box::new(stage))
    }
}

impl Response<'_> {
    /// The same as events of a stream.
    pub fn events(&self, each: &mut dyn FnMut(Event<'_>)) {
        each(Event::Start { id: self.id.clone(), model: self.model.clone(), created: self.created });
        for choice in &self.choices {
            let index = choice.index;
            let mut slot = 0;
            for part in &choice.parts {
                match part {
                    Part::Text { text, .. } if !text.is_empty() => {
                        each(Event::Text { choice: index, text: text.clone(), logprobs: choice.logprobs });
                    }
                    Part::Refusal(text) if !text.is_empty() => {
                        each(Event::Refusal { choice: index, text: text.clone() })
                    }
                    Part::Thinking { text, signature } => {
                        if !text.is_empty() {
                            each(Event::Reasoning { choice: index, text: text.clone() });
                        }
                        if let Some(signature) = signature {
                            each(Event::Signature { choice: index, signature: signature.clone() });
                        }
                    }
                    Part::RedactedThinking { data } => {
                        each(Event::RedactedThinking { choice: index, data: data.clone() })
                    }
                    Part::ToolCall(call) => {
                        each(Event::ToolStart {
                            choice: index,
                            slot,
                            id: Some(call.id.clone()).filter(|id| !id.is_empty()),
                            name: call.name.clone(),
                            signature: call.signature.clone(),
                        });
                        let fragment = call.arguments.encoded();
                        if !fragment.is_empty() {
                            each(Event::ToolArguments { choice: index, slot, fragment });
                        }
                        each(Event::ToolEnd { choice: index, slot });
                        slot += 1;
                    }
                    _ => {}
                }
            }
            each(Event::Finish { choice: index, finish: choice.finish, stop_sequence: choice.stop_sequence.clone() });
        }
        if let Some(usage) = self.usage {
            each(Event::Usage(usage));
        }
        each(Event::End);
    }
}

/// Whether a model's name has to be changed in an answer of a provider that speaks the client's dialect.
pub fn renames_model(context: &Context) -> bool {
    context.model_name == ModelName::Requested && context.asked_model != context.sent_model
}
