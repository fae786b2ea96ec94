//! The members of requests to Cohere.

use crate::openai::shapes::{FUNCTION, TOOL_CALLS};
use crate::shape::{Shape, may, must};

const MANY: usize = 4096;

static IMAGE: Shape =
    Shape::Record(&[must("url", &Shape::Filled), may("detail", &Shape::Word(&["auto", "low", "high"]))]);
static USER_PART: Shape = Shape::Tagged(
    "type",
    &[
        ("text", &[must("text", &Shape::Text)]),
        ("image_url", &[must("image_url", &IMAGE)]),
        ("document", &[must("document", &Shape::Object)]),
    ],
);
static TEXT_PART: Shape =
    Shape::Tagged("type", &[("text", &[must("text", &Shape::Text)]), ("thinking", &[must("thinking", &Shape::Text)])]);
static RESULT_PART: Shape = Shape::Tagged(
    "type",
    &[("text", &[must("text", &Shape::Text)]), ("document", &[must("document", &Shape::Object)])],
);
static MESSAGE: Shape = Shape::Tagged(
    "role",
    &[
        ("system", &[must("content", &Shape::Either(&[&Shape::Text, &Shape::List(&TEXT_PART, 0, MANY)]))]),
        ("user", &[must("content", &Shape::Either(&[&Shape::Text, &Shape::List(&USER_PART, 1, MANY)]))]),
        (
            "assistant",
            &[
                may("content", &Shape::Either(&[&Shape::Text, &Shape::List(&TEXT_PART, 0, MANY)])),
                may("tool_calls", &TOOL_CALLS),
                may("tool_plan", &Shape::Text),
                may("citations", &Shape::List(&Shape::Object, 0, MANY)),
            ],
        ),
        (
            "tool",
            &[
                must("tool_call_id", &Shape::Filled),
                must("content", &Shape::Either(&[&Shape::Text, &Shape::List(&RESULT_PART, 0, MANY)])),
            ],
        ),
    ],
);
static TOOL: Shape = Shape::Tagged("type", &[("function", &[must("function", &FUNCTION)])]);
static FORMAT: Shape = Shape::Tagged(
    "type",
    &[("text", &[]), ("json_object", &[may("schema", &Shape::Object), may("json_schema", &Shape::Object)])],
);
static THINKING: Shape =
    Shape::Tagged("type", &[("enabled", &[may("token_budget", &Shape::Integer(1, i64::MAX))]), ("disabled", &[])]);

/// `/v2/chat`
pub static CHAT: Shape = Shape::Record(&[
    must("model", &Shape::Filled),
    must("messages", &Shape::List(&MESSAGE, 1, MANY)),
    may("stream", &Shape::Bool),
    may("tools", &Shape::List(&TOOL, 0, 128)),
    may("strict_tools", &Shape::Bool),
    may("documents", &Shape::List(&Shape::Any, 0, MANY)),
    may("citation_options", &Shape::Object),
    may("response_format", &FORMAT),
    may("safety_mode", &Shape::Word(&["CONTEXTUAL", "STRICT", "OFF"])),
    may("max_tokens", &Shape::Integer(0, i64::MAX)),
    may("stop_sequences", &Shape::List(&Shape::Text, 0, 5)),
    may("temperature", &Shape::Number(0.0, 1.0)),
    may("seed", &Shape::Integer(0, i64::MAX)),
    may("frequency_penalty", &Shape::Number(0.0, 1.0)),
    may("presence_penalty", &Shape::Number(0.0, 1.0)),
    may("k", &Shape::Integer(0, 500)),
    may("p", &Shape::Number(0.01, 0.99)),
    may("logprobs", &Shape::Bool),
    may("tool_choice", &Shape::Word(&["REQUIRED", "NONE"])),
    may("thinking", &THINKING),
    may("priority", &Shape::Integer(0, 999)),
]);

/// `/v2/embed`
pub static EMBED: Shape = Shape::Record(&[
    must("model", &Shape::Filled),
    must("input_type", &Shape::Word(&["search_document", "search_query", "classification", "clustering", "image"])),
    must("texts", &Shape::List(&Shape::Text, 1, 96)),
    may("max_tokens", &Shape::Integer(1, i64::MAX)),
    may("output_dimension", &Shape::Integer(1, 1536)),
    may(
        "embedding_types",
        &Shape::List(&Shape::Word(&["float", "int8", "uint8", "binary", "ubinary", "base64"]), 1, 6),
    ),
    may("truncate", &Shape::Word(&["NONE", "START", "END"])),
    may("priority", &Shape::Integer(0, 999)),
]);
