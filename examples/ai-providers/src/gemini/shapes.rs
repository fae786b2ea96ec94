//! The members of requests to Gemini, on AI Studio and on Vertex.

use crate::shape::{Member, Shape, may, must};

const MANY: usize = 4096;

static BLOB: Shape =
    Shape::Record(&[must("mimeType", &Shape::Filled), must("data", &Shape::Filled), may("displayName", &Shape::Text)]);
static FILE: Shape = Shape::Record(&[
    may("mimeType", &Shape::Filled),
    must("fileUri", &Shape::Filled),
    may("displayName", &Shape::Text),
]);
const PART: &[Member] = &[
    may("text", &Shape::Filled),
    may("inlineData", &BLOB),
    may("fileData", &FILE),
    may("executableCode", &Shape::Object),
    may("codeExecutionResult", &Shape::Object),
    may("thought", &Shape::Bool),
    may("thoughtSignature", &Shape::Filled),
    may("videoMetadata", &Shape::Object),
    may("mediaResolution", &Shape::Any),
];
static CALL: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    may("args", &Shape::Object),
    may("id", &Shape::Text),
    may("willContinue", &Shape::Bool),
]);
static RESPONSE: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    must("response", &Shape::Object),
    may("id", &Shape::Text),
    may("parts", &Shape::List(&Shape::Object, 0, MANY)),
    may("willContinue", &Shape::Bool),
    may("scheduling", &Shape::Text),
]);
static VERTEX_CALL: Shape = Shape::Record(&[must("name", &Shape::Filled), may("args", &Shape::Object)]);
static VERTEX_RESPONSE: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    must("response", &Shape::Object),
    may("parts", &Shape::List(&Shape::Object, 0, MANY)),
]);

/// A part whose calls and responses look like these.
macro_rules! part {
    ($call:expr, $response:expr) => {
        Shape::Record(&[
            may("functionCall", $call),
            may("functionResponse", $response),
            may("text", &Shape::Text),
            may("inlineData", &BLOB),
            may("fileData", &FILE),
            may("executableCode", &Shape::Object),
            may("codeExecutionResult", &Shape::Object),
            may("thought", &Shape::Bool),
            may("thoughtSignature", &Shape::Filled),
            may("videoMetadata", &Shape::Object),
            may("mediaResolution", &Shape::Any),
        ])
    };
}

static PLAIN_CONTENT: Shape =
    Shape::Record(&[may("role", &Shape::Text), must("parts", &Shape::List(&Shape::Record(PART), 1, MANY))]);
static STUDIO_PART: Shape = part!(&CALL, &RESPONSE);
static VERTEX_PART: Shape = part!(&VERTEX_CALL, &VERTEX_RESPONSE);
static STUDIO_CONTENT: Shape =
    Shape::Record(&[may("role", &Shape::Text), must("parts", &Shape::List(&STUDIO_PART, 1, MANY))]);
static VERTEX_CONTENT: Shape =
    Shape::Record(&[must("role", &Shape::Text), must("parts", &Shape::List(&VERTEX_PART, 1, MANY))]);

