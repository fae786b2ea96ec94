//! Streams for clients that speak the dialect already: each chunk is forwarded as it is unless something has to change.

use super::calls::Calls;
use super::forward_answer::{call_members, finish, joined, put, quoted, split, usage_json};
use super::{error, usage};
use crate::client::chat;
use crate::context::Context;
use crate::ir::{ApiError, Usage};
use crate::stream::{Item, Stage};
use crate::translate::renames_model;
use span_json::{Doc, Edit, Kind, Limits, Patch, Text, Value, Writer};
use std::collections::BTreeMap;

/// Most answers of one request that are told apart.
const MAX_CHOICES: usize = 4096;

pub(super) struct Forward {
    context: Context,
    /// What each chunk has, as the first one had it.
    id: Option<String>,
    created: Option<String>,
    model: Option<String>,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
    /// The provider's own words for it, with numbers that add up.
    usage_json: Option<String>,
    done: bool,
}

#[derive(Default)]
struct Choice {
    has_role: bool,
    is_finished: bool,
    calls: Calls,
}

impl Forward {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            id: None,
            created: None,
            model: None,
            choices: BTreeMap::new(),
            usage: None,
            usage_json: None,
            done: false,
        }
    }

    fn chunk(&mut self, doc: &Doc<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let root = doc.root();
        if let Some(error) = error::inside(root) {
            return Err(error);
        }
        if root.kind() != Kind::Object {
            return Err(ApiError::unreadable("expected chunks"));
        }
        if let Some(told) = usage::find(root) {
            self.usage = Some(usage::read(told));
            self.usage_json = Some(usage::mended(told));
        }
        let choices = root.get("choices");
        let has_choices = choices.is_some_and(|choices| choices.elements().next().is_some());
        if !has_choices {
            // what it cost is told once, at the end, and only to those who asked; anything else without an answer in it (Azure's
            // look at the prompt) breaks clients that look at the first one of each chunk
            return Ok(());
        }
        let mut patch = Patch::new(doc);
        for choice in choices.iter().flat_map(Value::elements) {
            if let Some(error) = error::of_choice(choice) {
                return Err(error);
            }
            self.choice(choice, &mut patch);
        }
        self.members(root, &mut patch);
        out.extend_from_slice(b"data: ");
        if patch.is_empty() {
            push_line(doc.text().as_bytes(), out);
        } else {
            push_line(&patch.finish(), out);
        }
        out.extend_from_slice(b"\n\n");
        Ok(())
    }

    /// Members of the chunk itself: the same in each, and no cost.
    fn members(&mut self, root: Value<'_>, patch: &mut Patch<'_>) {
        let raw = |name: &str| {
            root.given(name)
                .filter(|value| value.str().is_none_or(|text| !text.is_empty()))
                .map(|value| value.raw().to_owned())
        };
        let Self { context, id, created, model, .. } = self;
        let id = id.get_or_insert_with(|| raw("id").unwrap_or_else(|| quoted(&chat::answer_id(None, context))));
        let created = created.get_or_insert_with(|| raw("created").unwrap_or_else(|| context.created.to_string()));
        let model = model.get_or_insert_with(|| match renames_model(context) {
            true => quoted(&context.asked_model),
            false => raw("model").unwrap_or_else(|| quoted(&context.model(None))),
        });
        let object = "\"chat.completion.chunk\"";
        let wanted = [("id", id.as_str()), ("object", object), ("created", created), ("model", model)];
        // most chunks have all of it already, and this is done for each of them: one look at each member
        let mut there = [false; 4];
        let mut edits = false;
        for (name, value) in root.members() {
            let name = name.decode();
            match wanted.iter().zip(&mut there).find(|((known, _), _)| *known == name) {
                Some(((_, json), there)) => {
                    *there = true;
                    edits |= *json != value.raw();
                }
                None => edits |= shows_usage(&name, value),
            }
        }
        if !edits && there == [true; 4] {
            return;
        }
        let edit = |name: &Text<'_>, value: Value<'_>| {
            let name = name.decode();
            match wanted.iter().find(|(known, _)| *known == name) {
                Some((_, json)) if *json != value.raw() => Edit::Replace((*json).to_owned()),
                None if shows_usage(&name, value) => Edit::Remove,
                _ => Edit::Keep,
            }
        };
        let added = wanted.iter().zip(there).filter(|(_, there)| !there);
        let added: Vec<(&str, String)> = added.map(|((name, json), _)| (*name, (*json).to_owned())).collect();
        patch.object(root, edit, &added);
    }

    fn choice(&mut self, choice: Value<'_>, patch: &mut Patch<'_>) {
        let index = choice.u64_of("index").and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        if self.choices.len() >= MAX_CHOICES && !self.choices.contains_key(&index) {
            return;
        }
        let state = self.choices.entry(index).or_default();
        let delta = choice.given("delta");
        for call in delta
            .iter()
            .filter_map(|delta| delta.get("tool_calls"))
            .flat_map(|calls| calls.elements().collect::<Vec<_>>())
        {
            state.call(call, index, &self.context, patch);
        }
        if let Some(reason) = choice.get("finish_reason").filter(|reason| !reason.is_null()) {
            let text = reason.str().unwrap_or_default();
            match text.as_ref() {
                // no reason at all, in other words
                "" | "null" => patch.replace(reason, "null"),
                // one is enough
                _ if state.is_finished => patch.replace(reason, "null"),
                text => {
                    state.is_finished = true;
                    if let Some(word) = finish(text, !state.calls.is_empty()) {
                        patch.replace_string(reason, word);
                    }
                }
            }
        }
        if let Some(delta) = delta {
            state.delta(delta, patch);
        }
    }

    /// The provider says that it is done, or has given each answer its reason.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        if self.choices.is_empty() {
            return Err(ApiError::truncated());
        }
        // done without a reason: the stream is whole, and the reason not known
        let unfinished: Vec<(u32, &str)> = self
            .choices
            .iter()
            .filter(|(_, choice)| !choice.is_finished)
            .map(|(index, choice)| (*index, finish("", !choice.calls.is_empty()).unwrap_or("stop")))
            .collect();
        for (index, reason) in unfinished {
            self.made(&format!(r#"[{{"index":{index},"delta":{{}},"finish_reason":"{reason}"}}]"#), None, out);
        }
        if self.context.want_usage {
            let usage = self.usage_json.take().unwrap_or_else(|| usage_json(&self.usage.unwrap_or_default()));
            self.made("[]", Some(&usage), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.done = true;
        Ok(())
    }

    /// A chunk that the provider has not sent.
    fn made(&self, choices: &str, usage: Option<&str>, out: &mut Vec<u8>) {
        let mut chunk = Writer::default();
        chunk.object(|chunk| {
            let id = self.id.clone().unwrap_or_else(|| quoted(&chat::answer_id(None, &self.context)));
            chunk.key("id").raw(&id);
            chunk.key("object").string("chat.completion.chunk");
            chunk.key("created").raw(self.created.as_deref().unwrap_or(&self.context.created.to_string()));
            let model = self.model.clone().unwrap_or_else(|| quoted(&self.context.model(None)));
            chunk.key("model").raw(&model);
            chunk.key("choices").raw(choices);
            if let Some(usage) = usage {
                chunk.key("usage").raw(usage);
            }
        });
        out.extend_from_slice(b"data: ");
        push_line(&chunk.finish(), out);
        out.extend_from_slice(b"\n\n");
    }
}

impl Choice {
    /// Calls get indexes and ids where the provider gives none, and arguments become text.
    fn call(&mut self, call: Value<'_>, choice: u32, context: &Context, patch: &mut Patch<'_>) {
        let Some(place) = self.calls.place(call) else { return };
        let mut wanted = Vec::new();
        if call.u64_of("index") != u64::try_from(place.at).ok() {
            wanted.push(("index", place.at.to_string()));
        }
        if place.is_new {
            let number = u32::try_from(place.at + 1).unwrap_or(u32::MAX).saturating_add(choice.saturating_mul(1000));
            wanted.extend(call_members(call, || context.id("call_", number)));
        }
        put(call, &wanted, patch);
        if let Some(arguments) =
            call.at(&["function", "arguments"]).filter(|arguments| arguments.kind() == Kind::Object)
        {
            patch.replace_string(arguments, arguments.raw());
        }
    }

    /// The role once, and thoughts under one name.
    fn delta(&mut self, delta: Value<'_>, patch: &mut Patch<'_>) {
        let has_role = delta.str_of("role").is_some_and(|role| !role.is_empty());
        let repeats = delta.get("role").is_some() && self.has_role;
        let lacks = !has_role && !self.has_role && (self.is_finished || delta.members().next().is_some());
        self.has_role = self.has_role || has_role || lacks;
        let list = delta.get("content").filter(|content| content.kind() == Kind::Array);
        let other = delta.text_of("reasoning").is_some() && delta.given("reasoning_content").is_none();
        if !repeats && !lacks && list.is_none() && !other {
            return;
        }
        let (said, thought) = list.map(split).unwrap_or_default();
        let mut added = Vec::new();
        if lacks {
            added.push(("role", "\"assistant\"".to_owned()));
        }
        let thinks = !thought.is_empty() && !other && delta.given("reasoning_content").is_none();
        if thinks {
            added.push(("reasoning_content", joined(&thought)));
        }
        let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
            "role" if repeats || lacks => Edit::Remove,
            "content" if value.kind() == Kind::Array && said.is_empty() => Edit::Remove,
            "content" if value.kind() == Kind::Array => Edit::Replace(joined(&said)),
            // it stands there as null
            "reasoning_content" if other || thinks => Edit::Remove,
            "reasoning" if other => Edit::Rename("reasoning_content".to_owned()),
            _ => Edit::Keep,
        };
        patch.object(delta, edit, &added);
    }
}

/// What it cost is told at the end. Nobody minds the word that there is nothing yet.
fn shows_usage(name: &str, value: Value<'_>) -> bool {
    name == "usage" && !value.is_null() || name == "x_groq" && value.get("usage").is_some()
}

/// JSON in one line: line ends stand outside of its strings only.
fn push_line(json: &[u8], out: &mut Vec<u8>) {
    if !json.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return out.extend_from_slice(json);
    }
    out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

impl Stage for Forward {
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        match item {
            Item::Comment => out.extend_from_slice(b": ping\n\n"),
            Item::Exception { .. } => {}
            Item::Event { data, .. } if data.trim_ascii() == b"[DONE]" => self.finish(out)?,
            Item::Event { name: b"error", data } => return Err(error::event(data)),
            Item::Event { data, .. } => {
                let doc =
                    Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
                self.chunk(&doc, out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let is_whole = !self.choices.is_empty() && self.choices.values().all(|choice| choice.is_finished);
        if self.done {
            return Ok(());
        }
        if !is_whole {
            return Err(ApiError::truncated());
        }
        // some leave out the last word
        self.finish(out)
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&chat::write_error(error));
        out.extend_from_slice(b"\n\n");
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
