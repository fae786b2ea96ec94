//! The members of a chat request that DeepSeek looks at.

use crate::openai::shapes::{STOP, TEXTS, TOOL_CALLS, TOOLS};
use crate::shape::{Shape, may, must};

static MESSAGE: Shape = Shape::Tagged(
    "role",
    &[
        ("system", &[must("content", &TEXTS), may("name", &Shape::Text)]),
        ("user", &[must("content", &TEXTS), may("name", &Shape::Text)]),
        (
            "assistant",
            &[
                may("content", &TEXTS),
                may("name", &Shape::Text),
                may("prefix", &Shape::Bool),
                may("reasoning_content", &Shape::Text),
                may("tool_calls", &TOOL_CALLS),
            ],
        ),
        ("tool", &[must("content", &TEXTS), must("tool_call_id", &Shape::Text)]),
    ],
);
static THINKING: Shape = Shape::Record(&[must("type", &Shape::Word(&["enabled", "disabled"]))]);

/// The request.
pub static CHAT: Shape = Shape::Record(&[
    must("messages", &Shape::List(&MESSAGE, 1, 4096)),
    must("model", &Shape::Filled),
    may("thinking", &THINKING),
    may("frequency_penalty", &Shape::Number(-2.0, 2.0)),
    may("presence_penalty", &Shape::Number(-2.0, 2.0)),
    may("max_tokens", &Shape::Integer(1, 1 << 20)),
    may("response_format", &Shape::Object),
    may("reasoning_effort", &Shape::Text),
    may("stop", &Shape::Either(&[&STOP, &Shape::List(&Shape::Text, 0, 16)])),
    may("stream", &Shape::Bool),
    may("stream_options", &Shape::Object),
    may("temperature", &Shape::Number(0.0, 2.0)),
    may("top_p", &Shape::Number(0.0, 1.0)),
    may("tools", &TOOLS),
    may("tool_choice", &Shape::Either(&[&Shape::Word(&["none", "auto", "required"]), &Shape::Object])),
    may("logprobs", &Shape::Bool),
    may("top_logprobs", &Shape::Integer(0, 20)),
]);
