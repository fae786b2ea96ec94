//! Reading a stream of frames.

use super::response;
use crate::context::Context;
use crate::ir::{ApiError, Event, Finish};
use crate::provider::{Reader, anthropic};
use crate::stream::Item;
use span_json::{Doc, Limits, Text, Value};
use std::collections::BTreeMap;

/// Most blocks that are told apart.
const MAX_BLOCKS: usize = 4096;

#[derive(Debug)]
pub(super) struct FrameReader {
    has_begun: bool,
    /// Numbers of calls by the index of their block.
    calls: BTreeMap<u32, u32>,
    count: u32,
    finish: Option<(Finish, Option<String>)>,
}

impl FrameReader {
    pub(super) fn new(_: &Context) -> Self {
        Self { has_begun: false, calls: BTreeMap::new(), count: 0, finish: None }
    }

    fn event(&mut self, name: &[u8], root: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        if !self.has_begun {
            self.has_begun = true;
            out(Event::Start { id: None, model: None, created: None });
        }
        let block = root.u64_of("contentBlockIndex").and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        match name {
            b"contentBlockStart" => {
                let Some(call) = root.at(&["start", "toolUse"]) else { return };
                if self.calls.len() >= MAX_BLOCKS {
                    return;
                }
                let slot = self.count;
                self.count = self.count.saturating_add(1);
                self.calls.insert(block, slot);
                let name = call.text_of("name").unwrap_or_else(|| Text::from(""));
                out(Event::ToolStart { choice: 0, slot, id: call.text_of("toolUseId"), name, signature: None });
            }
            b"contentBlockDelta" => {
                if let Some(delta) = root.get("delta") {
                    self.delta(block, delta, out);
                }
            }
            b"contentBlockStop" => {
                if let Some(slot) = self.calls.remove(&block) {
                    out(Event::ToolEnd { choice: 0, slot });
                }
            }
            b"messageStop" => {
                let finish = response::finish(root).with_calls(self.count > 0);
                self.finish = Some((finish, response::stop_sequence(root).map(|text| text.decode().into_owned())));
            }
            b"metadata" => {
                if let Some(told) = root.given("usage") {
                    out(Event::Usage(response::usage(told)));
                }
                // it is the last one
                self.end_of_answer(out);
            }
            _ => {}
        }
    }

    fn delta(&mut self, block: u32, delta: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        let filled = |text: Text<'_>| !text.is_empty();
        if let Some(text) = delta.text_of("text").filter(|text| filled(text.clone())) {
            out(Event::Text { choice: 0, text, logprobs: None });
        }
        if let Some(fragment) = delta.at(&["toolUse", "input"]).and_then(|input| input.text())
            && let Some(slot) = self.calls.get(&block)
            && !fragment.is_empty()
        {
            out(Event::ToolArguments { choice: 0, slot: *slot, fragment });
        }
        let Some(thought) = delta.given("reasoningContent") else { return };
        if let Some(text) = thought.text_of("text").filter(|text| filled(text.clone())) {
            out(Event::Reasoning { choice: 0, text });
        }
        if let Some(signature) = thought.text_of("signature") {
            out(Event::Signature { choice: 0, signature });
        }
        if let Some(data) = thought.text_of("redactedContent") {
            out(Event::RedactedThinking { choice: 0, data });
        }
    }

    fn end_of_answer(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        if let Some((finish, stop)) = self.finish.take() {
            out(Event::Finish { choice: 0, finish, stop_sequence: stop.map(Text::from) });
            out(Event::End);
        }
    }
}

impl Reader for FrameReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match item {
            Item::Comment => {}
            Item::Exception { name, data } => return Err(anthropic::aws_exception(name, data)),
            Item::Event { name, data } => {
                let doc =
                    Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
                self.event(name, doc.root(), out);
            }
        }
        Ok(())
    }

    /// The answer is whole with its reason to end; what it cost may be missing.
    fn end(&mut self, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if self.finish.is_none() {
            return Err(ApiError::truncated());
        }
        self.end_of_answer(out);
        Ok(())
    }
}
