//! The members of a chat request that Mistral takes.

use crate::openai::shapes::{FORMAT, TOOLS};
use crate::shape::{Shape, may, must};

static IMAGE: Shape = Shape::Either(&[
    &Shape::Filled,
    &Shape::Record(&[must("url", &Shape::Filled), may("detail", &Shape::Word(&["low", "auto", "high"]))]),
]);
static PART: Shape = Shape::Tagged(
    "type",
    &[
        ("text", &[must("text", &Shape::Text)]),
        ("image_url", &[must("image_url", &IMAGE)]),
        ("document_url", &[must("document_url", &Shape::Filled), may("document_name", &Shape::Text)]),
        ("input_audio", &[must("input_audio", &Shape::Any)]),
        ("reference", &[must("reference_ids", &Shape::Any)]),
        ("file", &[must("file_id", &Shape::Filled)]),
        ("thinking", &[must("thinking", &Shape::List(&Shape::Object, 0, 4096)), may("closed", &Shape::Bool)]),
    ],
);
static CONTENT: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&PART, 0, 4096)]);
static FUNCTION: Shape =
    Shape::Record(&[must("name", &Shape::Filled), must("arguments", &Shape::Either(&[&Shape::Text, &Shape::Object]))]);
static CALL: Shape = Shape::Record(&[
    may("id", &Shape::Text),
    may("type", &Shape::Word(&["function"])),
    may("index", &Shape::Integer(0, 1024)),
    must("function", &FUNCTION),
]);
static MESSAGE: Shape = Shape::Tagged(
    "role",
    &[
        ("system", &[must("content", &CONTENT)]),
        ("user", &[must("content", &CONTENT)]),
        (
            "assistant",
            &[may("content", &CONTENT), may("tool_calls", &Shape::List(&CALL, 0, 128)), may("prefix", &Shape::Bool)],
        ),
        ("tool", &[must("content", &CONTENT), may("tool_call_id", &Shape::Text), may("name", &Shape::Text)]),
    ],
);
static CHOICE: Shape = Shape::Either(&[
    &Shape::Word(&["auto", "none", "any", "required"]),
    &Shape::Record(&[may("type", &Shape::Word(&["function"])), must("function", &NAMED)]),
]);
static NAMED: Shape = Shape::Record(&[must("name", &Shape::Filled)]);

/// The request.
pub static CHAT: Shape = Shape::Record(&[
    must("messages", &Shape::List(&MESSAGE, 1, 4096)),
    must("model", &Shape::Filled),
    may("frequency_penalty", &Shape::Number(-2.0, 2.0)),
    may("guardrails", &Shape::Any),
    may("logprobs", &Shape::Bool),
    may("max_tokens", &Shape::Integer(0, i64::MAX)),
    may("metadata", &Shape::Object),
    may("min_tokens", &Shape::Integer(0, i64::MAX)),
    may("n", &Shape::Integer(1, 16)),
    may("parallel_tool_calls", &Shape::Bool),
    may("prediction", &Shape::Object),
    may("presence_penalty", &Shape::Number(-2.0, 2.0)),
    may("prompt_cache_key", &Shape::Text),
    may("prompt_logprobs", &Shape::Bool),
    may("prompt_mode", &Shape::Word(&["reasoning"])),
    may("random_seed", &Shape::Integer(0, i64::MAX)),
    may("reasoning_effort", &Shape::Word(&["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    may("repetition_penalty", &Shape::Number(0.0, 2.0)),
    may("response_format", &FORMAT),
    may("safe_prompt", &Shape::Bool),
    may("service_tier", &Shape::Word(&["auto", "standard_only"])),
    may("stop", &Shape::Either(&[&Shape::Text, &Shape::List(&Shape::Text, 0, 64)])),
    may("stream", &Shape::Bool),
    may("temperature", &Shape::Number(0.0, 1.5)),
    may("tool_choice", &CHOICE),
    may("tools", &TOOLS),
    may("top_k", &Shape::Integer(0, i64::MAX)),
    may("top_logprobs", &Shape::Integer(0, 20)),
    may("top_prompt_logprobs", &Shape::Integer(0, 20)),
    may("top_p", &Shape::Number(0.0, 1.0)),
]);
