//! Reading a request.

use crate::content;
use crate::ir::{
    ApiError, Arguments, Effort, Format, JsonSchema, Part, Reasoning, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use span_json::{Kind, Text, Value};

/// Members that some provider has a use for, and OpenAI has not, or no other has.
const OTHERS: &[&str] = &[
    "audio",
    "extra_body",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_format",
    "safety_identifier",
    "safety_settings",
    "store",
    "thinking",
    "web_search_options",
    "cache_control",
    "min_p",
    "repetition_penalty",
    "guardrail_config",
    "response_modalities",
];

/// What stands behind an id to carry a signature through clients that drop members they do not know.
const SIGNATURE_MARK: &str = "__thought__";

pub(crate) fn read<'a>(root: Value<'a>) -> Result<Request<'a>, ApiError> {
    let mut request = Request::default();
    let mut max_completion_tokens = None;
    for (name, value) in root.members().filter(|(_, value)| !value.is_null()) {
        let name_text = name.decode();
        let name_str = name_text.as_ref();
        let params = &mut request.params;
        let number = || value.number().ok_or_else(|| wrong(name_str, "a number", value));
        let text = || value.text().ok_or_else(|| wrong(name_str, "a string", value));
        let boolean = || value.bool().ok_or_else(|| wrong(name_str, "a boolean", value));
        match name_str {
            // read before this, or only of use to forward
            "model" | "messages" | "stream_options" | "functions" | "function_call" | "tool_choice" => {}
            "stream" => request.stream = boolean()?,
            "max_tokens" => params.max_tokens = Some(number()?),
            "max_completion_tokens" => max_completion_tokens = Some(number()?),
            "temperature" => params.temperature = Some(number()?),
            "top_p" => params.top_p = Some(number()?),
            "top_k" => params.top_k = Some(number()?),
            "n" => params.n = Some(number()?),
            "seed" => params.seed = Some(number()?),
            "frequency_penalty" => params.frequency_penalty = Some(number()?),
            "presence_penalty" => params.presence_penalty = Some(number()?),
            "stop" => params.stop = stop(value)?,
            "logprobs" => params.logprobs = Some(boolean()?),
            "top_logprobs" => params.top_logprobs = Some(number()?),
            "logit_bias" => params.logit_bias = Some(object("logit_bias", value)?),
            "user" => params.user = Some(text()?),
            "safety_identifier" if root.given("user").is_none() => params.user = Some(text()?),
            "metadata" => params.metadata = Some(object("metadata", value)?),
            "service_tier" => params.service_tier = Some(text()?),
            "verbosity" => params.verbosity = Some(text()?),
            "reasoning_effort" => params.reasoning = Some(reasoning(&text()?.decode())?),
            "response_format" => params.format = Some(format(value)?),
            "parallel_tool_calls" => params.parallel_tool_calls = Some(boolean()?),
            "modalities" => params.modalities = Some(value),
            "tools" => request.tools = tools(value)?,
            other => match OTHERS.iter().find(|known| **known == other) {
                Some(known) => params.others.push((known, value)),
                None => params.unknown.push(name),
            },
        }
    }
    if max_completion_tokens.is_some() {
        request.params.max_tokens = max_completion_tokens;
    }
    if let Some(functions) = root.given("functions").filter(|_| request.tools.is_empty()) {
        let functions = elements("functions", functions)?;
        request.tools = functions
            .enumerate()
            .map(|(place, value)| function(value, &format!("functions[{place}]")))
            .collect::<Result<_, _>>()?;
    }
    request.tool_choice = match (root.given("tool_choice"), root.given("function_call")) {
        (Some(choice), _) => Some(tool_choice("tool_choice", choice)?),
        (None, Some(choice)) => Some(tool_choice("function_call", choice)?),
        (None, None) => None,
    };
    let messages =
        root.given("messages").ok_or_else(|| ApiError::invalid("messages: expected an array").param("messages"))?;
    for (place, message) in elements("messages", messages)?.enumerate() {
        read_message(message, &format!("messages[{place}]"), &mut request)?;
    }
    if request.turns.is_empty() && request.system.is_empty() {
        return Err(ApiError::invalid("messages: expected at least one message").param("messages"));
    }
    Ok(request)
}

