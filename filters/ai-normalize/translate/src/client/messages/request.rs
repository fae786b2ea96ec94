//! Reading a request.

use crate::content;
use crate::ir::{
    ApiError, Arguments, Effort, Format, JsonSchema, Part, Reasoning, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use span_json::{Kind, Text, Value};

pub(super) fn read<'a>(root: Value<'a>) -> Result<Request<'a>, ApiError> {
    let mut request = Request::default();
    for (name, value) in root.members().filter(|(_, value)| !value.is_null()) {
        let known = name.decode();
        let known = known.as_ref();
        let params = &mut request.params;
        let number = || value.number().ok_or_else(|| wrong(known, "a number", value));
        match known {
            "model" | "messages" | "tool_choice" | "output_config" | "betas" => {}
            "stream" => request.stream = value.bool().ok_or_else(|| wrong(known, "a boolean", value))?,
            "max_tokens" => params.max_tokens = Some(number()?),
            "temperature" => params.temperature = Some(number()?),
            "top_p" => params.top_p = Some(number()?),
            "top_k" => params.top_k = Some(number()?),
            "stop_sequences" => {
                let texts =
                    elements(known, value)?.map(|text| text.text().ok_or_else(|| wrong(known, "strings", text)));
                params.stop = texts.collect::<Result<_, _>>()?;
            }
            "service_tier" => {
                let tier = value.text().ok_or_else(|| wrong(known, "a string", value))?;
                params.service_tier = Some(if tier == "standard_only" { Text::from("default") } else { tier });
            }
            "metadata" => params.user = value.text_of("user_id"),
            "thinking" => params.reasoning = thinking(value)?,
            "system" => {
                for part in blocks("system", value)? {
                    match part {
                        Part::Text { .. } => request.system.push(part),
                        _ => return Err(wrong("system", "text", value)),
                    }
                }
            }
            "tools" => request.tools = tools(value)?,
            "cache_control" => params.others.push(("cache_control", value)),
            _ => params.unknown.push(name),
        }
    }
    if let Some(config) = root.given("output_config") {
        output_config(config, &mut request)?;
    }
    if let Some(choice) = root.given("tool_choice") {
        let alone = choice.get("disable_parallel_tool_use").and_then(|value| value.bool());
        request.params.parallel_tool_calls = alone.map(|alone| !alone);
        request.tool_choice = Some(tool_choice(choice)?);
    }
    let messages =
        root.given("messages").ok_or_else(|| ApiError::invalid("messages: expected an array").param("messages"))?;
    for (place, message) in elements("messages", messages)?.enumerate() {
        read_message(message, &format!("messages.{place}"), &mut request)?;
    }
    if request.turns.is_empty() {
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

fn required<'a>(value: Value<'a>, name: &str, at: &str) -> Result<Text<'a>, ApiError> {
    let at = format!("{at}.{name}");
    let Some(member) = value.given(name) else {
        return Err(ApiError::invalid(format!("{at}: expected a string")).param(at));
    };
    member.text().ok_or_else(|| wrong(&at, "a string", member))
}

fn thinking(value: Value<'_>) -> Result<Option<Reasoning>, ApiError> {
    match required(value, "type", "thinking")?.decode().as_ref() {
        "disabled" => Ok(Some(Reasoning::Off)),
        "adaptive" => Ok(Some(Reasoning::Adaptive)),
        "enabled" => {
            let at = "thinking.budget_tokens";
            let budget = value.u64_of("budget_tokens");
            let budget = budget.ok_or_else(|| ApiError::invalid(format!("{at}: expected a whole number")).param(at))?;
            Ok(Some(Reasoning::Budget(budget)))
        }
        _ => Err(wrong("thinking.type", "enabled, disabled or adaptive", value)),
    }
}

fn output_config<'a>(config: Value<'a>, request: &mut Request<'a>) -> Result<(), ApiError> {
    if let Some(effort) = config.given("effort") {
        let word = effort.str().unwrap_or_default();
        let effort = Effort::from_name(&word)
            .ok_or_else(|| wrong("output_config.effort", "low, medium, high, xhigh or max", effort))?;
        // a budget says more, and no thinking says it all
        if matches!(request.params.reasoning, None | Some(Reasoning::Adaptive)) {
            request.params.reasoning = Some(Reasoning::Effort(effort));
        }
    }
    if let Some(format) = config.given("format") {
        let at = "output_config.format.schema";
        let schema =
            format.given("schema").ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at))?;
        if schema.kind() != Kind::Object {
            return Err(wrong(at, "an object", schema));
        }
        let format = JsonSchema { name: None, description: None, schema, strict: Some(true) };
        request.params.format = Some(Format::JsonSchema(format));
    }
    Ok(())
}

fn tool_choice<'a>(choice: Value<'a>) -> Result<ToolChoice<'a>, ApiError> {
    match required(choice, "type", "tool_choice")?.decode().as_ref() {
        "auto" => Ok(ToolChoice::Auto),
        "any" => Ok(ToolChoice::Required),
        "none" => Ok(ToolChoice::None),
        "tool" => Ok(ToolChoice::Named(required(choice, "name", "tool_choice")?)),
        _ => Err(wrong("tool_choice.type", "auto, any, tool or none", choice)),
    }
}

