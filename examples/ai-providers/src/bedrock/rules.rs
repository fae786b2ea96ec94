//! What Bedrock checks beyond the shape of a Converse request.

use super::errors::refuse;
use crate::anthropic::reply::SIGNATURE;
use crate::media::{Media, Sort};
use crate::openai::read::{array, string};
use crate::openai::rules::is_name;
use crate::reply::Refused;
use serde_json::Value;

/// All of it.
pub fn check(body: &Value) -> Result<(), Refused> {
    let messages = array(body, "messages");
    turns(messages)?;
    let mut documents: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let blocks = array(message, "content");
        for (place, block) in blocks.iter().enumerate() {
            let at = format!("messages.{index}.content.{place}");
            self::block(block, &at, string(message, "role"))?;
            if let Some(document) = block.get("document") {
                let name = string(document, "name");
                if documents.contains(&name) {
                    return refuse(format!(
                        "Found multiple documents with the name {name}. Use unique document names."
                    ));
                }
                documents.push(name);
            }
        }
        let has = |member: &str| blocks.iter().any(|block| block.get(member).is_some());
        if has("document") && !has("text") {
            return refuse(format!("Include a text content block beside the documents at messages.{index}.content."));
        }
    }
    pairs(messages)?;
    tools(body, messages)?;
    thinking(body, messages)
}

fn turns(messages: &[Value]) -> Result<(), Refused> {
    if messages.first().map(|message| string(message, "role")) != Some("user") {
        return refuse(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        );
    }
    let roles: Vec<_> = messages.iter().map(|message| string(message, "role")).collect();
    if roles.windows(2).any(|pair| pair.first() == pair.last()) {
        return refuse(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user \
             and assistant roles and try again.",
        );
    }
    Ok(())
}

fn block(block: &Value, at: &str, role: &str) -> Result<(), Refused> {
    if block.get("text").and_then(Value::as_str).is_some_and(|text| text.trim().is_empty()) {
        return refuse(format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        ));
    }
    let wrong = match role {
        "user" => ["toolUse", "reasoningContent"].as_slice(),
        _ => &["toolResult", "image", "document", "video"],
    };
    if let Some(name) = wrong.iter().find(|name| block.get(**name).is_some()) {
        return refuse(format!("{name} at {at} is not allowed in a message of the role {role}."));
    }
    for pointer in ["/image/source/bytes", "/document/source/bytes"] {
        if block
            .pointer(pointer)
            .and_then(Value::as_str)
            .is_some_and(|data| Media::inline(Sort::File, "", data).is_none())
        {
            return refuse(format!("{at}{}: not base64", pointer.replace('/', ".")));
        }
    }
    if let Some(name) = block.pointer("/document/name").and_then(Value::as_str) {
        let letter = |letter: char| letter.is_ascii_alphanumeric() || " -()[]".contains(letter);
        if name.len() > 200 || !name.chars().all(letter) || name.contains("  ") {
            return refuse(
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and \
                 square brackets. The name can't contain more than one consecutive whitespace character.",
            );
        }
    }
    if let Some(call) = block.get("toolUse") {
        identifier(string(call, "toolUseId"), &format!("{at}.toolUse.toolUseId"))?;
        identifier(string(call, "name"), &format!("{at}.toolUse.name"))?;
        if !call.get("input").is_some_and(Value::is_object) {
            return refuse(format!(
                "The format of the value at {at}.toolUse.input is invalid. Provide a json object for the field and try again."
            ));
        }
    }
    if let Some(result) = block.get("toolResult") {
        identifier(string(result, "toolUseId"), &format!("{at}.toolResult.toolUseId"))?;
        for (index, part) in array(result, "content").iter().enumerate() {
            if part.get("text").is_some_and(|text| text == "") {
                return refuse(format!("The text field at {at}.toolResult.content.{index} is blank."));
            }
            if part.get("json").is_some_and(|value| !value.is_object()) {
                return refuse(format!("The format of the value at {at}.toolResult.content.{index}.json is invalid."));
            }
        }
    }
    if let Some(signature) = block.pointer("/reasoningContent/reasoningText").map(|text| string(text, "signature"))
        && signature != SIGNATURE
    {
        return refuse(format!("{at}: Invalid `signature` in `thinking` block"));
    }
    Ok(())
}

