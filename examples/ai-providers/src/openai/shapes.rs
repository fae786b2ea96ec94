//! The members of a chat completion request.

use crate::shape::{Shape, may, must};

const MANY: usize = 4096;

static TEXT_PART: Shape = Shape::Tagged("type", &[("text", &[must("text", &Shape::Text)])]);
static TEXT_PARTS: Shape = Shape::List(&TEXT_PART, 1, MANY);
static IMAGE_URL: Shape =
    Shape::Record(&[must("url", &Shape::Filled), may("detail", &Shape::Word(&["auto", "low", "high", "original"]))]);
static AUDIO: Shape = Shape::Record(&[must("data", &Shape::Filled), must("format", &Shape::Word(&["wav", "mp3"]))]);
static FILE: Shape =
    Shape::Record(&[may("file_data", &Shape::Filled), may("file_id", &Shape::Filled), may("filename", &Shape::Filled)]);
static USER_PART: Shape = Shape::Tagged(
    "type",
    &[
        ("text", &[must("text", &Shape::Text)]),
        ("image_url", &[must("image_url", &IMAGE_URL)]),
        ("input_audio", &[must("input_audio", &AUDIO)]),
        ("file", &[must("file", &FILE)]),
    ],
);
static ASSISTANT_PART: Shape =
    Shape::Tagged("type", &[("text", &[must("text", &Shape::Text)]), ("refusal", &[must("refusal", &Shape::Text)])]);
/// Text, or parts of text.
pub static TEXTS: Shape = Shape::Either(&[&Shape::Text, &TEXT_PARTS]);
/// What users say.
pub static USER_CONTENT: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&USER_PART, 1, MANY)]);
/// What the model has said.
pub static ASSISTANT_CONTENT: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&ASSISTANT_PART, 1, MANY)]);
static CALLED: Shape = Shape::Record(&[must("name", &Shape::Filled), must("arguments", &Shape::Text)]);
static CUSTOM_CALLED: Shape = Shape::Record(&[must("name", &Shape::Filled), must("input", &Shape::Text)]);
static TOOL_CALL: Shape = Shape::Tagged(
    "type",
    &[
        ("function", &[must("id", &Shape::Filled), must("function", &CALLED)]),
        ("custom", &[must("id", &Shape::Filled), must("custom", &CUSTOM_CALLED)]),
    ],
);
/// The calls of an assistant's message.
pub static TOOL_CALLS: Shape = Shape::List(&TOOL_CALL, 1, 128);
static AUDIO_ID: Shape = Shape::Record(&[must("id", &Shape::Filled)]);
static MESSAGE: Shape = Shape::Tagged(
    "role",
    &[
        ("system", &[must("content", &TEXTS), may("name", &Shape::Filled)]),
        ("developer", &[must("content", &TEXTS), may("name", &Shape::Filled)]),
        ("user", &[must("content", &USER_CONTENT), may("name", &Shape::Filled)]),
        (
            "assistant",
            &[
                may("content", &ASSISTANT_CONTENT),
                may("refusal", &Shape::Text),
                may("name", &Shape::Filled),
                may("audio", &AUDIO_ID),
                may("tool_calls", &TOOL_CALLS),
                may("function_call", &CALLED),
                // the answer's own member, which clients send back as it came
                may("annotations", &Shape::List(&Shape::Object, 0, MANY)),
            ],
        ),
        ("tool", &[must("content", &TEXTS), must("tool_call_id", &Shape::Filled)]),
        ("function", &[must("content", &Shape::Text), must("name", &Shape::Filled)]),
    ],
);
/// A function on offer.
pub static FUNCTION: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    may("description", &Shape::Text),
    may("parameters", &Shape::Object),
    may("strict", &Shape::Bool),
]);
static CUSTOM: Shape =
    Shape::Record(&[must("name", &Shape::Filled), may("description", &Shape::Text), may("format", &Shape::Object)]);
