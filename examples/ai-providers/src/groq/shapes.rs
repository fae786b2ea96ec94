//! The members of a chat request that Groq takes.

use crate::openai::shapes::{FORMAT, STOP, TEXTS, TOOL_CALLS, TOOLS, USER_CONTENT};
use crate::shape::{Shape, may, must};

static MESSAGE: Shape = Shape::Tagged(
    "role",
    &[
        ("system", &[must("content", &TEXTS)]),
        ("user", &[must("content", &USER_CONTENT)]),
        ("assistant", &[may("content", &TEXTS), may("reasoning", &Shape::Text), may("tool_calls", &TOOL_CALLS)]),
        ("tool", &[must("content", &TEXTS), must("tool_call_id", &Shape::Filled)]),
    ],
);

/// The request.
pub static CHAT: Shape = Shape::Record(&[
    must("messages", &Shape::List(&MESSAGE, 1, 4096)),
    must("model", &Shape::Filled),
    may("citation_options", &Shape::Text),
    may("disable_tool_validation", &Shape::Bool),
    may("frequency_penalty", &Shape::Number(-2.0, 2.0)),
    may("include_reasoning", &Shape::Bool),
    may("logit_bias", &Shape::Any),
    may("logprobs", &Shape::Any),
    may("max_completion_tokens", &Shape::Integer(1, i64::MAX)),
    may("max_tokens", &Shape::Integer(1, i64::MAX)),
    may("metadata", &Shape::Object),
    may("n", &Shape::Integer(1, 128)),
    may("parallel_tool_calls", &Shape::Bool),
    may("presence_penalty", &Shape::Number(-2.0, 2.0)),
    may("reasoning_effort", &Shape::Word(&["none", "default", "low", "medium", "high"])),
    may("reasoning_format", &Shape::Word(&["hidden", "raw", "parsed"])),
    may("response_format", &FORMAT),
    may("seed", &Shape::Integer(i64::MIN, i64::MAX)),
    may("service_tier", &Shape::Word(&["auto", "on_demand", "flex", "performance"])),
    may("stop", &STOP),
    may("store", &Shape::Bool),
    may("stream", &Shape::Bool),
    may("stream_options", &Shape::Record(&[may("include_usage", &Shape::Bool)])),
    may("temperature", &Shape::Number(0.0, 2.0)),
    may("tool_choice", &Shape::Either(&[&Shape::Word(&["none", "auto", "required"]), &Shape::Object])),
    may("tools", &TOOLS),
    may("top_logprobs", &Shape::Any),
    may("top_p", &Shape::Number(0.0, 1.0)),
    may("user", &Shape::Text),
]);
