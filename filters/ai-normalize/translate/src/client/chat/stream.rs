//! Writing a stream of chunks.

use super::response::write_signature;
use super::{answer_id, finish_name, write_error, write_usage};
use crate::client::Emitter;
use crate::context::Context;
use crate::ir::{ApiError, Event, Finish, Usage};
use span_json::{Text, Value, Writer};
use std::collections::BTreeMap;

/// Most answers of one request, and calls of one answer: what a provider says beyond that is not told apart any more.
const MAX_SLOTS: usize = 4096;

pub(super) struct ChatEmitter {
    context: Context,
    /// What each chunk begins with, from the first one on.
    prefix: String,
    choices: BTreeMap<u32, Choice>,
    usage: Option<Usage>,
}

#[derive(Default)]
struct Choice {
    begun: bool,
    /// By the reader's number.
    calls: BTreeMap<u32, Call>,
    finish: Option<Finish>,
}

struct Call {
    index: u64,
    has_arguments: bool,
}

impl ChatEmitter {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), prefix: String::new(), choices: BTreeMap::new(), usage: None }
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>) {
        if !self.prefix.is_empty() {
            return;
        }
        let mut out = Writer::default();
        out.object(|out| {
            out.key("id").string(&answer_id(id, &self.context));
            out.key("object").string("chat.completion.chunk");
            out.key("created").number(created.unwrap_or(self.context.created));
            out.key("model").string(&self.context.model(model));
        });
        let mut prefix = String::from_utf8(out.finish()).unwrap_or_default();
        // open again for what follows
        prefix.pop();
        self.prefix = prefix;
    }

    /// A chunk with one choice, whose delta `inside` writes.
    fn chunk(
        &mut self,
        choice: u32,
        (finish, logprobs): (Option<Finish>, Option<Value<'_>>),
        out: &mut Vec<u8>,
        inside: impl FnOnce(&mut Writer),
    ) {
        self.begin(None, None, None);
        let begun = self.choices.get_mut(&choice).map(|choice| std::mem::replace(&mut choice.begun, true));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend_from_slice(b",\"choices\":");
        let mut writer = Writer::over(std::mem::take(out));
        writer.array(|out| {
            out.object(|out| {
                out.key("index").number(choice.into());
                out.key("delta").object(|out| {
                    if begun == Some(false) {
                        out.key("role").string("assistant");
                    }
                    inside(out);
                });
                if let Some(logprobs) = logprobs {
                    out.key("logprobs").value(logprobs);
                }
                match finish {
                    Some(finish) => out.key("finish_reason").string(finish_name(finish)),
                    None => out.key("finish_reason").null(),
                }
            });
        });
        *out = writer.finish();
        out.extend_from_slice(b"}\n\n");
    }

    fn text(&mut self, choice: u32, name: &str, text: &Text<'_>, logprobs: Option<Value<'_>>, out: &mut Vec<u8>) {
        if text.is_empty() || !self.knows(choice) {
            return;
        }
        self.chunk(choice, (None, logprobs), out, |out| out.key(name).text(text));
    }

    fn knows(&mut self, choice: u32) -> bool {
        if self.choices.len() < MAX_SLOTS {
            self.choices.entry(choice).or_default();
        }
        self.choices.contains_key(&choice)
    }

    /// A block that a client sends back with the next request. What was thought has gone out in pieces: none of it is kept
    /// here, and a block with a signature and no text belongs to it.
    fn block(&mut self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
        if self.knows(choice) {
            self.chunk(choice, (None, None), out, |out| out.key("thinking_blocks").array(|out| out.object(write)));
        }
    }

    fn tool_start(&mut self, event: (u32, u32, Option<Text<'_>>, Text<'_>, Option<Text<'_>>), out: &mut Vec<u8>) {
        let (choice, slot, id, name, signature) = event;
        if !self.knows(choice) {
            return;
        }
        let Some(state) = self.choices.get_mut(&choice) else { return };
        if state.calls.len() >= MAX_SLOTS || state.calls.contains_key(&slot) {
            return;
        }
        let place = state.calls.len();
        let index = u64::try_from(place).unwrap_or(u64::MAX);
        state.calls.insert(slot, Call { index, has_arguments: false });
        let made = self.context.id("call_", choice * 1000 + u32::try_from(place + 1).unwrap_or(u32::MAX));
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| Text::from(made));
        self.chunk(choice, (None, None), out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("id").text(&id);
                    out.key("type").string("function");
                    out.key("function").object(|out| {
                        out.key("name").text(&name);
                        out.key("arguments").string("");
                    });
                    write_signature(signature.as_ref(), out);
                });
            });
        });
    }

    fn arguments(&mut self, choice: u32, slot: u32, fragment: &Text<'_>, out: &mut Vec<u8>) {
        let call = self.choices.get_mut(&choice).and_then(|choice| choice.calls.get_mut(&slot));
        let Some(call) = call.filter(|_| !fragment.is_empty()) else { return };
        call.has_arguments = true;
        let index = call.index;
        self.chunk(choice, (None, None), out, |out| {
            out.key("tool_calls").array(|out| {
                out.object(|out| {
                    out.key("index").number(index);
                    out.key("function").object(|out| out.key("arguments").text(fragment));
                });
            });
        });
    }

    /// Arguments that never came are an empty object.
    fn tool_end(&mut self, choice: u32, slot: u32, out: &mut Vec<u8>) {
        let call = self.choices.get(&choice).and_then(|choice| choice.calls.get(&slot));
        if call.is_some_and(|call| !call.has_arguments) {
            self.arguments(choice, slot, &Text::from("{}"), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let unfinished: Vec<(u32, u32)> =
            self.choices.iter().flat_map(|(choice, state)| state.calls.keys().map(|slot| (*choice, *slot))).collect();
        for (choice, slot) in unfinished {
            self.tool_end(choice, slot, out);
        }
        if self.choices.is_empty() {
            self.knows(0);
        }
        let finished: Vec<(u32, Finish)> = self
            .choices
            .iter()
            .map(|(index, choice)| (*index, choice.finish.unwrap_or(Finish::Stop).with_calls(!choice.calls.is_empty())))
            .collect();
        for (choice, finish) in finished {
            let begun = self.choices.get(&choice).is_some_and(|choice| choice.begun);
            self.chunk(choice, (Some(finish), None), out, |out| {
                if !begun {
                    out.key("content").string("");
                }
            });
        }
        if self.context.want_usage {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(self.prefix.as_bytes());
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            let mut writer = Writer::over(std::mem::take(out));
            write_usage(&self.usage.unwrap_or_default(), &mut writer);
            *out = writer.finish();
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Emitter for ChatEmitter {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created } => {
                let (id, model) =
                    (id.map(|id| id.decode().into_owned()), model.map(|model| model.decode().into_owned()));
                self.begin(id.as_deref(), model.as_deref(), created);
                if self.knows(0) && self.choices.get(&0).is_some_and(|choice| !choice.begun) {
                    self.chunk(0, (None, None), out, |out| out.key("content").string(""));
                }
            }
            Event::Text { choice, text, logprobs } => self.text(choice, "content", &text, logprobs, out),
            Event::Refusal { choice, text } => self.text(choice, "refusal", &text, None, out),
            Event::Reasoning { choice, text } => self.text(choice, "reasoning_content", &text, None, out),
            Event::Signature { choice, signature } => self.block(choice, out, |out| {
                out.key("type").string("thinking");
                out.key("thinking").string("");
                out.key("signature").text(&signature);
            }),
            Event::RedactedThinking { choice, data } => self.block(choice, out, |out| {
                out.key("type").string("redacted_thinking");
                out.key("data").text(&data);
            }),
            Event::ToolStart { choice, slot, id, name, signature } => {
                self.tool_start((choice, slot, id, name, signature), out)
            }
            Event::ToolArguments { choice, slot, fragment } => self.arguments(choice, slot, &fragment, out),
            Event::ToolEnd { choice, slot } => self.tool_end(choice, slot, out),
            Event::Finish { choice, finish, .. } => {
                if self.knows(choice)
                    && let Some(choice) = self.choices.get_mut(&choice)
                {
                    choice.finish = Some(finish);
                }
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
        }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&write_error(error));
        out.extend_from_slice(b"\n\n");
    }
}
