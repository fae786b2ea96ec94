//! Reading a stream of events.

use super::response;
use crate::ir::{ApiError, Event};
use crate::provider::Reader;
use crate::stream::Item;
use span_json::{Doc, Limits, Text, Value};
use std::collections::BTreeMap;

/// Most calls that are told apart.
const MAX_CALLS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct EventReader {
    /// Numbers of calls by the provider's index.
    calls: BTreeMap<u64, u32>,
    count: u32,
}

impl EventReader {
    fn event(&mut self, kind: &str, root: Value<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        let message = root.at(&["delta", "message"]);
        let index = root.u64_of("index").unwrap_or(0);
        let filled = |text: Option<Text<'_>>| text.is_some_and(|text| !text.is_empty());
        match kind {
            "message-start" => out(Event::Start { id: root.text_of("id"), model: None, created: None }),
            "content-start" | "content-delta" => {
                let Some(content) = message.and_then(|message| message.get("content")) else { return Ok(()) };
                if filled(content.text_of("thinking")) {
                    out(Event::Reasoning {
                        choice: 0,
                        text: content.text_of("thinking").unwrap_or_else(|| Text::from("")),
                    });
                }
                if filled(content.text_of("text")) {
                    let text = content.text_of("text").unwrap_or_else(|| Text::from(""));
                    out(Event::Text { choice: 0, text, logprobs: None });
                }
            }
            "tool-plan-delta" => {
                let plan = message.and_then(|message| message.text_of("tool_plan")).filter(|plan| !plan.is_empty());
                if let Some(text) = plan {
                    out(Event::Reasoning { choice: 0, text });
                }
            }
            "tool-call-start" => {
                let Some(call) = message.and_then(|message| message.get("tool_calls")) else { return Ok(()) };
                if self.calls.len() >= MAX_CALLS {
                    return Ok(());
                }
                let slot = self.count;
                self.count = self.count.saturating_add(1);
                self.calls.insert(index, slot);
                let function = call.get("function");
                let name = function.and_then(|function| function.text_of("name")).unwrap_or_else(|| Text::from(""));
                out(Event::ToolStart { choice: 0, slot, id: call.text_of("id"), name, signature: None });
                self.arguments(index, call, out);
            }
            "tool-call-delta" => {
                if let Some(call) = message.and_then(|message| message.get("tool_calls")) {
                    self.arguments(index, call, out);
                }
            }
            "tool-call-end" => {
                if let Some(slot) = self.calls.remove(&index) {
                    out(Event::ToolEnd { choice: 0, slot });
                }
            }
            "message-end" => {
                let delta = root.get("delta").unwrap_or(root);
                if let Some(told) = delta.given("usage") {
                    out(Event::Usage(response::usage(told)));
                }
                let finish = response::finish(delta)?.with_calls(self.count > 0);
                out(Event::Finish { choice: 0, finish, stop_sequence: None });
                out(Event::End);
            }
            _ => {}
        }
        Ok(())
    }

    fn arguments(&self, index: u64, call: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        let fragment = call.at(&["function", "arguments"]).and_then(|arguments| arguments.text());
        if let (Some(slot), Some(fragment)) = (self.calls.get(&index), fragment.filter(|text| !text.is_empty())) {
            out(Event::ToolArguments { choice: 0, slot: *slot, fragment });
        }
    }
}

impl Reader for EventReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match item {
            Item::Comment => out(Event::Ping),
            Item::Exception { .. } => {}
            Item::Event { data, .. } if data.trim_ascii() == b"[DONE]" => {}
            Item::Event { name, data } => {
                let doc =
                    Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
                let root = doc.root();
                let kind = root.str_of("type").unwrap_or_else(|| String::from_utf8_lossy(name));
                if kind.is_empty() || kind == "error" {
                    // an error in the middle has the shape of one at the begin
                    let message = root.str_of("message").unwrap_or_default().into_owned();
                    let message = if message.is_empty() {
                        "the provider ended its answer with an error".to_owned()
                    } else {
                        message
                    };
                    return Err(ApiError::new(502, message).code("upstream_error"));
                }
                self.event(&kind, root, out)?;
            }
        }
        Ok(())
    }
}
