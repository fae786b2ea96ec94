//! Reading a stream of events.

use super::{error, response};
use crate::ir::{ApiError, Event, Finish, Usage};
use crate::provider::Reader;
use crate::stream::Item;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use span_json::{Doc, Limits, Text, Value};
use std::collections::BTreeMap;

/// Most blocks of one answer that are told apart.
const MAX_BLOCKS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct EventReader {
    /// Blocks that are open, by their index.
    blocks: BTreeMap<u32, Block>,
    calls: u32,
    usage: Usage,
    finish: Option<(Finish, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    /// With the number of the call.
    Tool(u32),
    /// Of no interest.
    Other,
}

impl EventReader {
    fn event(&mut self, root: Value<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        match root.str_of("type").as_deref() {
            Some("message_start") => {
                let message = root.get("message").unwrap_or(root);
                out(Event::Start { id: message.text_of("id"), model: message.text_of("model"), created: None });
                self.cost(message, out);
            }
            Some("content_block_start") => self.begin(index(root), root.get("content_block"), out),
            Some("content_block_delta") => {
                if let Some(delta) = root.get("delta") {
                    self.delta(index(root), delta, out);
                }
            }
            Some("content_block_stop") => {
                if let Some(Block::Tool(slot)) = self.blocks.remove(&index(root)) {
                    out(Event::ToolEnd { choice: 0, slot });
                }
            }
            Some("message_delta") => {
                if let Some(delta) = root.get("delta").filter(|delta| delta.given("stop_reason").is_some()) {
                    let (finish, stop) = response::finish(delta);
                    self.finish = Some((finish, stop.map(|stop| stop.decode().into_owned())));
                }
                self.cost(root, out);
            }
            Some("message_stop") => {
                let (finish, stop) = self.finish.take().unwrap_or((Finish::Unknown, None));
                let finish = finish.with_calls(self.calls > 0);
                out(Event::Finish { choice: 0, finish, stop_sequence: stop.map(Text::from) });
                out(Event::End);
            }
            Some("ping") => out(Event::Ping),
            Some("error") => return Err(error::inside(root)),
            _ => {}
        }
        Ok(())
    }

    fn cost(&mut self, value: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        if let Some(told) = value.given("usage") {
            response::usage(told, &mut self.usage);
            out(Event::Usage(self.usage));
        }
    }

    fn begin(&mut self, index: u32, block: Option<Value<'_>>, out: &mut dyn FnMut(Event<'_>)) {
        let Some(block) = block else { return };
        let text = |name: &str| block.text_of(name).filter(|text| !text.is_empty());
        let kind = match block.str_of("type").as_deref() {
            Some("text") => {
                if let Some(text) = text("text") {
                    out(Event::Text { choice: 0, text, logprobs: None });
                }
                Block::Text
            }
            Some("thinking") => {
                if let Some(text) = text("thinking") {
                    out(Event::Reasoning { choice: 0, text });
                }
                Block::Thinking
            }
            Some("redacted_thinking") => {
                if let Some(data) = text("data") {
                    out(Event::RedactedThinking { choice: 0, data });
                }
                Block::Other
            }
            Some("tool_use") => {
                let slot = self.calls;
                self.calls = self.calls.saturating_add(1);
                let name = block.text_of("name").unwrap_or_else(|| Text::from(""));
                out(Event::ToolStart { choice: 0, slot, id: text("id"), name, signature: None });
                // some send the arguments at once
                if let Some(input) = block.get("input").filter(|input| input.members().next().is_some()) {
                    out(Event::ToolArguments { choice: 0, slot, fragment: Text::from(input.raw()) });
                }
                Block::Tool(slot)
            }
            _ => Block::Other,
        };
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.insert(index, kind);
        }
    }

    fn delta(&mut self, index: u32, delta: Value<'_>, out: &mut dyn FnMut(Event<'_>)) {
        let text = |name: &str| delta.text_of(name).filter(|text| !text.is_empty());
        let block = self.blocks.get(&index).copied();
        match (delta.str_of("type").as_deref(), block) {
            (Some("text_delta"), Some(Block::Text)) => {
                if let Some(text) = text("text") {
                    out(Event::Text { choice: 0, text, logprobs: None });
                }
            }
            (Some("input_json_delta"), Some(Block::Tool(slot))) => {
                if let Some(fragment) = text("partial_json") {
                    out(Event::ToolArguments { choice: 0, slot, fragment });
                }
            }
            (Some("thinking_delta"), Some(Block::Thinking)) => {
                if let Some(text) = text("thinking") {
                    out(Event::Reasoning { choice: 0, text });
                }
            }
            (Some("signature_delta"), Some(Block::Thinking)) => {
                if let Some(signature) = text("signature") {
                    out(Event::Signature { choice: 0, signature });
                }
            }
            _ => {}
        }
    }
}

fn index(root: Value<'_>) -> u32 {
    root.u64_of("index").and_then(|index| u32::try_from(index).ok()).unwrap_or(0)
}

/// The JSON of an event, out of what Bedrock wraps it in.
pub(super) fn unwrapped(item: &Item<'_>) -> Result<Option<Vec<u8>>, ApiError> {
    match item {
        Item::Comment => Ok(None),
        Item::Exception { name, data } => Err(aws_exception(name, data)),
        Item::Event { name, data } if *name == b"chunk" => {
            let doc = Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
            let Some(text) = doc.root().str_of("bytes") else { return Ok(Some(data.to_vec())) };
            STANDARD.decode(text.as_bytes()).map(Some).map_err(|_| ApiError::unreadable("expected base64"))
        }
        Item::Event { data, .. } => Ok(Some(data.to_vec())),
    }
}

/// What AWS calls an exception in a stream.
pub(crate) fn aws_exception(name: &[u8], data: &[u8]) -> ApiError {
    let name = String::from_utf8_lossy(name);
    let status = match name.as_ref() {
        "throttlingException" => 429,
        "validationException" => 400,
        "modelStreamErrorException" => 424,
        "serviceUnavailableException" => 503,
        "modelTimeoutException" => 408,
        _ => 500,
    };
    let doc = Doc::parse(data, Limits::default()).ok();
    let message = doc.as_ref().and_then(|doc| {
        let root = doc.root();
        root.str_of("message").or_else(|| root.str_of("Message")).map(Into::into)
    });
    let message = message.or_else(|| String::from_utf8(data.to_vec()).ok().filter(|text| !text.starts_with('{')));
    crate::provider::failure::from(status, crate::provider::failure::Told { message, ..Default::default() })
}

impl Reader for EventReader {
    fn read(&mut self, item: &Item<'_>, out: &mut dyn FnMut(Event<'_>)) -> Result<(), ApiError> {
        let wrapped;
        let data = match item {
            Item::Event { name, data } if *name != b"chunk" => *data,
            Item::Comment => {
                out(Event::Ping);
                return Ok(());
            }
            item => {
                wrapped = unwrapped(item)?.unwrap_or_default();
                wrapped.as_slice()
            }
        };
        let doc = Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        self.event(doc.root(), out)
    }
}
