//! Reading a request.

use super::object::{REDACTED, SIGNATURE_MARK, SIGNED};
use crate::content;
use crate::ir::{
    ApiError, Arguments, Effort, Format, JsonSchema, Part, Reasoning, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn,
};
use span_json::{Kind, Text, Value, Writer};

pub(super) fn read<'a>(root: Value<'a>) -> Result<Request<'a>, ApiError> {
    let mut request = Request::default();
    for (name, value) in root.members().filter(|(_, value)| !value.is_null()) {
        let known = name.decode();
        let known = known.as_ref();
        let params = &mut request.params;
        let number = || value.number().ok_or_else(|| wrong(known, "a number", value));
        let text = || value.text().ok_or_else(|| wrong(known, "a string", value));
        let boolean = || value.bool().ok_or_else(|| wrong(known, "a boolean", value));
        match known {
            // `store` asks for what is not done here, `include` for what is there anyway, `truncation` for what providers do not do
            "model" | "input" | "instructions" | "tool_choice" | "store" | "include" | "truncation"
            | "stream_options" => {}
            "stream" => request.stream = boolean()?,
            "max_output_tokens" => params.max_tokens = Some(number()?),
            "temperature" => params.temperature = Some(number()?),
            "top_p" => params.top_p = Some(number()?),
            "top_logprobs" => params.top_logprobs = Some(number()?),
            "parallel_tool_calls" => params.parallel_tool_calls = Some(boolean()?),
            "user" => params.user = Some(text()?),
            "safety_identifier" if root.given("user").is_none() => params.user = Some(text()?),
            "service_tier" => params.service_tier = Some(text()?),
            "metadata" if value.members().next().is_none() => {}
            "metadata" => params.metadata = Some(value),
            "reasoning" => params.reasoning = reasoning(value)?,
            "text" => {
                params.verbosity = value.text_of("verbosity");
                params.format = value.given("format").map(format).transpose()?;
            }
            "tools" => request.tools = tools(value)?,
            "prompt_cache_key" => params.others.push(("prompt_cache_key", value)),
            "background" if value.bool() == Some(false) => {}
            "previous_response_id" | "conversation" | "background" | "prompt" => {
                let why =
                    "this gateway keeps nothing of a request behind its answer; send the whole conversation as input";
                return Err(ApiError::unsupported(known, why));
            }
            _ => params.unknown.push(name),
        }
    }
    if let Some(instructions) = root.given("instructions") {
        let text = instructions.text().ok_or_else(|| wrong("instructions", "a string", instructions))?;
        request.system.push(Part::text(text));
    }
    request.tool_choice = root.given("tool_choice").map(tool_choice).transpose()?;
    let input =
        root.given("input").ok_or_else(|| ApiError::invalid("input: expected a string or an array").param("input"))?;
    match input.text() {
        Some(text) => request.turns.push(Turn { role: Role::User, parts: vec![Part::text(text)], name: None }),
        None => {
            for (place, item) in elements("input", input)?.enumerate() {
                read_item(item, &format!("input[{place}]"), &mut request)?;
            }
        }
    }
    if request.turns.is_empty() && request.system.is_empty() {
        return Err(ApiError::invalid("input: expected at least one item").param("input"));
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

fn reasoning(value: Value<'_>) -> Result<Option<Reasoning>, ApiError> {
    let Some(effort) = value.given("effort") else { return Ok(None) };
    match effort.str().as_deref() {
        Some("none") => Ok(Some(Reasoning::Off)),
        Some(word) => match Effort::from_name(word) {
            Some(effort) => Ok(Some(Reasoning::Effort(effort))),
            None => Err(wrong("reasoning.effort", "none, minimal, low, medium, high, xhigh or max", effort)),
        },
        None => Err(wrong("reasoning.effort", "a string", effort)),
    }
}

fn format(value: Value<'_>) -> Result<Format<'_>, ApiError> {
    match required(value, "type", "text.format")?.decode().as_ref() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let at = "text.format.schema";
            let schema = value
                .given("schema")
                .ok_or_else(|| ApiError::invalid(format!("{at}: expected an object")).param(at))?;
            if schema.kind() != Kind::Object {
                return Err(wrong(at, "an object", schema));
            }
            Ok(Format::JsonSchema(JsonSchema {
                name: value.text_of("name"),
                description: value.text_of("description"),
                schema,
                strict: value.get("strict").and_then(|strict| strict.bool()),
            }))
        }
        _ => Err(wrong("text.format.type", "text, json_object or json_schema", value)),
    }
}

