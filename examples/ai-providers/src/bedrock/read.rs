//! What a Converse request asks.

use crate::call::Call;
use crate::media::{Media, Sort, describe};
use crate::openai::read::{array, string};
use crate::prompt::{Choice, Format, Prompt, Tool};
use serde_json::Value;

/// Reads the request for this model.
pub fn prompt(call: &Call, body: &Value, model: &str, stream: bool) -> Prompt {
    let messages = array(body, "messages");
    let is_said = |message: &&Value| array(message, "content").iter().any(|block| block.get("toolResult").is_none());
    let last = messages.iter().rfind(|message| string(message, "role") == "user" && is_said(message));
    let results = messages.last().map(|last| of(last, "toolResult").map(result).collect()).unwrap_or_default();
    let choice = body.pointer("/toolConfig/toolChoice").unwrap_or(&Value::Null);
    let tools = body.get("toolConfig").map(|config| array(config, "tools")).unwrap_or_default();
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    let thinking = body.pointer("/additionalModelRequestFields/thinking/type").and_then(Value::as_str);
    let prompt = Prompt {
        model: model.to_owned(),
        system: array(body, "system")
            .iter()
            .filter_map(|block| block.get("text")?.as_str())
            .map(str::to_owned)
            .collect(),
        user: last.map(texts).unwrap_or_default(),
        media: last.map(|message| array(message, "content").iter().filter_map(media).collect()).unwrap_or_default(),
        results,
        calls_before: messages.iter().map(|message| of(message, "toolUse").count()).sum(),
        tools: tools.iter().filter_map(|tool| tool.get("toolSpec")).map(tool).collect(),
        choice: match choice.pointer("/tool/name").and_then(Value::as_str) {
            Some(name) => Choice::Named(name.to_owned()),
            None if choice.get("any").is_some() => Choice::Any,
            None => Choice::Auto,
        },
        one_call: body.pointer("/additionalModelRequestFields/tool_choice/disable_parallel_tool_use")
            == Some(&Value::Bool(true)),
        format: schema.map_or(Format::Text, |schema| Format::Schema(serde_json::from_str(schema).unwrap_or_default())),
        thinks: matches!(thinking, Some("enabled" | "adaptive")),
        stream,
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

fn of<'m>(message: &'m Value, member: &'static str) -> impl Iterator<Item = &'m Value> {
    array(message, "content").iter().filter_map(move |block| block.get(member))
}

fn texts(holder: &Value) -> String {
    array(holder, "content").iter().map(|block| string(block, "text")).collect()
}

/// The text of a result, its JSON, and what pictures came with it.
fn result(result: &Value) -> String {
    let mark = if string(result, "status") == "error" { "(error) " } else { "" };
    let json: String = of(result, "json").map(Value::to_string).collect();
    let seen: Vec<_> = array(result, "content").iter().filter_map(media).collect();
    let seen = if seen.is_empty() { String::new() } else { format!(" [{}]", describe(&seen)) };
    format!("{mark}{}{json}{seen}", texts(result))
}

fn tool(spec: &Value) -> Tool {
    let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_default();
    Tool { name: string(spec, "name").to_owned(), schema }
}

fn media(block: &Value) -> Option<Media> {
    let (sort, kind, thing) = match (block.get("image"), block.get("document")) {
        (Some(image), _) => (Sort::Image, "image", image),
        (None, Some(document)) => (Sort::File, "application", document),
        (None, None) => return None,
    };
    let media_type = format!("{kind}/{}", string(thing, "format"));
    let source = thing.get("source")?;
    match source.get("bytes").and_then(Value::as_str) {
        Some(data) => Media::inline(sort, &media_type, data),
        None => Some(Media { sort, told: media_type }),
    }
}