fn identifier(text: &str, at: &str) -> Result<(), Refused> {
    if is_name(text, 64) {
        return Ok(());
    }
    refuse(format!(
        "1 validation error detected: Value '{text}' at '{at}' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [a-zA-Z0-9_-]+ and have length less than or equal to 64"
    ))
}

fn ids(message: &Value, member: &'static str) -> Vec<String> {
    let blocks = array(message, "content").iter().filter_map(|block| block.get(member));
    blocks.map(|block| string(block, "toolUseId").to_owned()).collect()
}

/// Each use of a tool has its result in the next message; each result its use.
fn pairs(messages: &[Value]) -> Result<(), Refused> {
    let mut open: Vec<String> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let results = ids(message, "toolResult");
        if results.len() > open.len() {
            return refuse(format!(
                "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
            ));
        }
        let missing: Vec<_> = open.into_iter().filter(|id| !results.contains(id)).collect();
        if !missing.is_empty() {
            return refuse(format!(
                "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
                missing.join(", ")
            ));
        }
        open = ids(message, "toolUse");
        if open.iter().enumerate().any(|(place, id)| open.iter().take(place).any(|other| other == id)) {
            return refuse(format!("The toolUse blocks at messages.{index}.content contain duplicate Ids."));
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    refuse(format!(
        "Expected toolResult blocks at messages.{}.content for the following Ids: {}",
        messages.len(),
        open.join(", ")
    ))
}

fn tools(body: &Value, messages: &[Value]) -> Result<(), Refused> {
    let Some(config) = body.get("toolConfig") else {
        let blocks = messages.iter().flat_map(|message| array(message, "content"));
        let used = |block: &Value| block.get("toolUse").is_some() || block.get("toolResult").is_some();
        if blocks.into_iter().any(used) {
            return refuse("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
        }
        return Ok(());
    };
    let specs: Vec<_> = array(config, "tools").iter().filter_map(|tool| tool.get("toolSpec")).collect();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("toolConfig.tools.{index}.toolSpec");
        identifier(string(spec, "name"), &format!("{at}.name"))?;
        if spec.pointer("/inputSchema/json/type") != Some(&Value::from("object")) {
            return refuse(format!("The value at {at}.inputSchema.json.type must be one of the following: object."));
        }
        if specs.iter().take(index).any(|other| string(other, "name") == string(spec, "name")) {
            return refuse(format!("The tool {} is already defined at {at}.", string(spec, "name")));
        }
    }
    match config.pointer("/toolChoice/tool/name").and_then(Value::as_str) {
        Some(name) if !specs.iter().any(|spec| string(spec, "name") == name) => {
            refuse(format!("The tool {name} at toolConfig.toolChoice.tool.name is not defined."))
        }
        _ => Ok(()),
    }
}

/// The model's own constraints on thinking.
fn thinking(body: &Value, messages: &[Value]) -> Result<(), Refused> {
    let Some(thinking) = body.pointer("/additionalModelRequestFields/thinking") else { return Ok(()) };
    if string(thinking, "type") != "enabled" {
        return Ok(());
    }
    let number = |pointer: &str| body.pointer(pointer).and_then(Value::as_f64);
    let budget = thinking.get("budget_tokens").and_then(Value::as_f64);
    let model = |why: &str| refuse(format!("The model returned the following errors: {why}"));
    if budget.is_none_or(|budget| budget < 1024.0) {
        return model("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
    }
    if budget.zip(number("/inferenceConfig/maxTokens")).is_some_and(|(budget, most)| budget >= most) {
        return model("`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
    if number("/inferenceConfig/temperature").is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        return model("`temperature` may only be set to 1 when thinking is enabled.");
    }
    let choice = body.pointer("/toolConfig/toolChoice");
    if choice.is_some_and(|choice| choice.get("any").is_some() || choice.get("tool").is_some()) {
        return model("Thinking may not be enabled when tool_choice forces tool use.");
    }
    let answers = messages.last().is_some_and(|last| !ids(last, "toolResult").is_empty());
    let before = messages.iter().rev().nth(1).and_then(|message| array(message, "content").first());
    if answers && before.is_none_or(|block| block.get("reasoningContent").is_none()) {
        return model(
            "Expected `thinking` or `redacted_thinking`, but found another block at the start of the assistant's turn.",
        );
    }
    Ok(())
}