static COUNT: Shape = Shape::Either(&[&Shape::Text, &Shape::Integer(0, i64::MAX)]);
static LIMIT: Shape = Shape::Number(f64::MIN, f64::MAX);
static TYPE: Shape = Shape::Word(&[
    "TYPE_UNSPECIFIED",
    "STRING",
    "NUMBER",
    "INTEGER",
    "BOOLEAN",
    "ARRAY",
    "OBJECT",
    "NULL",
    "string",
    "number",
    "integer",
    "boolean",
    "array",
    "object",
    "null",
]);
/// The subset of schemas that is not JSON Schema.
pub static SCHEMA: Shape = Shape::Record(&[
    may("type", &TYPE),
    may("format", &Shape::Text),
    may("title", &Shape::Text),
    may("description", &Shape::Text),
    may("nullable", &Shape::Bool),
    may("default", &Shape::Any),
    may("enum", &Shape::List(&Shape::Text, 1, MANY)),
    may("items", &SCHEMA),
    may("minItems", &COUNT),
    may("maxItems", &COUNT),
    may("properties", &Shape::Map(&SCHEMA)),
    may("required", &Shape::List(&Shape::Text, 0, MANY)),
    may("propertyOrdering", &Shape::List(&Shape::Text, 0, MANY)),
    may("minProperties", &COUNT),
    may("maxProperties", &COUNT),
    may("minimum", &LIMIT),
    may("maximum", &LIMIT),
    may("minLength", &COUNT),
    may("maxLength", &COUNT),
    may("pattern", &Shape::Text),
    may("example", &Shape::Any),
    may("anyOf", &Shape::List(&SCHEMA, 1, MANY)),
]);
static FUNCTION: Shape = Shape::Record(&[
    must("name", &Shape::Filled),
    may("description", &Shape::Text),
    may("behavior", &Shape::Text),
    may("parameters", &SCHEMA),
    may("parametersJsonSchema", &Shape::Object),
    may("response", &SCHEMA),
    may("responseJsonSchema", &Shape::Object),
]);
static TOOL: Shape = Shape::Record(&[
    may("functionDeclarations", &Shape::List(&FUNCTION, 1, 512)),
    may("googleSearch", &Shape::Object),
    may("googleSearchRetrieval", &Shape::Object),
    may("codeExecution", &Shape::Object),
    may("urlContext", &Shape::Object),
    may("computerUse", &Shape::Object),
    may("fileSearch", &Shape::Object),
    may("googleMaps", &Shape::Object),
    may("enterpriseWebSearch", &Shape::Object),
    may("retrieval", &Shape::Object),
]);
static CALLING: Shape = Shape::Record(&[
    may("mode", &Shape::Word(&["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])),
    may("streamFunctionCallArguments", &Shape::Bool),
    may("allowedFunctionNames", &Shape::List(&Shape::Filled, 0, 512)),
]);
static TOOL_CONFIG: Shape = Shape::Record(&[
    may("functionCallingConfig", &CALLING),
    may("retrievalConfig", &Shape::Object),
    may("includeServerSideToolInvocations", &Shape::Bool),
]);
static SAFETY: Shape =
    Shape::Record(&[must("category", &Shape::Filled), must("threshold", &Shape::Filled), may("method", &Shape::Text)]);
static THINKING: Shape = Shape::Record(&[
    may("includeThoughts", &Shape::Bool),
    may("thinkingBudget", &Shape::Integer(-1, 32768)),
    may(
        "thinkingLevel",
        &Shape::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH", "minimal", "low", "medium", "high", "xhigh"]),
    ),
]);
static GENERATION: Shape = Shape::Record(&[
    may("stopSequences", &Shape::List(&Shape::Filled, 0, 5)),
    may("responseMimeType", &Shape::Word(&["text/plain", "application/json", "text/x.enum"])),
    may("responseSchema", &SCHEMA),
    may("responseJsonSchema", &Shape::Object),
    may("responseModalities", &Shape::List(&Shape::Word(&["TEXT", "IMAGE", "AUDIO"]), 0, 3)),
    may("candidateCount", &Shape::Integer(1, 8)),
    may("maxOutputTokens", &Shape::Integer(1, i64::MAX)),
    may("temperature", &Shape::Number(0.0, 2.0)),
    may("topP", &Shape::Number(0.0, 1.0)),
    may("topK", &Shape::Number(1.0, 1000.0)),
    may("seed", &Shape::Integer(i32::MIN as i64, i32::MAX as i64)),
    may("presencePenalty", &Shape::Number(-2.0, 2.0)),
    may("frequencyPenalty", &Shape::Number(-2.0, 2.0)),
    may("responseLogprobs", &Shape::Bool),
    may("logprobs", &Shape::Integer(0, 20)),
    may("enableEnhancedCivicAnswers", &Shape::Bool),
    may("audioTimestamp", &Shape::Bool),
    may("enableAffectiveDialog", &Shape::Bool),
    may("modelSelectionConfig", &Shape::Object),
    may("responseFormat", &Shape::Any),
    may("routingConfig", &Shape::Object),
    may("speechConfig", &Shape::Object),
    may("imageConfig", &Shape::Object),
    may("mediaResolution", &Shape::Text),
    may("thinkingConfig", &THINKING),
]);

/// A request with contents like these.
macro_rules! generate {
    ($content:expr $(, $more:expr)*) => {
        Shape::Record(&[
            must("contents", &Shape::List($content, 1, MANY)),
            may("systemInstruction", &PLAIN_CONTENT),
            may("tools", &Shape::List(&TOOL, 0, 128)),
            may("toolConfig", &TOOL_CONFIG),
            may("safetySettings", &Shape::List(&SAFETY, 0, 16)),
            may("generationConfig", &GENERATION),
            may("cachedContent", &Shape::Text),
            may("serviceTier", &Shape::Text),
            $($more),*
        ])
    };
}

/// On AI Studio.
pub static STUDIO: Shape = generate!(&STUDIO_CONTENT, may("model", &Shape::Text), may("store", &Shape::Bool));

/// On Vertex: with labels, and calls without ids.
pub static VERTEX: Shape = generate!(&VERTEX_CONTENT, may("labels", &Shape::Map(&Shape::Text)));

/// `:embedContent`
pub static EMBED: Shape = Shape::Record(EMBED_MEMBERS);

const EMBED_MEMBERS: &[Member] = &[
    must("content", &PLAIN_CONTENT),
    may("model", &Shape::Filled),
    may("taskType", &Shape::Text),
    may("title", &Shape::Text),
    may("outputDimensionality", &Shape::Integer(1, 3072)),
];

/// `:batchEmbedContents`
pub static EMBED_BATCH: Shape = Shape::Record(&[must("requests", &Shape::List(&EMBED_ONE, 1, 100))]);

static EMBED_ONE: Shape = Shape::Record(&[
    must("content", &PLAIN_CONTENT),
    must("model", &Shape::Filled),
    may("taskType", &Shape::Text),
    may("title", &Shape::Text),
    may("outputDimensionality", &Shape::Integer(1, 3072)),
]);

/// `:countTokens`
pub static COUNT_TOKENS: Shape = Shape::Record(&[
    may("contents", &Shape::List(&STUDIO_CONTENT, 1, MANY)),
    may("generateContentRequest", &Shape::Object),
]);

/// `:predict` of an embedding model on Vertex.
pub static PREDICT: Shape =
    Shape::Record(&[must("instances", &Shape::List(&INSTANCE, 1, 250)), may("parameters", &PARAMETERS)]);

static INSTANCE: Shape =
    Shape::Record(&[must("content", &Shape::Filled), may("task_type", &Shape::Text), may("title", &Shape::Text)]);
static PARAMETERS: Shape =
    Shape::Record(&[may("outputDimensionality", &Shape::Integer(1, 3072)), may("autoTruncate", &Shape::Bool)]);
