//! Anthropic Messages, as clients speak it.

mod request;
mod response;
mod stream;

use crate::client::{Client, Emitter, Kind};
use crate::context::Context;
use crate::ir::{ApiError, ErrorKind, Finish, Param, Request, Response, Usage};
use span_json::{Value, Writer};

/// The dialect.
#[derive(Debug)]
pub struct Messages;

impl Client for Messages {
    fn kind(&self) -> Kind {
        Kind::Messages
    }

    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn param_name(&self, param: Param) -> &'static str {
        match param {
            Param::Stop => "stop_sequences",
            Param::User => "metadata.user_id",
            Param::Reasoning => "thinking",
            Param::JsonSchema | Param::JsonObject => "output_config.format",
            Param::ParallelToolCalls => "tool_choice.disable_parallel_tool_use",
            other => other.name(),
        }
    }

    fn request<'a>(&self, request: Value<'a>) -> Result<Request<'a>, ApiError> {
        request::read(request)
    }

    fn response(&self, response: &Response<'_>, context: &Context) -> Vec<u8> {
        response::write(response, context)
    }

    fn emitter(&self, context: &Context) -> Box<dyn Emitter> {
        Box::new(stream::MessagesEmitter::new(context))
    }

    fn error(&self, error: &ApiError) -> Vec<u8> {
        write_error(error)
    }
}

/// `{"type": "error", "error": {type, message}}`
pub fn write_error(error: &ApiError) -> Vec<u8> {
    let mut out = Writer::default();
    out.object(|out| {
        out.key("type").string("error");
        out.key("error").object(|out| {
            out.key("type").string(type_name(error.kind));
            out.key("message").string(&error.message);
        });
    });
    out.finish()
}

fn type_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Billing => "billing_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::Conflict => "conflict_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Server => "api_error",
    }
}

/// Anthropic's word for why an answer ends.
fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Unknown => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter | Finish::Refusal | Finish::Malformed => "refusal",
    }
}

/// Anthropic's `usage`, whose counts do not include each other.
fn write_usage(usage: &Usage, out: &mut Writer) {
    out.object(|out| {
        let plain = usage.input.saturating_sub(usage.cached).saturating_sub(usage.cache_write);
        out.key("input_tokens").number(plain);
        out.key("cache_creation_input_tokens").number(usage.cache_write);
        out.key("cache_read_input_tokens").number(usage.cached);
        out.key("output_tokens").number(usage.output);
    });
}

/// An id with Anthropic's prefix.
fn answer_id(id: Option<&str>, context: &Context) -> String {
    match id {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        Some(id) if !id.is_empty() => format!("msg_{id}"),
        _ => context.id("msg_", 0),
    }
}
