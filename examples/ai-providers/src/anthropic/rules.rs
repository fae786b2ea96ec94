//! What Anthropic checks beyond the shape of a request.

use super::Terms;
use super::errors::refuse;
use super::reply::SIGNATURE;
use crate::media::{Media, Sort};
use crate::openai::read::{array, string};
use crate::openai::rules::is_name;
use crate::reply::Refused;
use serde_json::Value;

/// All of it.
pub fn check(body: &Value, model: &str, terms: Terms) -> Result<(), Refused> {
    sampling(body, model, terms)?;
    tools(body)?;
    let messages = array(body, "messages");
    if messages.first().map(|message| string(message, "role")) != Some("user") {
        return refuse("messages: first message must use the \"user\" role");
    }
    for (index, message) in messages.iter().enumerate() {
        if string(message, "role") == "system" && !terms.newer {
            return refuse(format!("messages.{index}.role: Input should be 'user' or 'assistant'"));
        }
        let last = index + 1 == messages.len();
        if message.get("content") == Some(&Value::from("")) && !(last && string(message, "role") == "assistant") {
            return refuse(format!("messages.{index}: all messages must have non-empty content"));
        }
        for (place, block) in array(message, "content").iter().enumerate() {
            let at = format!("messages.{index}.content.{place}");
            self::block(block, &at, string(message, "role"), terms.remote)?;
        }
    }
    for block in array(body, "system") {
        if string(block, "text").is_empty() {
            return refuse("system: text content blocks must be non-empty");
        }
    }
    if cache_marks(body) > 4 {
        return refuse("A maximum of 4 blocks with cache_control may be provided.");
    }
    pairs(messages)?;
    prefill(body, messages)?;
    thinking(body, messages)
}

