//! Reading a stream of chunks.

use super::{error, forward_answer, read, usage};
use crate::ir::{ApiError, Event};
use crate::provider::Reader;
use crate::stream::Item;
use span_json::{Doc, Kind, Limits, Text, Value};
use std::collections::BTreeMap;

/// Most calls and answers that are told apart.
const MAX_SLOTS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    has_begun: bool,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    is_finished: bool,
    /// Ids of calls, in the order they came; where there is an index, it is the place.
    calls: Vec<String>,
}

impl ChunkReader {
    fn chunk(&mut self, root: Value<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if let Some(error) = error::inside(root) {
            return Err(error);
        }
        if let Some(told) = usage::find(root) {
            out(Event::Usage(usage::read(told)));
        }
        let choices = root.get("choices");
        if !self.has_begun && choices.is_some_and(|choices| choices.elements().next().is_some()) {
            self.has_begun = true;
            let text = |name: &str| root.text_of(name).filter(|text| !text.is_empty());
            out(Event::Start { id: text("id"), model: text("model"), created: root.u64_of("created") });
        }
        for choice in choices.iter().flat_map(Value::elements) {
            if choice.str_of("finish_reason").as_deref() == Some("error") {
                return Err(ApiError::new(502, "the provider ended its answer with an error").code("upstream_error"));
            }
            self.choice(choice, out);
        }
        Ok(())
    }

    fn choice(&mut self, choice: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        let index = choice.u64_of("index").and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        if self.choices.len() >= MAX_SLOTS && !self.choices.contains_key(&index) {
            return;
        }
        let state = self.choices.entry(index).or_default();
        if let Some(delta) = choice.given("delta") {
            let text = |name: &str| delta.text_of(name).filter(|text| !text.is_empty());
            if let Some(text) = text("reasoning_content").or_else(|| text("reasoning")) {
                out(Event::Reasoning { choice: index, text });
            }
            let content = delta.given("content");
            if let Some(list) = content.filter(|content| content.kind() == Kind::Array) {
                let (said, thought) = forward_answer::split(list);
                for text in thought.into_iter().filter(|text| !text.is_empty()) {
                    out(Event::Reasoning { choice: index, text });
                }
                for text in said.into_iter().filter(|text| !text.is_empty()) {
                    out(Event::Text { choice: index, text, logprobs: None });
                }
            }
            if let Some(text) = text("content") {
                out(Event::Text { choice: index, text, logprobs: choice.given("logprobs") });
            }
            if let Some(text) = text("refusal") {
                out(Event::Refusal { choice: index, text });
            }
            for call in delta.get("tool_calls").iter().flat_map(Value::elements) {
                state.call(call, index, out);
            }
        }
        let (finish, stop_sequence) = read::finish(choice);
        let is_given = choice.str_of("finish_reason").is_some_and(|reason| !matches!(reason.as_ref(), "" | "null"));
        if is_given && !state.is_finished {
            state.is_finished = true;
            out(Event::Finish { choice: index, finish: finish.with_calls(!state.calls.is_empty()), stop_sequence });
        }
    }
}

impl Choice {
    fn call(&mut self, call: Value<'_>, choice: u32, out: &mut dyn FnMut(Event<'_>)) {
        let id = call.text_of("id").filter(|id| !id.is_empty());
        let known = id.as_ref().map(|id| id.decode().into_owned()).unwrap_or_default();
        let given = call.u64_of("index").and_then(|index| usize::try_from(index).ok());
        let place = match given {
            Some(index) => index.min(self.calls.len()),
            None if known.is_empty() => self.calls.len().saturating_sub(1),
            None => self.calls.iter().position(|other| *other == known).unwrap_or(self.calls.len()),
        };
        let slot = u32::try_from(place).unwrap_or(u32::MAX);
        let function = call.get("function");
        if place >= self.calls.len() {
            let name = function.and_then(|function| function.text_of("name")).unwrap_or_else(|| Text::from(""));
            if self.calls.len() >= MAX_SLOTS {
                return;
            }
            self.calls.push(known);
            let signature = call.at(&["extra_content", "google", "thought_signature"]).and_then(|value| value.text());
            out(Event::ToolStart { choice, slot, id, name, signature });
        }
        let fragment = match function.and_then(|function| function.given("arguments")) {
            Some(value) if value.kind() == Kind::Object => Some(Text::from(value.raw())),
            Some(value) => value.text(),
            None => None,
        };
        if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
            out(Event::ToolArguments { choice, slot, fragment });
        }
    }
}

impl Reader for ChunkReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match item {
            Item::Comment => out(Event::Ping),
            Item::Exception { .. } => {}
            Item::Event { data, .. } if data.trim_ascii() == b"[DONE]" => self.finish(out),
            Item::Event { data, .. } => {
                let doc =
                    Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
                self.chunk(doc.root(), out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if self.choices.is_empty() || self.choices.values().any(|choice| !choice.is_finished) {
            return Err(ApiError::truncated());
        }
        self.finish(out);
        Ok(())
    }
}

impl ChunkReader {
    fn finish(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        for (choice, state) in &self.choices {
            for slot in 0..state.calls.len() {
                out(Event::ToolEnd { choice: *choice, slot: u32::try_from(slot).unwrap_or(u32::MAX) });
            }
        }
        out(Event::End);
    }
}