fn wrong(at: &str, expected: &str, value: Value<'_>) -> ApiError {
    ApiError::invalid(format!("{at}: expected {expected}, found {}", value.raw_short())).param(at)
}

fn elements<'a>(at: &str, value: Value<'a>) -> Result<impl Iterator<Item = Value<'a>> + use<'a>, ApiError> {
    if value.kind() == Kind::Array { Ok(value.elements()) } else { Err(wrong(at, "an array", value)) }
}

fn object<'a>(at: &str, value: Value<'a>) -> Result<Value<'a>, ApiError> {
    if value.kind() == Kind::Object { Ok(value) } else { Err(wrong(at, "an object", value)) }
}

/// The string `name` of an object that has to have it.
fn required<'a>(value: Value<'a>, name: &str, at: &str) -> Result<Text<'a>, ApiError> {
    let member = value.given(name);
    member.and_then(|member| member.text()).ok_or_else(|| {
        let at = format!("{at}.{name}");
        match member {
            Some(member) => wrong(&at, "a string", member),
            None => ApiError::invalid(format!("{at}: expected a string")).param(at),
        }
    })
}

fn stop(value: Value<'_>) -> Result<Vec<Text<'_>>, ApiError> {
    if let Some(text) = value.text() {
        return Ok(vec![text]);
    }
    let texts = elements("stop", value)?.map(|element| element.text().ok_or_else(|| wrong("stop", "strings", element)));
    texts.collect()
}

fn reasoning(word: &str) -> Result<Reasoning, ApiError> {
    match Effort::from_name(word) {
        Some(effort) => Ok(Reasoning::Effort(effort)),
        None if word == "none" => Ok(Reasoning::Off),
        None => {
            let why = "reasoning_effort: expected none, minimal, low, medium, high, xhigh or max";
            Err(ApiError::invalid(why).param("reasoning_effort"))
        }
    }
}

fn format(value: Value<'_>) -> Result<Format<'_>, ApiError> {
    match required(value, "type", "response_format")?.decode().as_ref() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let at = "response_format.json_schema";
            let outer = value
                .given("json_schema")
                .ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at))?;
            let at = "response_format.json_schema.schema";
            let schema = outer
                .given("schema")
                .ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at))?;
            Ok(Format::JsonSchema(JsonSchema {
                name: outer.text_of("name"),
                description: outer.text_of("description"),
                schema: object(at, schema)?,
                strict: outer.get("strict").and_then(|strict| strict.bool()),
            }))
        }
        _ => Err(ApiError::invalid("response_format.type: expected text, json_object or json_schema")
            .param("response_format.type")),
    }
}

fn tools(value: Value<'_>) -> Result<Vec<Tool<'_>>, ApiError> {
    fn read((place, tool): (usize, Value<'_>)) -> Result<Tool<'_>, ApiError> {
        let at = format!("tools[{place}]");
        match required(tool, "type", &at)?.decode().as_ref() {
            "function" => {
                let inner = tool.given("function").ok_or_else(|| {
                    ApiError::invalid(format!("{at}.function: expected an object")).param(format!("{at}.function"))
                })?;
                let mut read = function(inner, &format!("{at}.function"))?;
                read.cache = tool.given("cache_control").or(read.cache);
                Ok(read)
            }
            "custom" => {
                let inner = tool.given("custom").unwrap_or(tool);
                Ok(Tool {
                    name: required(inner, "name", &format!("{at}.custom"))?,
                    description: inner.text_of("description"),
                    parameters: None,
                    strict: None,
                    is_custom: true,
                    cache: None,
                })
            }
            other => Err(ApiError::invalid(format!("{at}.type: expected function or custom, found {other:?}"))
                .param(format!("{at}.type"))),
        }
    }
    elements("tools", value)?.enumerate().map(read).collect()
}

fn function<'a>(value: Value<'a>, at: &str) -> Result<Tool<'a>, ApiError> {
    let parameters = value.given("parameters").map(|schema| object(&format!("{at}.parameters"), schema)).transpose()?;
    Ok(Tool {
        name: required(value, "name", at)?,
        description: value.text_of("description"),
        parameters,
        strict: value.get("strict").and_then(|strict| strict.bool()),
        is_custom: false,
        cache: value.given("cache_control"),
    })
}

fn tool_choice<'a>(at: &str, value: Value<'a>) -> Result<ToolChoice<'a>, ApiError> {
    const EXPECTED: &str = "auto, none, required or a tool";
    if let Some(word) = value.str() {
        return match word.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(wrong(at, EXPECTED, value)),
        };
    }
    let name = |inner: Value<'a>| inner.given("function").or(inner.given("custom")).unwrap_or(inner).text_of("name");
    if let Some(allowed) = value.given("allowed_tools") {
        let names = allowed.given("tools").map(|tools| tools.elements().filter_map(name).collect()).unwrap_or_default();
        let required = allowed.str_of("mode").as_deref() == Some("required");
        return Ok(ToolChoice::Allowed { names, required });
    }
    name(value).map(ToolChoice::Named).ok_or_else(|| wrong(at, EXPECTED, value))
}

