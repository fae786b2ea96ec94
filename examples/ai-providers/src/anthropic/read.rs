//! What a message request asks.

use crate::call::Call;
use crate::media::{Media, Sort};
use crate::openai::read::{array, is_true, string, text};
use crate::prompt::{Choice, Format, Prompt, Tool};
use serde_json::Value;

/// Reads the request for this model.
pub fn prompt(call: &Call, body: &Value, model: &str, stream: bool) -> Prompt {
    let messages = array(body, "messages");
    let is_said = |message: &&Value| {
        let blocks = array(message, "content");
        blocks.is_empty() || blocks.iter().any(|block| string(block, "type") != "tool_result")
    };
    let last = messages.iter().rfind(|message| string(message, "role") == "user" && is_said(message));
    let ends = messages.last().filter(|last| string(last, "role") == "user");
    let results = ends.map(|last| of_kind(last, "tool_result").map(result).collect()).unwrap_or_default();
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    let system = match body.get("system") {
        Some(Value::String(text)) => vec![text.clone()],
        _ => array(body, "system").iter().map(|block| string(block, "text").to_owned()).collect(),
    };
    let between = messages.iter().filter(|message| string(message, "role") == "system").map(text);
    let system = system.into_iter().chain(between).collect();
    let schema = body.pointer("/output_config/format/schema");
    let kind = body.pointer("/thinking/type").and_then(Value::as_str);
    let prompt = Prompt {
        model: model.to_owned(),
        system,
        user: last.map(text).unwrap_or_default(),
        media: last.map(|message| array(message, "content").iter().filter_map(media).collect()).unwrap_or_default(),
        results,
        calls_before: messages.iter().map(|message| of_kind(message, "tool_use").count()).sum(),
        tools: array(body, "tools").iter().map(tool).collect(),
        choice: match string(choice, "type") {
            "none" => Choice::None,
            "any" => Choice::Any,
            "tool" => Choice::Named(string(choice, "name").to_owned()),
            _ => Choice::Auto,
        },
        one_call: is_true(choice, "disable_parallel_tool_use"),
        format: schema.map_or(Format::Text, |schema| Format::Schema(schema.clone())),
        thinks: matches!(kind, Some("enabled" | "adaptive")),
        stream,
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

fn of_kind<'m>(message: &'m Value, kind: &'static str) -> impl Iterator<Item = &'m Value> {
    array(message, "content").iter().filter(move |block| string(block, "type") == kind)
}

/// The text of a result, and what pictures came with it.
fn result(block: &Value) -> String {
    let seen: Vec<_> = array(block, "content").iter().filter_map(media).collect();
    let mark = if is_true(block, "is_error") { "(error) " } else { "" };
    let seen = if seen.is_empty() { String::new() } else { format!(" [{}]", crate::media::describe(&seen)) };
    format!("{mark}{}{seen}", text(block))
}

fn tool(tool: &Value) -> Tool {
    Tool { name: string(tool, "name").to_owned(), schema: tool.get("input_schema").cloned().unwrap_or_default() }
}

fn media(block: &Value) -> Option<Media> {
    let sort = match string(block, "type") {
        "image" => Sort::Image,
        "document" => Sort::File,
        _ => return None,
    };
    let source = block.get("source")?;
    match string(source, "type") {
        "base64" => Media::inline(sort, string(source, "media_type"), string(source, "data")),
        "text" => {
            let told = format!("text/plain, {} bytes", string(source, "data").len());
            Some(Media { sort, told })
        }
        _ => Some(Media::remote(sort, &format!("{}{}", string(source, "url"), string(source, "file_id")))),
    }
}
