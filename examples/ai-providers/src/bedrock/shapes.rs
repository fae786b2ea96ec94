//! The members of a Converse request.

use crate::shape::{Shape, may, must};

const MANY: usize = 4096;

static S3: Shape = Shape::Record(&[must("uri", &Shape::Filled), may("bucketOwner", &Shape::Text)]);
static IMAGE_SOURCE: Shape = Shape::OneOf(&[may("bytes", &Shape::Filled), may("s3Location", &S3)]);
static IMAGE: Shape =
    Shape::Record(&[must("format", &Shape::Word(&["png", "jpeg", "gif", "webp"])), must("source", &IMAGE_SOURCE)]);
static DOCUMENT_SOURCE: Shape = Shape::OneOf(&[
    may("bytes", &Shape::Filled),
    may("s3Location", &S3),
    may("text", &Shape::Text),
    may("content", &Shape::List(&Shape::Object, 1, MANY)),
]);
static DOCUMENT: Shape = Shape::Record(&[
    may("format", &Shape::Word(&["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"])),
    must("name", &Shape::Filled),
    must("source", &DOCUMENT_SOURCE),
    may("context", &Shape::Text),
    may("citations", &Shape::Object),
]);
static MOVIE: Shape = Shape::Record(&[must("format", &Shape::Filled), must("source", &IMAGE_SOURCE)]);
static TOOL_USE: Shape = Shape::Record(&[
    must("toolUseId", &Shape::Filled),
    must("name", &Shape::Filled),
    must("input", &Shape::Any),
    may("type", &Shape::Word(&["server_tool_use"])),
]);
static RESULT_BLOCK: Shape = Shape::OneOf(&[
    may("json", &Shape::Any),
    may("text", &Shape::Text),
    may("image", &IMAGE),
    may("document", &DOCUMENT),
    may("video", &MOVIE),
    may("searchResult", &Shape::Object),
]);
static TOOL_RESULT: Shape = Shape::Record(&[
    must("toolUseId", &Shape::Filled),
    must("content", &Shape::List(&RESULT_BLOCK, 0, MANY)),
    may("status", &Shape::Word(&["success", "error"])),
    may("type", &Shape::Text),
]);
static CACHE: Shape =
    Shape::Record(&[must("type", &Shape::Word(&["default"])), may("ttl", &Shape::Word(&["5m", "1h"]))]);
static THOUGHT: Shape = Shape::Record(&[must("text", &Shape::Text), may("signature", &Shape::Filled)]);
static REASONING: Shape = Shape::OneOf(&[may("reasoningText", &THOUGHT), may("redactedContent", &Shape::Filled)]);
static BLOCK: Shape = Shape::OneOf(&[
    may("text", &Shape::Text),
    may("image", &IMAGE),
    may("document", &DOCUMENT),
    may("video", &MOVIE),
    may("audio", &MOVIE),
    may("toolUse", &TOOL_USE),
    may("toolResult", &TOOL_RESULT),
    may("guardContent", &Shape::Object),
    may("cachePoint", &CACHE),
    may("reasoningContent", &REASONING),
    may("citationsContent", &Shape::Object),
    may("searchResult", &Shape::Object),
]);
static MESSAGE: Shape = Shape::Record(&[
    must("role", &Shape::Word(&["user", "assistant"])),
    must("content", &Shape::List(&BLOCK, 1, MANY)),
]);
static SYSTEM: Shape =
    Shape::OneOf(&[may("text", &Shape::Filled), may("guardContent", &Shape::Object), may("cachePoint", &CACHE)]);