fn tools(value: Value<'_>) -> Result<Vec<Tool<'_>>, ApiError> {
    fn read((place, tool): (usize, Value<'_>)) -> Result<Tool<'_>, ApiError> {
        let at = format!("tools[{place}]");
        let kind = required(tool, "type", &at)?.decode();
        let is_custom = kind == "custom";
        if !is_custom && kind != "function" {
            let why = format!("{at}.type: {kind:?} runs at one provider only; this gateway offers tools of the client");
            return Err(ApiError::invalid(why).param(format!("{at}.type")));
        }
        let parameters = tool.given("parameters").filter(|_| !is_custom);
        if let Some(schema) = parameters.filter(|schema| schema.kind() != Kind::Object) {
            return Err(wrong(&format!("{at}.parameters"), "an object", schema));
        }
        Ok(Tool {
            name: required(tool, "name", &at)?,
            description: tool.text_of("description"),
            parameters,
            strict: tool.get("strict").and_then(|strict| strict.bool()),
            is_custom,
            cache: None,
        })
    }
    elements("tools", value)?.enumerate().map(read).collect()
}

fn tool_choice<'a>(value: Value<'a>) -> Result<ToolChoice<'a>, ApiError> {
    match value.str().as_deref() {
        Some("auto") => return Ok(ToolChoice::Auto),
        Some("none") => return Ok(ToolChoice::None),
        Some("required") => return Ok(ToolChoice::Required),
        Some(_) => return Err(wrong("tool_choice", "auto, none, required or a tool", value)),
        None => {}
    }
    if value.str_of("type").as_deref() == Some("allowed_tools") {
        let tools = value.given("tools");
        let names = tools.iter().flat_map(Value::elements).filter_map(|tool| tool.text_of("name")).collect();
        let required = value.str_of("mode").as_deref() == Some("required");
        return Ok(ToolChoice::Allowed { names, required });
    }
    value
        .text_of("name")
        .map(ToolChoice::Named)
        .ok_or_else(|| wrong("tool_choice", "auto, none, required or a tool", value))
}

fn read_item<'a>(item: Value<'a>, at: &str, request: &mut Request<'a>) -> Result<(), ApiError> {
    if item.kind() != Kind::Object {
        return Err(wrong(at, "an object", item));
    }
    let kind = item.str_of("type");
    let mut say = |role, parts| request.turns.push(Turn { role, parts, name: None });
    match kind.as_deref() {
        None | Some("message") => return message(item, at, request),
        Some("function_call") => {
            let (id, signature) = split(required(item, "call_id", at)?);
            let arguments = Arguments::Encoded(item.text_of("arguments").unwrap_or_else(|| Text::from("")));
            say(
                Role::Assistant,
                vec![Part::ToolCall(ToolCall { id, name: required(item, "name", at)?, arguments, signature })],
            );
        }
        Some("custom_tool_call") => {
            let (id, signature) = split(required(item, "call_id", at)?);
            let mut out = Writer::default();
            out.object(|out| out.key("input").text(&item.text_of("input").unwrap_or_else(|| Text::from(""))));
            let arguments = Arguments::Encoded(String::from_utf8(out.finish()).unwrap_or_default().into());
            say(
                Role::Assistant,
                vec![Part::ToolCall(ToolCall { id, name: required(item, "name", at)?, arguments, signature })],
            );
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            let (id, _) = split(required(item, "call_id", at)?);
            let at = format!("{at}.output");
            let output = item
                .given("output")
                .ok_or_else(|| ApiError::invalid(format!("{at}: expected a string")).param(at.clone()))?;
            let parts = parts(output, &at)?;
            let result = ToolResult { id, name: None, parts, is_error: false, cache: None };
            say(Role::User, vec![Part::ToolResult(result)]);
        }
        Some("reasoning") => say(Role::Assistant, thought(item)),
        Some("item_reference") => {
            let why = "this gateway keeps nothing of a request behind its answer; send the item itself";
            return Err(ApiError::unsupported(at, why));
        }
        Some(other) => {
            let at = format!("{at}.type");
            return Err(ApiError::invalid(format!("{at}: {other:?} is not known")).param(at));
        }
    }
    Ok(())
}

