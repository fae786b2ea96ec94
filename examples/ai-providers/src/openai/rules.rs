//! What OpenAI checks beyond the shape of a request.

use super::flavour::Flavour;
use super::read::{array, string};
use crate::media::{Media, Sort};
use crate::reply::Refused;
use crate::shape::{Shape, may, must};
use serde_json::Value;

/// Longest id of a tool call.
const MAX_ID: usize = 40;

/// All of it.
pub fn check(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let is_set = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    if !is_set("model") {
        return flavour.refuse(400, "you must provide a model parameter", None, None);
    }
    without_model(flavour, body)
}

/// All of it but that there is a model.
pub fn without_model(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    members(flavour, body)?;
    results(flavour, body)?;
    tools(flavour, body)?;
    pictures(flavour, body)?;
    format(flavour, body)
}

/// Members that go together, or do not.
fn members(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let is_set = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
    let refuse = |param: &str, message: &str, code: &str| flavour.refuse(400, message, Some(param), Some(code));
    if is_set("stream_options") && !stream {
        return refuse("stream_options", "'stream_options' is only allowed when 'stream' is enabled.", "invalid_value");
    }
    if is_set("max_tokens") && is_set("max_completion_tokens") {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return refuse("max_tokens", message, "invalid_parameter_combination");
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if is_set(name) && !is_set("tools") {
            return refuse(name, &format!("'{name}' is only allowed when 'tools' are specified."), "invalid_value");
        }
    }
    if is_set("top_logprobs") && body.get("logprobs").and_then(Value::as_bool) != Some(true) {
        return refuse("top_logprobs", "'top_logprobs' is only allowed when 'logprobs' is true.", "invalid_value");
    }
    if reasons(string(body, "model")) {
        if is_set("max_tokens") {
            let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
            return refuse("max_tokens", message, "unsupported_parameter");
        }
        for name in ["temperature", "top_p"] {
            if body.get(name).and_then(Value::as_f64).is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
                let message = format!("Unsupported value: '{name}' only supports the default (1) with this model.");
                return refuse(name, &message, "unsupported_value");
            }
        }
        for name in ["logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "stop"] {
            if is_set(name) {
                let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
                return refuse(name, &message, "unsupported_parameter");
            }
        }
    }
    Ok(())
}

/// Whether it is a model that thinks, and takes fewer parameters.
fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
}

/// Each call of a tool has its result, and each result its call.
pub fn results(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in array(body, "messages").iter().enumerate() {
        let at = format!("messages.[{index}].role");
        if string(message, "role") == "tool" {
            let id = string(message, "tool_call_id");
            let Some(found) = open.iter().position(|open| *open == id) else {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                return flavour.refuse(400, message, Some(&at), None);
            };
            open.remove(found);
            continue;
        }
        answered(flavour, &open, &at)?;
        for (slot, call) in array(message, "tool_calls").iter().enumerate() {
            let id = string(call, "id");
            if id.len() > MAX_ID {
                let param = format!("messages[{index}].tool_calls[{slot}].id");
                let message =
                    format!("Invalid '{param}': string too long. Expected a string with maximum length {MAX_ID}.");
                return flavour.refuse(400, &message, Some(&param), Some("string_above_max_length"));
            }
            open.push(id);
        }
    }
    answered(flavour, &open, "messages")
}

fn answered(flavour: &Flavour, open: &[&str], at: &str) -> Result<(), Refused> {
    if open.is_empty() {
        return Ok(());
    }
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    flavour.refuse(400, &message, Some(at), None)
}