fn read_message<'a>(message: Value<'a>, at: &str, request: &mut Request<'a>) -> Result<(), ApiError> {
    object(at, message)?;
    let role = required(message, "role", at)?;
    let name = message.text_of("name");
    match role.decode().as_ref() {
        "system" | "developer" => {
            for part in parts(message.given("content"), at)? {
                match part {
                    Part::Text { .. } => request.system.push(part),
                    _ => {
                        return Err(
                            ApiError::invalid(format!("{at}.content: expected text")).param(format!("{at}.content"))
                        );
                    }
                }
            }
        }
        "user" => {
            let parts = parts(message.given("content"), at)?;
            request.turns.push(Turn { role: Role::User, parts, name });
        }
        "assistant" => {
            let parts = assistant(message, at)?;
            request.turns.push(Turn { role: Role::Assistant, parts, name });
        }
        kind @ ("tool" | "function") => {
            let id =
                if kind == "tool" { required(message, "tool_call_id", at)? } else { required(message, "name", at)? };
            let result = ToolResult {
                id: split_signature(id).0,
                name,
                parts: parts(message.given("content"), at)?,
                is_error: false,
                cache: message.given("cache_control"),
            };
            request.turns.push(Turn { role: Role::User, parts: vec![Part::ToolResult(result)], name: None });
        }
        other => {
            let at = format!("{at}.role");
            let why = format!("{at}: expected system, developer, user, assistant or tool, found {other:?}");
            return Err(ApiError::invalid(why).param(at));
        }
    }
    Ok(())
}

fn assistant<'a>(message: Value<'a>, at: &str) -> Result<Vec<Part<'a>>, ApiError> {
    let mut all = Vec::new();
    // signed thoughts come first: that is where providers that want them back look for them
    let thought = message.text_of("reasoning_content").or_else(|| message.text_of("reasoning"));
    let mut told = thought.clone();
    for block in message.given("thinking_blocks").iter().flat_map(Value::elements) {
        match block.str_of("type").as_deref() {
            Some("redacted_thinking") => all.extend(block.text_of("data").map(|data| Part::RedactedThinking { data })),
            _ => {
                // a streamed block has its text beside it
                let text = block.text_of("thinking").filter(|text| !text.is_empty()).or_else(|| told.take());
                let text = text.unwrap_or_else(|| Text::from(""));
                all.push(Part::Thinking { text, signature: block.text_of("signature") });
            }
        }
    }
    if let Some(text) = thought.filter(|_| all.is_empty()) {
        all.push(Part::Thinking { text, signature: None });
    }
    all.extend(parts(message.given("content"), at)?);
    all.extend(message.text_of("refusal").map(Part::Refusal));
    if let Some(calls) = message.given("tool_calls") {
        for (place, call) in elements(&format!("{at}.tool_calls"), calls)?.enumerate() {
            all.push(Part::ToolCall(tool_call(call, &format!("{at}.tool_calls[{place}]"))?));
        }
    }
    if let Some(call) = message.given("function_call") {
        let name = required(call, "name", &format!("{at}.function_call"))?;
        let arguments = Arguments::Encoded(call.text_of("arguments").unwrap_or_else(|| Text::from("")));
        all.push(Part::ToolCall(ToolCall { id: name.clone(), name, arguments, signature: None }));
    }
    Ok(all)
}

