//! Writing a stream of events.

use super::{answer_id, stop_reason, write_error, write_usage};
use crate::client::Emitter;
use crate::context::Context;
use crate::ir::{ApiError, Event, Finish, Usage};
use span_json::{Text, Writer};
use std::collections::BTreeMap;

/// Most bytes of arguments that wait for the block of another call to end.
const MAX_WAITING: usize = 1 << 20;
/// Most calls of one answer.
const MAX_CALLS: usize = 4096;

pub(super) struct MessagesEmitter {
    context: Context,
    has_begun: bool,
    open: Option<Block>,
    /// The index of the next block.
    next: u64,
    /// Calls by the reader's number: those that are done, and those that wait for another one's end.
    calls: BTreeMap<u32, Call>,
    waiting: usize,
    usage: Usage,
    finish: Option<(Finish, Option<String>)>,
    refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    Tool(u32),
}

enum Call {
    /// Its block is or was open.
    Written,
    /// Its block cannot begin yet.
    Waiting { id: Option<String>, name: String, arguments: String },
}

impl MessagesEmitter {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            has_begun: false,
            open: None,
            next: 0,
            calls: BTreeMap::new(),
            waiting: 0,
            usage: Usage::default(),
            finish: None,
            refused: false,
        }
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, out: &mut Vec<u8>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        let (context, usage) = (&self.context, &self.usage);
        event("message_start", out, |out| {
            out.key("message").object(|out| {
                out.key("id").string(&answer_id(id, context));
                out.key("type").string("message");
                out.key("role").string("assistant");
                out.key("model").string(&context.model(model));
                out.key("content").raw("[]");
                out.key("stop_reason").null();
                out.key("stop_sequence").null();
                out.key("usage");
                write_usage(usage, out);
            });
        });
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let index = self.next;
            event("content_block_stop", out, |out| out.key("index").number(index));
            self.next += 1;
        }
    }

    /// Opens a block, unless it is open.
    fn open(&mut self, block: Block, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
        self.begin(None, None, out);
        if self.open == Some(block) {
            return;
        }
        self.close(out);
        self.open = Some(block);
        let index = self.next;
        event("content_block_start", out, |out| {
            out.key("index").number(index);
            out.key("content_block").object(write);
        });
    }

    fn delta(&self, kind: &str, name: &str, text: &Text<'_>, out: &mut Vec<u8>) {
        let index = self.next;
        event("content_block_delta", out, |out| {
            out.key("index").number(index);
            out.key("delta").object(|out| {
                out.key("type").string(kind);
                out.key(name).text(text);
            });
        });
    }

    fn open_text(&mut self, out: &mut Vec<u8>) {
        self.open(Block::Text, out, |out| {
            out.key("type").string("text");
            out.key("text").string("");
        });
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        self.open(Block::Thinking, out, |out| {
            out.key("type").string("thinking");
            out.key("thinking").string("");
            out.key("signature").string("");
        });
    }

    fn open_tool(&mut self, slot: u32, id: Option<&str>, name: &str, out: &mut Vec<u8>) {
        let made = self.context.id("toolu_", slot.saturating_add(1));
        let id = id.filter(|id| !id.is_empty()).unwrap_or(&made).to_owned();
        self.open(Block::Tool(slot), out, |out| {
            out.key("type").string("tool_use");
            out.key("id").string(&id);
            out.key("name").string(name);
            out.key("input").raw("{}");
        });
    }

    fn tool_start(&mut self, slot: u32, id: Option<String>, name: String, out: &mut Vec<u8>) {
        if self.calls.contains_key(&slot) || self.calls.len() >= MAX_CALLS {
            return;
        }
        if matches!(self.open, Some(Block::Tool(_))) {
            let call = Call::Waiting { id, name, arguments: String::new() };
            self.calls.insert(slot, call);
            return;
        }
        self.calls.insert(slot, Call::Written);
        self.open_tool(slot, id.as_deref(), &name, out);
    }

    fn arguments(&mut self, slot: u32, fragment: &Text<'_>, out: &mut Vec<u8>) {
        if self.open == Some(Block::Tool(slot)) {
            self.delta("input_json_delta", "partial_json", fragment, out);
        } else if let Some(Call::Waiting { arguments, .. }) = self.calls.get_mut(&slot) {
            let fragment = fragment.decode();
            if self.waiting + fragment.len() <= MAX_WAITING {
                self.waiting += fragment.len();
                arguments.push_str(&fragment);
            }
        }
    }

    /// A call's arguments are all there: the next one that waits may begin.
    fn tool_end(&mut self, slot: u32, out: &mut Vec<u8>) {
        if self.open != Some(Block::Tool(slot)) {
            return;
        }
        self.close(out);
        self.next_waiting(out);
    }

    fn next_waiting(&mut self, out: &mut Vec<u8>) {
        let first = self.calls.iter().find_map(|(slot, call)| matches!(call, Call::Waiting { .. }).then_some(*slot));
        let Some(slot) = first else { return };
        let Some(Call::Waiting { id, name, arguments }) = self.calls.insert(slot, Call::Written) else { return };
        self.waiting = self.waiting.saturating_sub(arguments.len());
        self.open_tool(slot, id.as_deref(), &name, out);
        if !arguments.is_empty() {
            self.delta("input_json_delta", "partial_json", &Text::from(arguments), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(None, None, out);
        self.close(out);
        while self.calls.values().any(|call| matches!(call, Call::Waiting { .. })) {
            self.next_waiting(out);
            self.close(out);
        }
        let (finish, stop) = self.finish.take().unwrap_or((Finish::Stop, None));
        let finish = finish.with_calls(!self.calls.is_empty());
        let finish = if self.refused && finish == Finish::Stop { Finish::Refusal } else { finish };
        let usage = self.usage;
        event("message_delta", out, |out| {
            out.key("delta").object(|out| {
                out.key("stop_reason").string(stop_reason(finish));
                match stop {
                    Some(text) => out.key("stop_sequence").string(&text),
                    None => out.key("stop_sequence").null(),
                }
            });
            out.key("usage");
            write_usage(&usage, out);
        });
        event("message_stop", out, |_| {});
    }
}

/// An event whose name is its type.
fn event(kind: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut writer = Writer::over(std::mem::take(out));
    writer.object(|out| {
        out.key("type").string(kind);
        write(out);
    });
    *out = writer.finish();
    out.extend_from_slice(b"\n\n");
}

impl Emitter for MessagesEmitter {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        let owned = |text: Option<Text<'_>>| text.map(|text| text.decode().into_owned());
        match event {
            Event::Start { id, model, .. } => self.begin(owned(id).as_deref(), owned(model).as_deref(), out),
            // this dialect has one answer
            Event::Text { choice: 0, text, .. } if !text.is_empty() => {
                self.open_text(out);
                self.delta("text_delta", "text", &text, out);
            }
            Event::Refusal { choice: 0, text } if !text.is_empty() => {
                self.refused = true;
                self.open_text(out);
                self.delta("text_delta", "text", &text, out);
            }
            Event::Reasoning { choice: 0, text } if !text.is_empty() => {
                self.open_thinking(out);
                self.delta("thinking_delta", "thinking", &text, out);
            }
            Event::Signature { choice: 0, signature } => {
                self.open_thinking(out);
                self.delta("signature_delta", "signature", &signature, out);
                self.close(out);
            }
            Event::RedactedThinking { choice: 0, data } => {
                self.begin(None, None, out);
                self.close(out);
                self.open(Block::Thinking, out, |out| {
                    out.key("type").string("redacted_thinking");
                    out.key("data").text(&data);
                });
                self.close(out);
            }
            Event::ToolStart { choice: 0, slot, id, name, .. } => {
                self.tool_start(slot, owned(id), name.decode().into_owned(), out);
            }
            Event::ToolArguments { choice: 0, slot, fragment } => self.arguments(slot, &fragment, out),
            Event::ToolEnd { choice: 0, slot } => self.tool_end(slot, out),
            Event::Finish { choice: 0, finish, stop_sequence } => self.finish = Some((finish, owned(stop_sequence))),
            Event::Usage(usage) => self.usage = usage,
            Event::Ping => out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n"),
            Event::End => self.end(out),
            _ => {}
        }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        self.close(out);
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&write_error(error));
        out.extend_from_slice(b"\n\n");
    }
}
