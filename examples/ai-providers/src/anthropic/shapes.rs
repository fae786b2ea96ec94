//! The members of a message request.

use super::NEWER;
use crate::shape::{Member, Shape, may, must};

const MANY: usize = 100_000;

static CACHE: Shape = Shape::Tagged("type", &[("ephemeral", &[may("ttl", &Shape::Word(&["5m", "1h"]))])]);
static CITATIONS: Shape = Shape::Record(&[may("enabled", &Shape::Bool)]);
static IMAGE_TYPE: Shape = Shape::Word(&["image/jpeg", "image/png", "image/gif", "image/webp"]);
static IMAGE_SOURCE: Shape = Shape::Tagged(
    "type",
    &[
        ("base64", &[must("media_type", &IMAGE_TYPE), must("data", &Shape::Filled)]),
        ("url", &[must("url", &Shape::Filled)]),
        ("file", &[must("file_id", &Shape::Filled)]),
    ],
);
static DOCUMENT_SOURCE: Shape = Shape::Tagged(
    "type",
    &[
        ("base64", &[must("media_type", &Shape::Word(&["application/pdf"])), must("data", &Shape::Filled)]),
        ("text", &[must("media_type", &Shape::Word(&["text/plain"])), must("data", &Shape::Text)]),
        ("content", &[must("content", &Shape::Any)]),
        ("url", &[must("url", &Shape::Filled)]),
        ("file", &[must("file_id", &Shape::Filled)]),
    ],
);
const TEXT: &[Member] = &[must("text", &Shape::Text), may("cache_control", &CACHE), may("citations", &Shape::Any)];
const IMAGE: &[Member] = &[must("source", &IMAGE_SOURCE), may("cache_control", &CACHE)];
const DOCUMENT: &[Member] = &[
    must("source", &DOCUMENT_SOURCE),
    may("title", &Shape::Text),
    may("context", &Shape::Text),
    may("citations", &CITATIONS),
    may("cache_control", &CACHE),
];
static RESULT_BLOCK: Shape = Shape::Tagged("type", &[("text", TEXT), ("image", IMAGE), ("document", DOCUMENT)]);
static RESULT_CONTENT: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&RESULT_BLOCK, 0, MANY)]);
static BLOCK: Shape = Shape::Tagged(
    "type",
    &[
        ("text", TEXT),
        ("image", IMAGE),
        ("document", DOCUMENT),
        (
            "tool_use",
            &[
                must("id", &Shape::Filled),
                must("name", &Shape::Filled),
                must("input", &Shape::Object),
                may("caller", &Shape::Object),
                may("cache_control", &CACHE),
            ],
        ),
        (
            "tool_result",
            &[
                must("tool_use_id", &Shape::Filled),
                may("content", &RESULT_CONTENT),
                may("is_error", &Shape::Bool),
                may("cache_control", &CACHE),
            ],
        ),
        ("thinking", &[must("thinking", &Shape::Text), must("signature", &Shape::Filled)]),
        ("redacted_thinking", &[must("data", &Shape::Filled)]),
    ],
);
static CONTENT: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&BLOCK, 1, MANY)]);
static MESSAGE: Shape =
    Shape::Record(&[must("role", &Shape::Word(&["user", "assistant", "system"])), must("content", &CONTENT)]);
static SYSTEM_BLOCK: Shape = Shape::Tagged("type", &[("text", TEXT)]);
static SYSTEM: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&SYSTEM_BLOCK, 0, MANY)]);
static TOOL: Shape = Shape::Record(&[
    may("type", &Shape::Word(&["custom"])),
    must("name", &Shape::Filled),
    may("description", &Shape::Text),
    must("input_schema", &Shape::Object),
    may("strict", &Shape::Bool),
    may("cache_control", &CACHE),
    may("eager_input_streaming", &Shape::Bool),
    may("input_examples", &Shape::List(&Shape::Object, 0, 100)),
]);
static CHOICE: Shape = Shape::Tagged(
    "type",
    &[
        ("auto", &[may("disable_parallel_tool_use", &Shape::Bool)]),
        ("any", &[may("disable_parallel_tool_use", &Shape::Bool)]),
        ("tool", &[must("name", &Shape::Filled), may("disable_parallel_tool_use", &Shape::Bool)]),
        ("none", &[]),
    ],
);
static THINKING: Shape = Shape::Tagged(
    "type",
    &[
        ("enabled", &[must("budget_tokens", &Shape::Integer(1024, i64::MAX)), may("display", &DISPLAY)]),
        ("adaptive", &[may("display", &DISPLAY)]),
        ("between_tools", &[]),
        ("disabled", &[]),
    ],
);
static DISPLAY: Shape = Shape::Word(&["summarized", "omitted"]);
static OUTPUT: Shape = Shape::Record(&[
    may("effort", &Shape::Word(&["low", "medium", "high", "xhigh", "max"])),
    may("format", &Shape::Tagged("type", &[("json_schema", &[must("schema", &Shape::Object)])])),
]);
static METADATA: Shape = Shape::Record(&[may("user_id", &Shape::Text)]);

/// The members of all uses.
macro_rules! members {
    ($($more:expr),* $(,)?) => {
        Shape::Record(&[
            must("messages", &Shape::List(&MESSAGE, 1, MANY)),
            may("system", &SYSTEM),
            may("tools", &Shape::List(&TOOL, 0, MANY)),
            may("tool_choice", &CHOICE),
            may("thinking", &THINKING),
            may("output_config", &OUTPUT),
            may("cache_control", &CACHE),
            $($more),*
        ])
    };
}

/// The members of a request for an answer.
macro_rules! answer_members {
    ($($more:expr),* $(,)?) => {
        members![
            must("max_tokens", &Shape::Integer(0, i64::MAX)),
            may("metadata", &METADATA),
            may("container", &Shape::Any),
            may("diagnostics", &Shape::Object),
            may("inference_geo", &Shape::Text),
            may("speed", &Shape::Word(&["standard", "fast"])),
            may("service_tier", &Shape::Word(&["auto", "standard_only"])),
            may("stop_sequences", &Shape::List(&Shape::Text, 0, MANY)),
            may("temperature", &Shape::Number(0.0, 1.0)),
            may("top_k", &Shape::Integer(0, i64::MAX)),
            may("top_p", &Shape::Number(0.0, 1.0)),
            $($more),*
        ]
    };
}

/// `/v1/messages`
pub static MESSAGES: Shape = answer_members![must("model", &Shape::Filled), may("stream", &Shape::Bool)];

/// `/v1/messages/count_tokens`
pub static COUNT: Shape = members![must("model", &Shape::Filled)];

/// The count on Vertex.
pub static VERTEX_COUNT: Shape =
    members![must("model", &Shape::Filled), may("anthropic_version", &Shape::Word(&["vertex-2023-10-16", NEWER]))];

/// On Vertex: the path names the model.
pub static VERTEX: Shape = answer_members![
    must("anthropic_version", &Shape::Word(&["vertex-2023-10-16", NEWER])),
    may("anthropic_beta", &Shape::List(&Shape::Text, 0, 64)),
    may("stream", &Shape::Bool),
];

/// On Bedrock: the path names the model, and whether it is a stream.
pub static BEDROCK: Shape = answer_members![
    must("anthropic_version", &Shape::Word(&["bedrock-2023-05-31", NEWER])),
    may("anthropic_beta", &Shape::List(&Shape::Text, 0, 64)),
];