static INFERENCE: Shape = Shape::Record(&[
    may("maxTokens", &Shape::Integer(1, i64::MAX)),
    may("temperature", &Shape::Number(0.0, 1.0)),
    may("topP", &Shape::Number(0.0, 1.0)),
    may("stopSequences", &Shape::List(&Shape::Filled, 0, 2500)),
]);
static INPUT_SCHEMA: Shape = Shape::OneOf(&[may("json", &Shape::Object)]);
static SPEC: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    may("description", &Shape::Filled),
    must("inputSchema", &INPUT_SCHEMA),
    may("strict", &Shape::Bool),
]);
static TOOL: Shape =
    Shape::OneOf(&[may("toolSpec", &SPEC), may("cachePoint", &CACHE), may("systemTool", &Shape::Object)]);
static NOTHING: Shape = Shape::Record(&[]);
static CHOICE: Shape = Shape::OneOf(&[
    may("auto", &NOTHING),
    may("any", &NOTHING),
    may("tool", &Shape::Record(&[must("name", &Shape::Filled)])),
]);
static TOOL_CONFIG: Shape = Shape::Record(&[must("tools", &Shape::List(&TOOL, 1, MANY)), may("toolChoice", &CHOICE)]);
static JSON_SCHEMA: Shape =
    Shape::Record(&[must("schema", &Shape::Filled), may("name", &Shape::Text), may("description", &Shape::Text)]);
static FORMAT: Shape = Shape::Record(&[
    must("type", &Shape::Word(&["json_schema"])),
    must("structure", &Shape::OneOf(&[may("jsonSchema", &JSON_SCHEMA)])),
]);

/// The request.
pub static CONVERSE: Shape = Shape::Record(&[
    must("messages", &Shape::List(&MESSAGE, 1, MANY)),
    may("system", &Shape::List(&SYSTEM, 0, MANY)),
    may("inferenceConfig", &INFERENCE),
    may("toolConfig", &TOOL_CONFIG),
    may("guardrailConfig", &Shape::Object),
    may("additionalModelRequestFields", &Shape::Any),
    may("additionalModelResponseFieldPaths", &Shape::List(&Shape::Filled, 0, 10)),
    may("promptVariables", &Shape::Object),
    may("requestMetadata", &Shape::Map(&Shape::Text)),
    may("performanceConfig", &Shape::Object),
    may("serviceTier", &Shape::Record(&[must("type", &Shape::Word(&["priority", "default", "flex", "reserved"]))])),
    may("outputConfig", &Shape::Record(&[may("textFormat", &FORMAT), may("effort", &Shape::Text)])),
]);

/// An embedding by Titan.
pub static TITAN: Shape = Shape::Record(&[
    must("inputText", &Shape::Filled),
    may("dimensions", &Shape::Integer(1, 1024)),
    may("normalize", &Shape::Bool),
    may("embeddingTypes", &Shape::List(&Shape::Word(&["float", "binary"]), 1, 2)),
]);

/// An embedding by Nova.
pub static NOVA: Shape = Shape::Record(&[
    may("schemaVersion", &Shape::Text),
    must("taskType", &Shape::Word(&["SINGLE_EMBEDDING"])),
    must("singleEmbeddingParams", &NOVA_PARAMETERS),
]);
static NOVA_PARAMETERS: Shape = Shape::Record(&[
    must("embeddingPurpose", &Shape::Filled),
    may("embeddingDimension", &Shape::Integer(1, 3072)),
    must("text", &NOVA_TEXT),
]);
static NOVA_TEXT: Shape =
    Shape::Record(&[must("truncationMode", &Shape::Word(&["START", "END", "NONE"])), must("value", &Shape::Filled)]);

/// Embeddings by Cohere.
pub static COHERE: Shape = Shape::Record(&[
    must("texts", &Shape::List(&Shape::Filled, 1, 96)),
    must("input_type", &Shape::Word(&["search_document", "search_query", "classification", "clustering", "image"])),
    may("truncate", &Shape::Word(&["NONE", "START", "END", "LEFT", "RIGHT"])),
    may("embedding_types", &Shape::List(&Shape::Word(&["float", "int8", "uint8", "binary", "ubinary"]), 1, 5)),
    may("output_dimension", &Shape::Integer(1, 1536)),
]);