/// What was thought, if it can be sent back: what another gateway, or OpenAI itself, has encrypted can not.
fn thought<'a>(item: Value<'a>) -> Vec<Part<'a>> {
    let kept = item.str_of("encrypted_content").unwrap_or_default();
    if let Some(data) = kept.strip_prefix(REDACTED) {
        return vec![Part::RedactedThinking { data: Text::from(data.to_owned()) }];
    }
    let text: String =
        item.get("summary").iter().flat_map(Value::elements).filter_map(|part| part.str_of("text")).collect();
    let signature = kept.strip_prefix(SIGNED).map(|signature| Text::from(signature.to_owned()));
    if signature.is_none() && text.is_empty() {
        return Vec::new();
    }
    vec![Part::Thinking { text: Text::from(text), signature }]
}

fn split(id: Text<'_>) -> (Text<'_>, Option<Text<'_>>) {
    let decoded = id.decode();
    match decoded.split_once(SIGNATURE_MARK) {
        Some((id, signature)) => (Text::from(id.to_owned()), Some(Text::from(signature.to_owned()))),
        None => (id, None),
    }
}

fn message<'a>(item: Value<'a>, at: &str, request: &mut Request<'a>) -> Result<(), ApiError> {
    let role = required(item, "role", at)?;
    let content_at = format!("{at}.content");
    let content = item.given("content");
    let content = content.ok_or_else(|| {
        ApiError::invalid(format!("{content_at}: expected a string or an array")).param(content_at.clone())
    })?;
    let parts = parts(content, &content_at)?;
    let role = match role.decode().as_ref() {
        "system" | "developer" => {
            request.system.extend(parts.into_iter().filter(|part| matches!(part, Part::Text { .. })));
            return Ok(());
        }
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let at = format!("{at}.role");
            let why = format!("{at}: expected system, developer, user or assistant, found {other:?}");
            return Err(ApiError::invalid(why).param(at));
        }
    };
    request.turns.push(Turn { role, parts, name: None });
    Ok(())
}

fn parts<'a>(content: Value<'a>, at: &str) -> Result<Vec<Part<'a>>, ApiError> {
    if let Some(text) = content.text() {
        return Ok(vec![Part::text(text)]);
    }
    let part = |(place, value)| part(value, &format!("{at}[{place}]"));
    elements(at, content)?.enumerate().map(part).collect()
}

fn part<'a>(value: Value<'a>, at: &str) -> Result<Part<'a>, ApiError> {
    let address = |name: &str, text: Text<'a>| {
        content::source(&text).map_err(|why| {
            let at = format!("{at}.{name}");
            ApiError::invalid(format!("{at}: {why}")).param(at)
        })
    };
    match required(value, "type", at)?.decode().as_ref() {
        "input_text" | "output_text" | "text" => Ok(Part::text(required(value, "text", at)?)),
        "refusal" => Ok(Part::Refusal(required(value, "refusal", at)?)),
        "input_image" => {
            let source = match (value.text_of("image_url"), value.text_of("file_id")) {
                (Some(url), _) => address("image_url", url)?,
                (None, Some(id)) => Source::Id(id),
                (None, None) => return Err(ApiError::invalid(format!("{at}: expected image_url or file_id")).param(at)),
            };
            Ok(Part::Image { source, detail: value.text_of("detail"), cache: None })
        }
        "input_file" => {
            let source = match (value.text_of("file_data"), value.text_of("file_url"), value.text_of("file_id")) {
                (Some(data), ..) => address("file_data", data)?,
                (_, Some(url), _) => Source::Url(url),
                (.., Some(id)) => Source::Id(id),
                _ => return Err(ApiError::invalid(format!("{at}: expected file_data, file_url or file_id")).param(at)),
            };
            Ok(Part::File { source, name: value.text_of("filename"), cache: None })
        }
        "input_audio" => {
            let audio = value.given("input_audio").unwrap_or(value);
            Ok(Part::Audio { data: required(audio, "data", at)?, format: required(audio, "format", at)? })
        }
        other => {
            let at = format!("{at}.type");
            Err(ApiError::invalid(format!("{at}: {other:?} is not known")).param(at))
        }
    }
}
