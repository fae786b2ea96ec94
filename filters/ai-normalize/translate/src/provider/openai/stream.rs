//! Reading a stream of chunks.

use super::calls::Calls;
use super::{error, forward_answer, read, usage};
use crate::ir::{ApiError, Event, Finish};
use crate::provider::Reader;
use crate::stream::Item;
use span_json::{Doc, Kind, Limits, Text, Value};
use std::collections::BTreeMap;

/// Most answers of one request that are told apart.
const MAX_CHOICES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    has_begun: bool,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Debug, Default)]
struct Choice {
    is_finished: bool,
    calls: Calls,
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
            if let Some(error) = error::of_choice(choice) {
                return Err(error);
            }
            self.choice(choice, out);
        }
        Ok(())
    }

    fn choice(&mut self, choice: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        let index = choice.u64_of("index").and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        if self.choices.len() >= MAX_CHOICES && !self.choices.contains_key(&index) {
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
        let is_given = choice.str_of("finish_reason").is_some_and(|reason| !matches!(reason.as_ref(), "" | "null"));
        if is_given && !state.is_finished {
            state.finish(index, read::finish(choice), out);
        }
    }
}

impl Choice {
    fn call(&mut self, call: Value<'_>, choice: u32, out: &mut dyn FnMut(Event<'_>)) {
        let Some(place) = self.calls.place(call) else { return };
        let slot = u32::try_from(place.at).unwrap_or(u32::MAX);
        let function = call.get("function");
        if place.is_new {
            let id = call.text_of("id").filter(|id| !id.is_empty());
            let name = function.and_then(|function| function.text_of("name")).unwrap_or_else(|| Text::from(""));
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

    /// Nothing comes behind the reason, the ends of calls neither.
    fn finish(&mut self, choice: u32, (finish, stop): (Finish, Option<Text<'_>>), out: &mut dyn FnMut(Event<'_>)) {
        self.is_finished = true;
        for slot in 0..self.calls.len() {
            out(Event::ToolEnd { choice, slot: u32::try_from(slot).unwrap_or(u32::MAX) });
        }
        out(Event::Finish { choice, finish: finish.with_calls(!self.calls.is_empty()), stop_sequence: stop });
    }
}

impl Reader for ChunkReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match item {
            Item::Comment => out(Event::Ping),
            Item::Exception { .. } => {}
            Item::Event { data, .. } if data.trim_ascii() == b"[DONE]" => self.finish(out)?,
            Item::Event { name: b"error", data } => return Err(error::event(data)),
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
        self.finish(out)
    }
}

impl ChunkReader {
    /// The provider says that it is done, or has given each answer its reason.
    fn finish(&mut self, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if self.choices.is_empty() {
            return Err(ApiError::truncated());
        }
        for (choice, state) in self.choices.iter_mut().filter(|(_, state)| !state.is_finished) {
            state.finish(*choice, (Finish::Unknown, None), out);
        }
        out(Event::End);
        Ok(())
    }
}
