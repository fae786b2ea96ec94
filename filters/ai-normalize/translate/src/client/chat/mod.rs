//! OpenAI Chat Completions, as clients speak it.

mod error;
mod request;
mod response;
mod stream;

pub use error::write as write_error;

use crate::client::{Client, Emitter, Kind};
use crate::context::Context;
use crate::ir::{ApiError, Finish, Request, Response, Usage};
use span_json::{Value, Writer};

/// The dialect.
#[derive(Debug)]
pub struct Chat;

impl Client for Chat {
    fn kind(&self) -> Kind {
        Kind::Chat
    }

    fn name(&self) -> &'static str {
        "openai"
    }

    fn wants_usage(&self, request: Value<'_>) -> bool {
        request.at(&["stream_options", "include_usage"]).and_then(|value| value.bool()) == Some(true)
    }

    fn request<'a>(&self, request: Value<'a>) -> Result<Request<'a>, ApiError> {
        request::read(request)
    }

    fn response(&self, response: &Response<'_>, context: &Context) -> Vec<u8> {
        response::write(response, context)
    }

    fn emitter(&self, context: &Context) -> Box<dyn Emitter> {
        Box::new(stream::ChatEmitter::new(context))
    }

    fn error(&self, error: &ApiError) -> Vec<u8> {
        write_error(error)
    }
}

/// OpenAI's word for why an answer ends. It has none for an answer that could not be read: a filter took it away.
pub(crate) fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Unknown => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter | Finish::Refusal | Finish::Malformed => "content_filter",
    }
}

/// OpenAI's `usage`.
pub(crate) fn write_usage(usage: &Usage, out: &mut Writer) {
    out.object(|out| {
        out.key("prompt_tokens").number(usage.input);
        out.key("completion_tokens").number(usage.output);
        out.key("total_tokens").number(usage.total());
        out.key("prompt_tokens_details").object(|out| {
            out.key("cached_tokens").number(usage.cached);
            if usage.cache_write > 0 {
                out.key("cache_write_tokens").number(usage.cache_write);
            }
        });
        out.key("completion_tokens_details").object(|out| out.key("reasoning_tokens").number(usage.reasoning));
    });
}

/// An id with OpenAI's prefix.
pub(crate) fn answer_id(id: Option<&str>, context: &Context) -> String {
    match id {
        Some(id) if id.starts_with("chatcmpl-") => id.to_owned(),
        Some(id) if !id.is_empty() => format!("chatcmpl-{id}"),
        _ => context.id("chatcmpl-", 0),
    }
}
