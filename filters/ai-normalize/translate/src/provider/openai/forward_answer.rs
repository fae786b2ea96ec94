//! Answers for clients that speak the dialect already: forwarded byte for byte unless something has to change.

use super::{error, usage};
use crate::client::chat::{answer_id, write_usage};
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
                Edit::Replace(usage::mended(value))
            }
            _ => Edit::Keep,
        });
    }
    if root.get("model").is_none() {
        added.push(("model", quoted(&context.model(None))));
    }
    if operation == Operation::Chat {
        let made: [(&str, &dyn Fn() -> String); 3] = [
            ("id", &|| quoted(&answer_id(None, context))),
            ("object", &|| "\"chat.completion\"".to_owned()),
            ("created", &|| context.created.to_string()),
        ];
        let lacking = made.into_iter().filter(|(name, _)| root.get(name).is_none());
        added.extend(lacking.map(|(name, make)| (name, make())));
    }
    if edits.iter().any(|edit| *edit != Edit::Keep) || !added.is_empty() {
        let mut edits = edits.into_iter();
        patch.object(root, |_, _| edits.next().unwrap_or(Edit::Keep), &added);
    }
    if operation == Operation::Chat {
        for choice in list.elements() {
            if let Some(error) = error::of_choice(choice) {
                return Err(error);
            }
            choice_edits(choice, context, &mut patch);
        }
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

/// Members that a call needs and does not have.
pub(super) fn call_members(call: Value<'_>, id: impl FnOnce() -> String) -> Vec<(&'static str, String)> {
    let lacks = |name: &str| call.str_of(name).is_none_or(|text| text.is_empty());
    let mut wanted = Vec::new();
    if lacks("id") {
        wanted.push(("id", quoted(&id())));
    }
    if lacks("type") {
        wanted.push(("type", "\"function\"".to_owned()));
    }
    wanted
}

/// Gives an object members, each in the place of the one that it has under that name.
pub(super) fn put(object: Value<'_>, wanted: &[(&str, String)], patch: &mut Patch<'_>) {
    if wanted.is_empty() {
        return;
    }
    let added: Vec<(&str, String)> = wanted.iter().filter(|(name, _)| object.get(name).is_none()).cloned().collect();
    let edit = |name: &Text<'_>, _: Value<'_>| {
        wanted.iter().find(|(known, _)| *name == **known).map_or(Edit::Keep, |(_, json)| Edit::Replace(json.clone()))
    };
    patch.object(object, edit, &added);
}

fn choice_edits(choice: Value<'_>, context: &Context, patch: &mut Patch<'_>) {
    let Some(message) = choice.given("message") else { return };
    let has_calls = message.get("tool_calls").is_some_and(|calls| calls.elements().next().is_some());
    if let Some(word) = finish(&choice.str_of("finish_reason").unwrap_or_default(), has_calls) {
        put(choice, &[("finish_reason", quoted(word))], patch);
    }
    for (place, call) in (1_u32..).zip(message.get("tool_calls").iter().flat_map(Value::elements)) {
        if let Some(arguments) =
            call.at(&["function", "arguments"]).filter(|arguments| arguments.kind() == Kind::Object)
        {
            patch.replace_string(arguments, arguments.raw());
        }
        put(call, &call_members(call, || context.id("call_", place)), patch);
    }
    message_edits(message, patch);
}

/// Thoughts under one name, and none of them among the content.
fn message_edits(message: Value<'_>, patch: &mut Patch<'_>) {
    let list = message.get("content").filter(|content| content.kind() == Kind::Array);
    let named = message.given("reasoning_content").is_some();
    let other = message.text_of("reasoning").is_some() && !named;
    let lacks = message.get("content").is_none();
    if list.is_none() && !other && !lacks {
        return;
    }
    let (text, thoughts) = list.map(split).unwrap_or_default();
    let mut added = Vec::new();
    let thinks = !thoughts.is_empty() && !named && !other;
    if lacks {
        added.push(("content", "null".to_owned()));
    }
    if thinks {
        added.push(("reasoning_content", joined(&thoughts)));
    }
    let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
        "content" if value.kind() == Kind::Array => Edit::Replace(joined(&text)),
        // it stands there as null
        "reasoning_content" if other || thinks => Edit::Remove,
        "reasoning" if other => Edit::Rename("reasoning_content".to_owned()),
        _ => Edit::Keep,
    };
    patch.object(message, edit, &added);
}

pub(super) fn joined(texts: &[Text<'_>]) -> String {
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