fn tool_call<'a>(call: Value<'a>, at: &str) -> Result<ToolCall<'a>, ApiError> {
    let (id, in_id) = split_signature(required(call, "id", at)?);
    let signature = call.at(&["extra_content", "google", "thought_signature"]).and_then(|value| value.text()).or(in_id);
    if let Some(custom) = call.given("custom") {
        let name = required(custom, "name", &format!("{at}.custom"))?;
        let input = custom.str_of("input").unwrap_or_default();
        let mut out = span_json::Writer::default();
        out.object(|out| out.key("input").string(&input));
        let arguments = Arguments::Encoded(String::from_utf8(out.finish()).unwrap_or_default().into());
        return Ok(ToolCall { id, name, arguments, signature });
    }
    let inner = call.given("function").ok_or_else(|| {
        ApiError::invalid(format!("{at}.function: expected an object")).param(format!("{at}.function"))
    })?;
    let arguments = match inner.given("arguments") {
        None => Arguments::Encoded(Text::from("")),
        Some(value) => match value.text() {
            Some(text) => Arguments::Encoded(text),
            None if value.kind() == Kind::Object => Arguments::Object(value.raw()),
            None => return Err(wrong(&format!("{at}.function.arguments"), "a string", value)),
        },
    };
    Ok(ToolCall { id, name: required(inner, "name", &format!("{at}.function"))?, arguments, signature })
}

/// An id and the signature that it carries.
fn split_signature(id: Text<'_>) -> (Text<'_>, Option<Text<'_>>) {
    let decoded = id.decode();
    match decoded.split_once(SIGNATURE_MARK) {
        Some((id, signature)) => (Text::from(id.to_owned()), Some(Text::from(signature.to_owned()))),
        None => (id, None),
    }
}

fn parts<'a>(content: Option<Value<'a>>, at: &str) -> Result<Vec<Part<'a>>, ApiError> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = content.text() {
        return Ok(vec![Part::Text { text, cache: None }]);
    }
    let at = format!("{at}.content");
    if content.kind() != Kind::Array {
        return Err(wrong(&at, "a string or an array", content));
    }
    content.elements().enumerate().map(|(place, value)| part(value, &format!("{at}[{place}]"))).collect()
}

fn part<'a>(value: Value<'a>, at: &str) -> Result<Part<'a>, ApiError> {
    let kind = required(value, "type", at)?;
    let cache = value.given("cache_control");
    let inner = |name: &str| {
        let at = format!("{at}.{name}");
        value.given(name).ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at))
    };
    match kind.decode().as_ref() {
        "text" => Ok(Part::Text { text: required(value, "text", at)?, cache }),
        "refusal" => Ok(Part::Refusal(required(value, "refusal", at)?)),
        "image_url" => {
            let image = inner("image_url")?;
            let at = format!("{at}.image_url.url");
            // older clients send the address itself
            let url = image.text().or_else(|| image.text_of("url"));
            let url = url.ok_or_else(|| ApiError::invalid(format!("{at}: expected a string")).param(at.clone()))?;
            let source = content::source(&url).map_err(|why| ApiError::invalid(format!("{at}: {why}")).param(at))?;
            Ok(Part::Image { source, detail: image.text_of("detail"), cache })
        }
        "input_audio" => {
            let audio = inner("input_audio")?;
            let at = format!("{at}.input_audio");
            Ok(Part::Audio { data: required(audio, "data", &at)?, format: required(audio, "format", &at)? })
        }
        "file" => {
            let file = inner("file")?;
            let at = format!("{at}.file");
            let source = match (file.text_of("file_data"), file.text_of("file_id")) {
                (Some(data), _) => {
                    let at = format!("{at}.file_data");
                    content::source(&data).map_err(|why| ApiError::invalid(format!("{at}: {why}")).param(at))?
                }
                (None, Some(id)) => Source::Id(id),
                (None, None) => return Err(ApiError::invalid(format!("{at}: expected file_data or file_id")).param(at)),
            };
            Ok(Part::File { source, name: file.text_of("filename"), cache })
        }
        // Mistral's thoughts, as a client got them
        "thinking" => Ok(Part::Thinking {
            text: value.text_of("thinking").unwrap_or_else(|| Text::from("")),
            signature: value.text_of("signature"),
        }),
        other => {
            let at = format!("{at}.type");
            let why = format!("{at}: expected text, image_url, input_audio, file or refusal, found {other:?}");
            Err(ApiError::invalid(why).param(at))
        }
    }
}
