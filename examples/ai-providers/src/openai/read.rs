//! What a chat request asks.

use crate::call::Call;
use crate::media::{Media, Sort};
use crate::prompt::{Choice, Format, Prompt, Tool};
use serde_json::Value;

/// The text of a member; empty if there is none.
pub fn string<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a member; none if it is no list.
pub fn array<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a member is true.
pub fn is_true(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

/// The text of content: a string, or the text parts one after another.
pub fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        _ => array(message, "content").iter().map(|part| string(part, "text")).collect(),
    }
}

/// Whether the request asks for effort.
pub fn has_effort(body: &Value) -> bool {
    !matches!(string(body, "reasoning_effort"), "" | "none")
}

/// Reads the request.
pub fn prompt(call: &Call, body: &Value, thinks: bool) -> Prompt {
    let messages = array(body, "messages");
    let of = |roles: &'static [&str]| messages.iter().filter(move |message| roles.contains(&string(message, "role")));
    let last = of(&["user"]).next_back();
    let trailing = messages.iter().rev().take_while(|message| ["tool", "function"].contains(&string(message, "role")));
    let mut results: Vec<_> = trailing.map(text).collect();
    results.reverse();
    let prompt = Prompt {
        model: string(body, "model").to_owned(),
        system: of(&["system", "developer"]).map(text).collect(),
        user: last.map(text).unwrap_or_default(),
        media: last.map(|message| array(message, "content").iter().filter_map(media).collect()).unwrap_or_default(),
        results,
        calls_before: messages.iter().map(|message| array(message, "tool_calls").len()).sum(),
        tools: array(body, "tools").iter().filter_map(|tool| tool.get("function")).map(tool).collect(),
        choice: choice(body.get("tool_choice").unwrap_or(&Value::Null)),
        one_call: body.get("parallel_tool_calls") == Some(&Value::Bool(false)),
        format: format(body.get("response_format").unwrap_or(&Value::Null)),
        thinks,
        stream: is_true(body, "stream"),
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

/// A function on offer.
pub fn tool(function: &Value) -> Tool {
    Tool { name: string(function, "name").to_owned(), schema: function.get("parameters").cloned().unwrap_or_default() }
}

fn media(part: &Value) -> Option<Media> {
    match string(part, "type") {
        "image_url" => match part.get("image_url")? {
            Value::String(url) => Media::url(Sort::Image, url),
            image => Media::url(Sort::Image, string(image, "url")),
        },
        "input_audio" => {
            let audio = part.get("input_audio")?;
            Media::inline(Sort::Audio, &format!("audio/{}", string(audio, "format")), string(audio, "data"))
        }
        "file" => {
            let file = part.get("file")?;
            match string(file, "file_data") {
                "" => Some(Media::remote(Sort::File, string(file, "file_id"))),
                data => Media::url(Sort::File, data),
            }
        }
        _ => None,
    }
}

fn choice(value: &Value) -> Choice {
    match value.as_str() {
        Some("none") => return Choice::None,
        Some("required" | "any") => return Choice::Any,
        _ => {}
    }
    match value.pointer("/function/name").and_then(Value::as_str) {
        Some(name) => Choice::Named(name.to_owned()),
        None if value.pointer("/allowed_tools/mode").and_then(Value::as_str) == Some("required") => Choice::Any,
        None => Choice::Auto,
    }
}

fn format(value: &Value) -> Format {
    match string(value, "type") {
        "json_object" => Format::Json,
        "json_schema" => Format::Schema(value.pointer("/json_schema/schema").cloned().unwrap_or_default()),
        _ => Format::Text,
    }
}