/// Names and strict schemas of tools.
pub fn tools(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    for (index, tool) in array(body, "tools").iter().enumerate() {
        let Some(function) = tool.get("function") else { continue };
        let name = string(function, "name");
        if !is_name(name, 64) {
            let at = format!("tools[{index}].function.name");
            let message = format!("Invalid '{at}': string does not match pattern '^[a-zA-Z0-9_-]+$'.");
            return flavour.refuse(400, &message, Some(&at), Some("invalid_value"));
        }
        let parameters = function.get("parameters").unwrap_or(&Value::Null);
        if parameters.get("type").is_some_and(|kind| kind != "object") {
            let at = format!("tools[{index}].function.parameters");
            let message =
                format!("Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'.");
            return flavour.refuse(400, &message, Some(&at), Some("invalid_function_parameters"));
        }
        if function.get("strict") == Some(&Value::Bool(true))
            && let Err(why) = strict(parameters)
        {
            let at = format!("tools[{index}].function.parameters");
            let message = format!("Invalid schema for function '{name}': {why}");
            return flavour.refuse(400, &message, Some(&at), Some("invalid_function_parameters"));
        }
    }
    if let Some(name) = body.pointer("/tool_choice/function/name").and_then(Value::as_str)
        && !array(body, "tools").iter().any(|tool| tool.pointer("/function/name").and_then(Value::as_str) == Some(name))
    {
        let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
        return flavour.refuse(400, &message, Some("tool_choice"), None);
    }
    Ok(())
}

/// Letters, digits, `_` and `-`.
pub fn is_name(name: &str, longest: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=longest).contains(&name.len()) && name.bytes().all(letter)
}

fn pictures(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    for message in array(body, "messages") {
        for part in array(message, "content") {
            let Some(url) = part.pointer("/image_url/url").and_then(Value::as_str) else { continue };
            let kinds = ["png", "jpeg", "gif", "webp"].map(|kind| format!("data:image/{kind};"));
            let known = !url.starts_with("data:") || kinds.iter().any(|kind| url.starts_with(kind));
            if !known || Media::url(Sort::Image, url).is_none() {
                let message = "You uploaded an unsupported image. Please make sure your image is valid.";
                return flavour.refuse(400, message, Some("url"), Some("invalid_image_format"));
            }
        }
    }
    Ok(())
}

/// Who wants JSON must say so.
pub fn json_word(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    let format = body.get("response_format").unwrap_or(&Value::Null);
    if string(format, "type") == "json_object" {
        let said = body.get("messages").map(Value::to_string).unwrap_or_default().to_lowercase();
        if !said.contains("json") {
            let message =
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            return flavour.refuse(400, message, Some("messages"), None);
        }
    }
    Ok(())
}

fn format(flavour: &Flavour, body: &Value) -> Result<(), Refused> {
    json_word(flavour, body)?;
    if let Some(asked) = body.pointer("/response_format/json_schema") {
        let schema = asked.get("schema").unwrap_or(&Value::Null);
        if asked.get("strict") == Some(&Value::Bool(true))
            && let Err(why) = strict(schema)
        {
            let message = format!("Invalid schema for response_format '{}': {why}", string(asked, "name"));
            return flavour.refuse(400, &message, Some("response_format"), None);
        }
    }
    Ok(())
}

/// A schema for strict use: objects name all their members as required, and allow no others.
pub fn strict(schema: &Value) -> Result<(), String> {
    static PROPERTIES: Shape = Shape::Record(&[may("properties", &Shape::Object), must("type", &Shape::Any)]);
    if schema.get("type") == Some(&Value::from("object")) {
        let rules = crate::shape::Rules { strict: false, null_is_missing: false };
        PROPERTIES.check(schema, rules).map_err(|fault| fault.dotted())?;
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err("'additionalProperties' is required to be supplied and to be false.".to_owned());
        }
        let names = schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        for name in names {
            if !array(schema, "required").iter().any(|required| required == name) {
                return Err(format!("'required' is required to include every key in properties. Missing '{name}'."));
            }
        }
    }
    let members = ["properties", "$defs", "definitions"].iter().filter_map(|name| schema.get(name)?.as_object());
    members.flat_map(|members| members.values()).try_for_each(strict)?;
    schema.get("items").map_or(Ok(()), strict)?;
    array(schema, "anyOf").iter().try_for_each(strict)
}
