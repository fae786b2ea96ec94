//! OpenAI Responses, as clients speak it; without anything that the server would have to remember.

mod object;
mod request;
mod response;
mod stream;

use crate::client::{Client, Emitter, Kind, chat};
use crate::context::Context;
use crate::ir::{ApiError, Param, Request, Response};
use span_json::{Value, Writer};

/// The dialect.
#[derive(Debug)]
pub struct Responses;

/// Members of a request that an answer repeats.
const REPEATED: [&str; 10] = [
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
];

/// Most bytes of what an answer repeats; more is left out.
const MAX_REPEATED: usize = 64 * 1024;

impl Client for Responses {
    fn kind(&self) -> Kind {
        Kind::Responses
    }

    fn name(&self) -> &'static str {
        "responses"
    }

    fn param_name(&self, param: Param) -> &'static str {
        match param {
            Param::MaxTokens => "max_output_tokens",
            Param::Reasoning => "reasoning.effort",
            Param::Verbosity => "text.verbosity",
            Param::JsonObject | Param::JsonSchema => "text.format",
            other => other.name(),
        }
    }

    fn echo(&self, request: Value<'_>) -> String {
        let mut out = Writer::default();
        let mut left = MAX_REPEATED;
        out.object(|out| {
            for name in REPEATED {
                let given = request.given(name).map(|value| value.raw());
                let json = given.filter(|json| json.len() <= left).unwrap_or(match name {
                    "tools" => "[]",
                    "tool_choice" => "\"auto\"",
                    "parallel_tool_calls" => "true",
                    "metadata" => "{}",
                    _ => "null",
                });
                left = left.saturating_sub(json.len());
                out.key(name).raw(json);
            }
        });
        let text = String::from_utf8(out.finish()).unwrap_or_default();
        text.strip_prefix("{").and_then(|text| text.strip_suffix("}")).unwrap_or_default().to_owned()
    }

    fn request<'a>(&self, request: Value<'a>) -> Result<Request<'a>, ApiError> {
        request::read(request)
    }

    fn response(&self, response: &Response<'_>, context: &Context) -> Vec<u8> {
        response::write(response, context)
    }

    fn emitter(&self, context: &Context) -> Box<dyn Emitter> {
        Box::new(stream::ResponsesEmitter::new(context))
    }

    fn error(&self, error: &ApiError) -> Vec<u8> {
        chat::write_error(error)
    }
}
