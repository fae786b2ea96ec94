//! What a request to Gemini asks.

use super::rules::wants_signatures;
use crate::call::Call;
use crate::media::{Media, Sort};
use crate::openai::read::{array, string};
use crate::prompt::{Choice, Format, Prompt, Tool};
use serde_json::Value;

/// Reads the request for this model.
pub fn prompt(call: &Call, body: &Value, model: &str, stream: bool) -> Prompt {
    let contents = array(body, "contents");
    let is_question = |content: &&Value| string(content, "role") != "model" && responses(content).is_empty();
    let last = contents.iter().rfind(is_question);
    let config = body.get("generationConfig").unwrap_or(&Value::Null);
    let calling = body.pointer("/toolConfig/functionCallingConfig").unwrap_or(&Value::Null);
    let allowed: Vec<_> = array(calling, "allowedFunctionNames").iter().filter_map(Value::as_str).collect();
    let functions = array(body, "tools").iter().flat_map(|tool| array(tool, "functionDeclarations")).map(tool);
    let tools: Vec<_> = functions.filter(|tool| allowed.is_empty() || allowed.contains(&tool.name.as_str())).collect();
    let schema = ["responseSchema", "responseJsonSchema"].iter().find_map(|name| config.get(name));
    let thinking = config.get("thinkingConfig").unwrap_or(&Value::Null);
    let budget = thinking.get("thinkingBudget").and_then(Value::as_i64);
    let prompt = Prompt {
        model: model.to_owned(),
        system: body.get("systemInstruction").map(texts).unwrap_or_default(),
        user: last.map(|content| texts(content).concat()).unwrap_or_default(),
        media: last.map(|content| array(content, "parts").iter().filter_map(media).collect()).unwrap_or_default(),
        results: contents.last().map(responses).unwrap_or_default(),
        calls_before: contents
            .iter()
            .flat_map(|content| array(content, "parts"))
            .filter(|part| part.get("functionCall").is_some())
            .count(),
        tools,
        choice: match (string(calling, "mode"), allowed.as_slice()) {
            ("NONE", _) => Choice::None,
            ("ANY", [name]) => Choice::Named((*name).to_owned()),
            ("ANY", _) => Choice::Any,
            _ => Choice::Auto,
        },
        one_call: false,
        format: match schema {
            Some(schema) => Format::Schema(schema.clone()),
            None if string(config, "responseMimeType") == "application/json" => Format::Json,
            None => Format::Text,
        },
        thinks: wants_signatures(model)
            || budget.is_some_and(|budget| budget != 0)
            || thinking.get("thinkingLevel").is_some(),
        stream,
        wishes: call.wishes.clone(),
    };
    prompt.with_wishes(call)
}

/// The texts of a content, without thoughts.
pub fn texts(content: &Value) -> Vec<String> {
    let parts = array(content, "parts").iter().filter(|part| part.get("thought") != Some(&Value::Bool(true)));
    parts.filter_map(|part| part.get("text")?.as_str()).map(str::to_owned).collect()
}

/// What functions answered: the text of `output`, or the object.
fn responses(content: &Value) -> Vec<String> {
    let parts = array(content, "parts").iter().filter_map(|part| part.pointer("/functionResponse/response"));
    let told = parts.map(|response| match (response.get("output").or_else(|| response.get("result")), response) {
        (Some(Value::String(text)), _) => text.clone(),
        (_, response) => response.to_string(),
    });
    told.collect()
}

fn tool(function: &Value) -> Tool {
    let schema = function.get("parameters").or_else(|| function.get("parametersJsonSchema"));
    Tool { name: string(function, "name").to_owned(), schema: schema.cloned().unwrap_or_default() }
}

fn media(part: &Value) -> Option<Media> {
    let (blob, remote) = match (part.get("inlineData"), part.get("fileData")) {
        (Some(blob), _) => (blob, false),
        (None, Some(file)) => (file, true),
        (None, None) => return None,
    };
    let media_type = string(blob, "mimeType");
    let sort = match media_type.split('/').next() {
        Some("image") => Sort::Image,
        Some("audio") => Sort::Audio,
        _ => Sort::File,
    };
    if remote {
        Some(Media::remote(sort, string(blob, "fileUri")))
    } else {
        Media::inline(sort, media_type, string(blob, "data"))
    }
}
