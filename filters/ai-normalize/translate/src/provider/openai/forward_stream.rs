//! Streams for clients that speak the dialect already: each chunk is forwarded as it is unless something has to change.

use super::forward_answer::{finish, quoted, split, usage_json};
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
    /// The provider's own words for it, where its parts add up.
    usage_json: Option<String>,
    done: bool,
}

#[derive(Default)]
struct Choice {
    has_role: bool,
    is_finished: bool,
    /// Calls of tools, by the index that the client sees: the provider's id, to know a call that has no index.
    calls: Vec<String>,
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
            self.usage_json = usage::adds_up(told).then(|| told.raw().to_owned());
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
            if choice.str_of("finish_reason").as_deref() == Some("error") {
                return Err(ApiError::new(502, "the provider ended its answer with an error").code("upstream_error"));
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
        if self.id.is_none() {
            self.id = raw("id");
        }
        if self.created.is_none() {
            self.created = raw("created");
        }
        if self.model.is_none() {
            self.model = match renames_model(&self.context) {
                true => Some(quoted(&self.context.asked_model)),
                false => raw("model"),
            };
        }
        let wanted = |name: &str| match name {
            "id" => self.id.as_deref(),
            "created" => self.created.as_deref(),
            "model" => self.model.as_deref(),
            _ => None,
        };
        let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
            "usage" | "x_groq" => Edit::Remove,
            name => match wanted(name) {
                Some(json) if json != value.raw() => Edit::Replace(json.to_owned()),
                _ => Edit::Keep,
            },
        };
        let needs = root.members().any(|(name, value)| edit(&name, value) != Edit::Keep);
        if needs {
            patch.object(root, edit, &[]);
        }
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
            state.call(call, patch);
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

    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.context.want_usage {
            let usage = self.usage_json.take().unwrap_or_else(|| usage_json(&self.usage.unwrap_or_default()));
            let mut chunk = Writer::default();
            chunk.object(|chunk| {
                let id = self.id.clone().unwrap_or_else(|| quoted(&chat::answer_id(None, &self.context)));
                chunk.key("id").raw(&id);
                chunk.key("object").string("chat.completion.chunk");
                chunk.key("created").raw(self.created.as_deref().unwrap_or(&self.context.created.to_string()));
                let model = self.model.clone().unwrap_or_else(|| quoted(&self.context.model(None)));
                chunk.key("model").raw(&model);
                chunk.key("choices").raw("[]");
                chunk.key("usage").raw(&usage);
            });
            out.extend_from_slice(b"data: ");
            push_line(&chunk.finish(), out);
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.done = true;
    }
}

impl Choice {
    /// Calls get indexes where the provider gives none, and arguments become text.
    fn call(&mut self, call: Value<'_>, patch: &mut Patch<'_>) {
        let id = call.str_of("id").unwrap_or_default();
        let given = call.u64_of("index").and_then(|index| usize::try_from(index).ok());
        let place = match given {
            Some(index) => index,
            None if id.is_empty() => self.calls.len().saturating_sub(1),
            None => self.calls.iter().position(|known| *known == id).unwrap_or(self.calls.len()),
        };
        if place >= self.calls.len() && self.calls.len() < MAX_CHOICES {
            self.calls.push(id.into_owned());
        }
        if given.is_none() {
            patch.object(
                call,
                |name, _| if *name == "index" { Edit::Remove } else { Edit::Keep },
                &[("index", place.to_string())],
            );
        }
        if let Some(arguments) =
            call.at(&["function", "arguments"]).filter(|arguments| arguments.kind() == Kind::Object)
        {
            patch.replace_string(arguments, arguments.raw());
        }
    }

    /// The role once, and thoughts under one name.
    fn delta(&mut self, delta: Value<'_>, patch: &mut Patch<'_>) {
        let repeats = delta.get("role").is_some() && self.has_role;
        let lacks = delta.given("role").is_none() && !self.has_role && delta.members().next().is_some();
        self.has_role = self.has_role || delta.given("role").is_some() || lacks;
        let list = delta.get("content").filter(|content| content.kind() == Kind::Array);
        let other = delta.text_of("reasoning").is_some() && delta.given("reasoning_content").is_none();
        if !repeats && !lacks && list.is_none() && !other {
            return;
        }
        let (said, thought) = list.map(split).unwrap_or_default();
        let joined = |texts: &[Text<'_>]| {
            let mut out = Writer::default();
            out.texts(texts);
            String::from_utf8(out.finish()).unwrap_or_default()
        };
        let mut added = Vec::new();
        if lacks {
            added.push(("role", "\"assistant\"".to_owned()));
        }
        if !thought.is_empty() {
            added.push(("reasoning_content", joined(&thought)));
        }
        let edit = |name: &Text<'_>, value: Value<'_>| match name.decode().as_ref() {
            "role" if repeats || lacks => Edit::Remove,
            "content" if value.kind() == Kind::Array && said.is_empty() => Edit::Remove,
            "content" if value.kind() == Kind::Array => Edit::Replace(joined(&said)),
            "reasoning" if other => Edit::Rename("reasoning_content".to_owned()),
            _ => Edit::Keep,
        };
        patch.object(delta, edit, &added);
    }
}

/// JSON in one line: line ends stand outside of its strings only.
fn push_line(json: &[u8], out: &mut Vec<u8>) {
    out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
}

impl Stage for Forward {
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        match item {
            Item::Comment => out.extend_from_slice(b": ping\n\n"),
            Item::Exception { .. } => {}
            Item::Event { data, .. } if data.trim_ascii() == b"[DONE]" => self.finish(out),
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
        self.finish(out);
        Ok(())
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
