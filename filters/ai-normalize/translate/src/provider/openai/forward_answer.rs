//! Answers for clients that speak the dialect already: forwarded byte for byte unless something has to change.

use super::{error, usage};
use crate::client::chat::write_usage;
use crate::context::Context;
use crate::ir::{ApiError, Usage};
use crate::translate::{Operation, renames_model};
use span_json::{Doc, Edit, Kind, Patch, Text, Value, Writer};

/// What changes in an answer, and what it cost.
pub(super) fn response(
    doc: &Doc<'_>,
    operation: Operation,
    context: &Context,
) -> Result<(Option<Vec<u8>>, Option<Usage>), ApiError> {
    let root = doc.root();
    if let Some(error) = error::inside(root) {
        return Err(error);
    }
    let list = if operation == Operation::Chat { "choices" } else { "data" };
    let Some(list) = root.get(list).filter(|list| list.kind() == Kind::Array) else {
        return Err(ApiError::unreadable(&format!("expected {list}")));
    };
    let mut patch = Patch::new(doc);
    let told = usage::find(root);
    let cost = told.map(usage::read);
    let mut edits = Vec::new();
    let mut added = Vec::new();
    for (name, value) in root.members() {
        edits.push(match name.decode().as_ref() {
            "model" if renames_model(context) => Edit::Replace(quoted(&context.asked_model)),
            "usage" if operation == Operation::Chat && !value.is_null() && !usage::adds_up(value) => {
                Edit::Replace(usage_json(&usage::read(value)))
            }
            _ => Edit::Keep,
        });
    }
    if root.get("model").is_none() {
        added.push(("model", quoted(&context.model(None))));
    }
    if edits.iter().any(|edit| *edit != Edit::Keep) || !added.is_empty() {
        let mut edits = edits.into_iter();
        patch.object(root, |_, _| edits.next().unwrap_or(Edit::Keep), &added);
    }
    if operation == Operation::Chat {
        list.elements().for_each(|choice| choice_edits(choice, context, &mut patch));
    }
    Ok(((!patch.is_empty()).then(|| patch.finish()), cost))
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = Writer::default();
    out.string(text);
    String::from_utf8(out.finish()).unwrap_or_default()
}

pub(super) fn usage_json(usage: &Usage) -> String {
    let mut out = Writer::default();
    write_usage(usage, &mut out);
    String::from_utf8(out.finish()).unwrap_or_default()
}

/// OpenAI's word for a reason, if the provider's is another; `None` if it stays.
pub(super) fn finish(reason: &str, has_calls: bool) -> Option<&'static str> {
    match reason {
        "stop" if has_calls => Some("tool_calls"),
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" => None,
        "model_length" | "max_tokens" | "insufficient_system_resource" => Some("length"),
        "tool_use" => Some("tool_calls"),
        "safety" => Some("content_filter"),
        _ if has_calls => Some("tool_calls"),
        _ => Some("stop"),
    }
}

fn choice_edits(choice: Value<'_>, context: &Context, patch: &mut Patch<'_>) {
    let Some(message) = choice.given("message") else { return };
    let has_calls = message.get("tool_calls").is_some_and(|calls| calls.elements().next().is_some());
    if let Some(reason) = choice.get("finish_reason") {
        let word = match reason.str() {
            Some(text) => finish(&text, has_calls),
            None => Some(if has_calls { "tool_calls" } else { "stop" }),
        };
        if let Some(word) = word {
            patch.replace_string(reason, word);
        }
    }
    for (place, call) in (1_u32..).zip(message.get("tool_calls").iter().flat_map(Value::elements)) {
        if let Some(arguments) =
            call.at(&["function", "arguments"]).filter(|arguments| arguments.kind() == Kind::Object)
        {
            patch.replace_string(arguments, arguments.raw());
        }
        if let Some(id) = call.get("id").filter(|id| id.str().is_none_or(|id| id.is_empty())) {
            patch.replace_string(id, &context.id("call_", place));
        }
    }
    message_edits(message, patch);
}

/// Thoughts under one name, and none of them among the content.
fn message_edits(message: Value<'_>, patch: &mut Patch<'_>) {
    let list = message.get("content").filter(|content| content.kind() == Kind::Array);
    let named = message.given("reasoning_content").is_some();
    let other = message.text_of("reasoning").is_some() && !named;
    if list.is_none() && !other {
        return;
    }
    let (text, thoughts) = list.map(split).unwrap_or_default();
    let mut added = Vec::new();
    if !thoughts.is_empty() && !named && !other {
        added.push(("reasoning_content", joined(&thoughts)));
    }
    let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
        "content" if value.kind() == Kind::Array => Edit::Replace(joined(&text)),
        "reasoning" if other => Edit::Rename("reasoning_content".to_owned()),
        _ => Edit::Keep,
    };
    patch.object(message, edit, &added);
}

fn joined(texts: &[Text<'_>]) -> String {
    let mut out = Writer::default();
    out.texts(texts);
    String::from_utf8(out.finish()).unwrap_or_default()
}

/// What is said and what is thought of a list of parts, as Mistral sends them.
pub(super) fn split<'a>(content: Value<'a>) -> (Vec<Text<'a>>, Vec<Text<'a>>) {
    let (mut said, mut thought) = (Vec::new(), Vec::new());
    for part in content.elements() {
        match part.get("thinking") {
            Some(thinking) if thinking.kind() == Kind::Array => {
                thought.extend(thinking.elements().filter_map(|inner| inner.text_of("text")));
            }
            Some(thinking) => thought.extend(thinking.text()),
            None => said.extend(part.text().or_else(|| part.text_of("text"))),
        }
    }
    (said, thought)
}