fn sampling(body: &Value, model: &str, terms: Terms) -> Result<(), Refused> {
    let is_set = |name: &str| body.get(name).is_some();
    // the newest version has no such members any more
    if let Some(name) = ["temperature", "top_k", "top_p"].into_iter().find(|name| terms.newer && is_set(name)) {
        return refuse(format!("{name}: Extra inputs are not permitted"));
    }
    let newer = ["4-1", "4-5", "4-6", "4-7"].iter().any(|version| model.contains(version));
    if newer && is_set("temperature") && is_set("top_p") {
        return refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
    }
    if array(body, "stop_sequences").iter().any(|stop| stop.as_str().is_some_and(|stop| stop.trim().is_empty())) {
        return refuse("stop_sequences: each stop sequence must contain non-whitespace");
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), Refused> {
    let tools = array(body, "tools");
    for (index, tool) in tools.iter().enumerate() {
        let name = string(tool, "name");
        if !is_name(name, 128) {
            return refuse(format!("tools.{index}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
        }
        if tool.pointer("/input_schema/type") != Some(&Value::from("object")) {
            return refuse(format!("tools.{index}.custom.input_schema.type: Field required"));
        }
        if tools.iter().take(index).any(|other| string(other, "name") == name) {
            return refuse("tools: Tool names must be unique.");
        }
    }
    match body.get("tool_choice") {
        Some(_) if tools.is_empty() => refuse("tool_choice may only be specified while providing tools."),
        Some(choice)
            if string(choice, "type") == "tool"
                && !tools.iter().any(|tool| string(tool, "name") == string(choice, "name")) =>
        {
            refuse(format!("Tool '{}' not found in provided tools", string(choice, "name")))
        }
        _ => Ok(()),
    }
}

fn block(block: &Value, at: &str, role: &str, remote: bool) -> Result<(), Refused> {
    let kind = string(block, "type");
    let of_user = ["image", "document", "tool_result"].contains(&kind);
    let of_assistant = ["tool_use", "thinking", "redacted_thinking"].contains(&kind);
    if of_user && role != "user" || of_assistant && role != "assistant" {
        return refuse(format!("{at}: `{kind}` blocks can only be in other messages than those of the `{role}`"));
    }
    match kind {
        "text" if string(block, "text").is_empty() => refuse("messages: text content blocks must be non-empty"),
        "text" if string(block, "text").trim().is_empty() => {
            refuse("messages: text content blocks must contain non-whitespace text")
        }
        "tool_use" if !is_name(string(block, "id"), 64) => {
            refuse(format!("{at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"))
        }
        "tool_use" if !is_name(string(block, "name"), 128) => {
            refuse(format!("{at}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"))
        }
        "thinking" if string(block, "signature") != SIGNATURE => {
            refuse(format!("{at}: Invalid `signature` in `thinking` block"))
        }
        "tool_result" => {
            let parts = array(block, "content").iter().enumerate();
            parts.into_iter().try_for_each(|(index, part)| self::block(part, &format!("{at}.{index}"), "user", remote))
        }
        "image" | "document" => {
            let source = block.get("source").unwrap_or(&Value::Null);
            match string(source, "type") {
                "base64" if Media::inline(Sort::File, "", string(source, "data")).is_none() => {
                    refuse(format!("{at}.{kind}.source.base64: invalid base64 data"))
                }
                "url" if !remote => refuse(format!("{at}.{kind}.source: URL sources are not supported")),
                "url" if !string(source, "url").starts_with("https://") => {
                    refuse(format!("{at}.{kind}.source.url: Only HTTPS URLs are supported."))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn cache_marks(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            usize::from(members.contains_key("cache_control")) + members.values().map(cache_marks).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(cache_marks).sum(),
        _ => 0,
    }
}

fn ids<'m>(message: &'m Value, kind: &'static str, member: &'static str) -> Vec<&'m str> {
    let blocks = array(message, "content").iter().filter(|block| string(block, "type") == kind);
    blocks.map(|block| string(block, member)).collect()
}

/// Each use of a tool has its result in the next message, before any text; each result its use.
fn pairs(messages: &[Value]) -> Result<(), Refused> {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let results = ids(message, "tool_result", "tool_use_id");
        for (place, id) in results.iter().enumerate() {
            if !open.contains(id) {
                return refuse(format!(
                    "messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                     `tool_result` block must have a corresponding `tool_use` block in the previous message."
                ));
            }
            if results.iter().take(place).any(|other| other == id) {
                return refuse(format!(
                    "messages.{index}: each tool_use must have a single result. Found multiple for {id}"
                ));
            }
        }
        let missing: Vec<_> = open.iter().filter(|id| !results.contains(id)).copied().collect();
        if !missing.is_empty() {
            return unanswered(index - 1, &missing);
        }
        let first_other = array(message, "content").iter().position(|block| string(block, "type") != "tool_result");
        if first_other.is_some_and(|first| first < results.len()) {
            return refuse(format!("messages.{index}: `tool_result` blocks must come before other content"));
        }
        open = ids(message, "tool_use", "id");
        for id in &open {
            if seen.contains(id) {
                return refuse("messages: `tool_use` ids must be unique");
            }
            seen.push(id);
        }
    }
    if open.is_empty() { Ok(()) } else { unanswered(messages.len() - 1, &open) }
}

fn unanswered(index: usize, ids: &[&str]) -> Result<(), Refused> {
    refuse(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    ))
}

/// An answer that is begun may not end in a space, nor be begun for a model that thinks.
fn prefill(body: &Value, messages: &[Value]) -> Result<(), Refused> {
    let Some(last) = messages.last().filter(|last| string(last, "role") == "assistant") else { return Ok(()) };
    let text = last.get("content").and_then(Value::as_str);
    let text =
        text.unwrap_or_else(|| array(last, "content").last().map(|block| string(block, "text")).unwrap_or_default());
    if text.ends_with(char::is_whitespace) {
        return refuse("messages: final assistant content cannot end with trailing whitespace");
    }
    if body.pointer("/thinking/type").is_some_and(|kind| kind == "enabled" || kind == "adaptive") {
        return refuse("messages: the conversation must end with a user message when thinking is enabled");
    }
    Ok(())
}

fn thinking(body: &Value, messages: &[Value]) -> Result<(), Refused> {
    let kind = body.pointer("/thinking/type").and_then(Value::as_str).unwrap_or_default();
    if kind != "enabled" && kind != "adaptive" {
        return Ok(());
    }
    let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_f64);
    if number("/thinking/budget_tokens").zip(number("/max_tokens")).is_some_and(|(budget, most)| budget >= most) {
        return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
    if number("/temperature").is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        return refuse("`temperature` may only be set to 1 when thinking is enabled.");
    }
    if body.get("top_k").is_some() {
        return refuse("`top_k` must be unset when thinking is enabled.");
    }
    if number("/top_p").is_some_and(|value| value < 0.95) {
        return refuse("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.");
    }
    if body.pointer("/tool_choice/type").is_some_and(|choice| choice == "any" || choice == "tool") {
        return refuse("Thinking may not be enabled when tool_choice forces tool use.");
    }
    // the turn that is still open must begin with what was thought
    let answers = messages.last().is_some_and(|last| !ids(last, "tool_result", "tool_use_id").is_empty());
    let before = messages.iter().rev().nth(1).and_then(|message| array(message, "content").first());
    let begins = before.map(|block| string(block, "type")).unwrap_or_default();
    if kind == "enabled" && answers && !begins.ends_with("thinking") {
        return refuse(format!(
            "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{begins}`. When `thinking` is \
             enabled, a final `assistant` message must start with a thinking block.",
            messages.len().saturating_sub(2)
        ));
    }
    Ok(())
}