fn tools(value: Value<'_>) -> Result<Vec<Tool<'_>>, ApiError> {
    fn read((place, tool): (usize, Value<'_>)) -> Result<Tool<'_>, ApiError> {
        let at = format!("tools.{place}");
        if let Some(kind) = tool.str_of("type").filter(|kind| kind != "custom") {
            let why = format!("{at}.type: {kind:?} runs at one provider only; this gateway offers tools of the client");
            return Err(ApiError::invalid(why).param(format!("{at}.type")));
        }
        let parameters = tool.given("input_schema");
        if let Some(schema) = parameters.filter(|schema| schema.kind() != Kind::Object) {
            return Err(wrong(&format!("{at}.input_schema"), "an object", schema));
        }
        Ok(Tool {
            name: required(tool, "name", &at)?,
            description: tool.text_of("description"),
            parameters,
            strict: tool.get("strict").and_then(|strict| strict.bool()),
            is_custom: false,
            cache: tool.given("cache_control"),
        })
    }
    elements("tools", value)?.enumerate().map(read).collect()
}

fn read_message<'a>(message: Value<'a>, at: &str, request: &mut Request<'a>) -> Result<(), ApiError> {
    if message.kind() != Kind::Object {
        return Err(wrong(at, "an object", message));
    }
    let role = required(message, "role", at)?;
    let content = message.given("content");
    let at = format!("{at}.content");
    let content =
        content.ok_or_else(|| ApiError::invalid(format!("{at}: expected a string or an array")).param(at.clone()))?;
    let parts = blocks(&at, content)?;
    let role = match role.decode().as_ref() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => {
            request.system.extend(parts.into_iter().filter(|part| matches!(part, Part::Text { .. })));
            return Ok(());
        }
        other => {
            let why = format!("{at}: expected the role user, assistant or system, found {other:?}");
            return Err(ApiError::invalid(why).param(at));
        }
    };
    request.turns.push(Turn { role, parts, name: None });
    Ok(())
}

fn blocks<'a>(at: &str, content: Value<'a>) -> Result<Vec<Part<'a>>, ApiError> {
    if let Some(text) = content.text() {
        return Ok(vec![Part::Text { text, cache: None }]);
    }
    if content.kind() != Kind::Array {
        return Err(wrong(at, "a string or an array", content));
    }
    let mut parts = Vec::new();
    for (place, value) in content.elements().enumerate() {
        parts.extend(block(value, &format!("{at}.{place}"))?);
    }
    Ok(parts)
}

/// `None` for what only the provider itself knows what to do with.
fn block<'a>(value: Value<'a>, at: &str) -> Result<Option<Part<'a>>, ApiError> {
    let cache = value.given("cache_control");
    let kind = required(value, "type", at)?;
    Ok(Some(match kind.decode().as_ref() {
        "text" => Part::Text { text: required(value, "text", at)?, cache },
        "image" => Part::Image { source: source(value, at)?, detail: None, cache },
        "document" => Part::File { source: source(value, at)?, name: value.text_of("title"), cache },
        "thinking" => Part::Thinking {
            text: required(value, "thinking", at)?,
            signature: value.text_of("signature").filter(|signature| !signature.is_empty()),
        },
        "redacted_thinking" => Part::RedactedThinking { data: required(value, "data", at)? },
        "tool_use" => {
            let input = value.given("input").filter(|input| input.kind() == Kind::Object);
            let input = input.ok_or_else(|| {
                ApiError::invalid(format!("{at}.input: expected an object")).param(format!("{at}.input"))
            })?;
            Part::ToolCall(ToolCall {
                id: required(value, "id", at)?,
                name: required(value, "name", at)?,
                arguments: Arguments::Object(input.raw()),
                signature: None,
            })
        }
        "tool_result" => Part::ToolResult(ToolResult {
            id: required(value, "tool_use_id", at)?,
            name: None,
            parts: value
                .given("content")
                .map(|content| blocks(&format!("{at}.content"), content))
                .transpose()?
                .unwrap_or_default(),
            is_error: value.get("is_error").and_then(|value| value.bool()) == Some(true),
            cache,
        }),
        "server_tool_use" | "web_search_tool_result" | "code_execution_tool_result" | "search_result" => {
            return Ok(None);
        }
        other => {
            let at = format!("{at}.type");
            return Err(ApiError::invalid(format!("{at}: {other:?} is not known")).param(at));
        }
    }))
}

fn source<'a>(block: Value<'a>, at: &str) -> Result<Source<'a>, ApiError> {
    let at = format!("{at}.source");
    let source = block
        .given("source")
        .ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at.clone()))?;
    match required(source, "type", &at)?.decode().as_ref() {
        "base64" => {
            let data = required(source, "data", &at)?;
            let data = match data.decode() {
                std::borrow::Cow::Borrowed(text) => content::base64(text),
                std::borrow::Cow::Owned(text) => content::base64(&text).map(Text::into_owned),
            };
            let data =
                data.map_err(|why| ApiError::invalid(format!("{at}.data: {why}")).param(format!("{at}.data")))?;
            let media_type = required(source, "media_type", &at)?;
            let media_type = content::media(&media_type.decode()).into_owned();
            Ok(Source::Base64 { media_type, data })
        }
        "url" => Ok(Source::Url(required(source, "url", &at)?)),
        "text" => Ok(Source::Plain(required(source, "data", &at)?)),
        "file" => Ok(Source::Id(required(source, "file_id", &at)?)),
        _ => Err(wrong(&format!("{at}.type"), "base64, url, text or file", source)),
    }
}