static TOOL: Shape =
    Shape::Tagged("type", &[("function", &[must("function", &FUNCTION)]), ("custom", &[must("custom", &CUSTOM)])]);
/// The tools on offer.
pub static TOOLS: Shape = Shape::List(&TOOL, 1, 128);
static NAMED: Shape = Shape::Record(&[must("name", &Shape::Filled)]);
static ALLOWED: Shape = Shape::Record(&[
    must("mode", &Shape::Word(&["auto", "required"])),
    must("tools", &Shape::List(&Shape::Object, 1, 128)),
]);
static CHOICE: Shape = Shape::Either(&[
    &Shape::Word(&["none", "auto", "required"]),
    &Shape::Tagged(
        "type",
        &[
            ("function", &[must("function", &NAMED)]),
            ("custom", &[must("custom", &NAMED)]),
            ("allowed_tools", &[must("allowed_tools", &ALLOWED)]),
        ],
    ),
]);
/// A schema for the answer.
pub static JSON_SCHEMA: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    may("description", &Shape::Text),
    may("schema", &Shape::Object),
    may("strict", &Shape::Bool),
]);
/// The form of the answer.
pub static FORMAT: Shape = Shape::Tagged(
    "type",
    &[("text", &[]), ("json_object", &[]), ("json_schema", &[must("json_schema", &JSON_SCHEMA)])],
);
static STREAM_OPTIONS: Shape =
    Shape::Record(&[may("include_usage", &Shape::Bool), may("include_obfuscation", &Shape::Bool)]);
/// One or up to four stop sequences.
pub static STOP: Shape = Shape::Either(&[&Shape::Text, &Shape::List(&Shape::Text, 1, 4)]);

/// The request of OpenAI and Azure.
pub static CHAT: Shape = Shape::Record(&[
    must("messages", &Shape::List(&MESSAGE, 1, MANY)),
    may("model", &Shape::Filled),
    may("audio", &Shape::Object),
    may("frequency_penalty", &Shape::Number(-2.0, 2.0)),
    may("function_call", &Shape::Any),
    may("functions", &Shape::List(&FUNCTION, 1, 128)),
    may("logit_bias", &Shape::Map(&Shape::Number(-100.0, 100.0))),
    may("logprobs", &Shape::Bool),
    may("max_completion_tokens", &Shape::Integer(1, i64::MAX)),
    may("max_tokens", &Shape::Integer(1, i64::MAX)),
    may("metadata", &Shape::Map(&Shape::Text)),
    may("modalities", &Shape::List(&Shape::Word(&["text", "audio"]), 1, 2)),
    may("moderation", &Shape::Object),
    may("n", &Shape::Integer(1, 128)),
    may("parallel_tool_calls", &Shape::Bool),
    may("prediction", &Shape::Object),
    may("presence_penalty", &Shape::Number(-2.0, 2.0)),
    may("prompt_cache_key", &Shape::Text),
    may("prompt_cache_options", &Shape::Object),
    may("prompt_cache_retention", &Shape::Word(&["in_memory", "24h"])),
    may("reasoning_effort", &Shape::Word(&["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
    may("response_format", &FORMAT),
    may("safety_identifier", &Shape::Text),
    may("seed", &Shape::Integer(i64::MIN, i64::MAX)),
    may("service_tier", &Shape::Word(&["auto", "default", "flex", "scale", "priority", "fast"])),
    may("stop", &STOP),
    may("store", &Shape::Bool),
    may("stream", &Shape::Bool),
    may("stream_options", &STREAM_OPTIONS),
    may("temperature", &Shape::Number(0.0, 2.0)),
    may("tool_choice", &CHOICE),
    may("tools", &TOOLS),
    may("top_logprobs", &Shape::Integer(0, 20)),
    may("top_p", &Shape::Number(0.0, 1.0)),
    may("user", &Shape::Text),
    may("verbosity", &Shape::Word(&["low", "medium", "high"])),
    may("web_search_options", &Shape::Object),
]);
