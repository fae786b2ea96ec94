//! Reading a stream: each event is a whole answer, with what is new in it.

use super::{error, response};
use crate::context::Context;
use crate::ir::{ApiError, Event, Finish, Part};
use crate::provider::Reader;
use crate::stream::Item;
use span_json::{Doc, Kind, Limits, Value};
use std::collections::BTreeMap;

/// A note among the hints: whoever stands before the provider says that an answer ends with every piece.
pub(super) const FINISH_IN_EVERY_CHUNK: &str = "finish_in_every_chunk";

/// Most candidates that are told apart.
const MAX_CANDIDATES: usize = 4096;

#[derive(Debug)]
pub(super) struct CandidateReader {
    at_end_only: bool,
    has_begun: bool,
    has_usage: bool,
    candidates: BTreeMap<u32, Candidate>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Candidate {
    calls: u32,
    finish: Option<Finish>,
}

impl CandidateReader {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            at_end_only: context.hints.notes.contains(&FINISH_IN_EVERY_CHUNK),
            has_begun: false,
            has_usage: false,
            candidates: BTreeMap::new(),
            ended: false,
        }
    }

    fn chunk(&mut self, root: Value<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if let Some(error) = error::inside(root) {
            return Err(error);
        }
        if !self.has_begun {
            self.has_begun = true;
            out(Event::Start { id: root.text_of("responseId"), model: root.text_of("modelVersion"), created: None });
        }
        for (place, candidate) in (0..).zip(root.get("candidates").iter().flat_map(Value::elements)) {
            self.candidate(response::index(candidate).unwrap_or(place), candidate, out);
        }
        if response::is_blocked(root) && self.candidates.is_empty() {
            self.candidates.insert(0, Candidate { calls: 0, finish: Some(Finish::ContentFilter) });
        }
        if let Some(told) = root.given("usageMetadata") {
            self.has_usage = true;
            out(Event::Usage(response::usage(told)));
        }
        // with all of it there, nobody has to wait for the connection's end
        if self.has_usage && !self.at_end_only && self.is_finished() {
            self.finish(out);
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        !self.candidates.is_empty() && self.candidates.values().all(|candidate| candidate.finish.is_some())
    }

    fn candidate(&mut self, index: u32, candidate: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        if self.candidates.len() >= MAX_CANDIDATES && !self.candidates.contains_key(&index) {
            return;
        }
        let state = self.candidates.entry(index).or_default();
        for part in response::parts(candidate).filter_map(response::part) {
            match part {
                Part::Text { text, .. } if !text.is_empty() => out(Event::Text { choice: index, text, logprobs: None }),
                Part::Thinking { text, signature } => {
                    if !text.is_empty() {
                        out(Event::Reasoning { choice: index, text });
                    }
                    if let Some(signature) = signature {
                        out(Event::Signature { choice: index, signature });
                    }
                }
                Part::ToolCall(call) => {
                    let slot = state.calls;
                    state.calls = state.calls.saturating_add(1);
                    let id = Some(call.id).filter(|id| !id.is_empty());
                    out(Event::ToolStart { choice: index, slot, id, name: call.name, signature: call.signature });
                    out(Event::ToolArguments { choice: index, slot, fragment: call.arguments.encoded() });
                    out(Event::ToolEnd { choice: index, slot });
                }
                _ => {}
            }
        }
        // the last one is the one to believe
        state.finish = response::finish(candidate).or(state.finish);
    }

    fn finish(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        for (index, candidate) in &self.candidates {
            let finish = candidate.finish.unwrap_or(Finish::Unknown).with_calls(candidate.calls > 0);
            out(Event::Finish { choice: *index, finish, stop_sequence: None });
        }
        out(Event::End);
    }
}

impl Reader for CandidateReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match item {
            Item::Comment => out(Event::Ping),
            Item::Exception { .. } => {}
            Item::Event { data, .. } => {
                let doc =
                    Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
                let root = doc.root();
                let root = if root.kind() == Kind::Array { root.elements().next().unwrap_or(root) } else { root };
                self.chunk(root, out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        if !self.is_finished() {
            return Err(ApiError::truncated());
        }
        self.finish(out);
        Ok(())
    }
}
