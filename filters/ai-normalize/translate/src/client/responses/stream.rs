//! Writing a stream of events. Its last events repeat the whole answer, so that is kept, up to a limit.

use super::object::{Item, Object, REDACTED, SIGNED, State, answer_id, write_part, write_summary};
use super::response::signed_id;
use crate::client::Emitter;
use crate::context::Context;
use crate::ir::{ApiError, Event, Finish, Usage};
use span_json::{Text, Writer};
use std::collections::BTreeMap;

/// Most bytes of an answer that are kept for its end.
const MAX_KEPT: usize = 4 << 20;
/// Most items of an answer.
const MAX_ITEMS: usize = 4096;

pub(super) struct ResponsesEmitter {
    context: Context,
    id: String,
    model: String,
    created: u64,
    begun: bool,
    over: bool,
    number: u64,
    items: Vec<Item>,
    /// The places of items that are not done.
    open: Vec<usize>,
    /// The places of calls by the reader's number.
    calls: BTreeMap<u32, usize>,
    kept: usize,
    usage: Option<Usage>,
    finish: Finish,
}

impl ResponsesEmitter {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            id: String::new(),
            model: String::new(),
            created: context.created,
            begun: false,
            over: false,
            number: 0,
            items: Vec::new(),
            open: Vec::new(),
            calls: BTreeMap::new(),
            kept: 0,
            usage: None,
            finish: Finish::Stop,
        }
    }

    fn event(&mut self, kind: &str, out: &mut Vec<u8>, write: impl FnOnce(&Self, &mut Writer)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let mut writer = Writer::over(std::mem::take(out));
        writer.object(|out| {
            out.key("type").string(kind);
            out.key("sequence_number").number(self.number);
            write(self, out);
        });
        *out = writer.finish();
        out.extend_from_slice(b"\n\n");
        self.number += 1;
    }

    fn write_object(&self, state: State<'_>, out: &mut Writer) {
        let (id, model, created) = (self.id.as_str(), self.model.as_str(), self.created);
        let items = if matches!(state, State::Begun) { &[][..] } else { &self.items };
        out.key("response");
        Object { id, model, created, items, state }.write(&self.context, out);
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>, out: &mut Vec<u8>) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.id = answer_id(id, &self.context);
        self.model = self.context.model(model);
        self.created = created.unwrap_or(self.created);
        for kind in ["response.created", "response.in_progress"] {
            self.event(kind, out, |this, out| this.write_object(State::Begun, out));
        }
    }

    /// Members that tell which item is meant.
    fn place(&self, place: usize, out: &mut Writer) {
        out.key("item_id").string(self.items.get(place).map_or("", Item::id));
        out.key("output_index").number(u64::try_from(place).unwrap_or(u64::MAX));
    }

    fn add(&mut self, item: Item, out: &mut Vec<u8>) -> Option<usize> {
        if self.items.len() >= MAX_ITEMS {
            return None;
        }
        let place = self.items.len();
        self.items.push(item);
        self.open.push(place);
        self.event("response.output_item.added", out, |this, out| {
            out.key("output_index").number(u64::try_from(place).unwrap_or(u64::MAX));
            if let Some(item) = this.items.get(place) {
                out.key("item");
                item.write("in_progress", out);
            }
        });
        match self.items.get(place) {
            Some(Item::Message { refused, .. }) => {
                let refused = *refused;
                self.event("response.content_part.added", out, |this, out| {
                    this.place(place, out);
                    out.key("content_index").number(0);
                    out.key("part");
                    write_part("", refused, out);
                });
            }
            Some(Item::Thought { kept: None, .. }) => {
                self.event("response.reasoning_summary_part.added", out, |this, out| {
                    this.place(place, out);
                    out.key("summary_index").number(0);
                    out.key("part");
                    write_summary("", out);
                });
            }
            _ => {}
        }
        Some(place)
    }

    /// Ends an item: everything that was opened is closed, with what is in it.
    fn close(&mut self, place: usize, out: &mut Vec<u8>) {
        if !self.open.contains(&place) {
            return;
        }
        self.open.retain(|open| *open != place);
        if let Some(Item::Call { arguments, .. }) = self.items.get_mut(place)
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
        match self.items.get(place).cloned() {
            Some(Item::Message { text, refused, .. }) => {
                let (kind, name) = match refused {
                    true => ("response.refusal.done", "refusal"),
                    false => ("response.output_text.done", "text"),
                };
                self.event(kind, out, |this, out| {
                    this.place(place, out);
                    out.key("content_index").number(0);
                    out.key(name).string(&text);
                    if !refused {
                        out.key("logprobs").raw("[]");
                    }
                });
                self.event("response.content_part.done", out, |this, out| {
                    this.place(place, out);
                    out.key("content_index").number(0);
                    out.key("part");
                    write_part(&text, refused, out);
                });
            }
            Some(Item::Call { name, arguments, .. }) => {
                self.event("response.function_call_arguments.done", out, |this, out| {
                    this.place(place, out);
                    out.key("name").string(&name);
                    out.key("arguments").string(&arguments);
                });
            }
            Some(Item::Thought { text, kept, .. }) if !text.is_empty() || kept.is_none() => {
                self.event("response.reasoning_summary_text.done", out, |this, out| {
                    this.place(place, out);
                    out.key("summary_index").number(0);
                    out.key("text").string(&text);
                });
                self.event("response.reasoning_summary_part.done", out, |this, out| {
                    this.place(place, out);
                    out.key("summary_index").number(0);
                    out.key("part");
                    write_summary(&text, out);
                });
            }
            _ => {}
        }
        self.event("response.output_item.done", out, |this, out| {
            out.key("output_index").number(u64::try_from(place).unwrap_or(u64::MAX));
            if let Some(item) = this.items.get(place) {
                out.key("item");
                item.write("completed", out);
            }
        });
    }

    /// Ends what is said or thought, before something else begins. Calls may stand open beside each other.
    fn close_texts(&mut self, out: &mut Vec<u8>) {
        let texts: Vec<usize> = self
            .open
            .iter()
            .copied()
            .filter(|place| !matches!(self.items.get(*place), Some(Item::Call { .. })))
            .collect();
        for place in texts {
            self.close(place, out);
        }
    }

    /// Whether there is room for more; if not, the answer cannot be told to its end.
    fn keep(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MAX_KEPT && !self.over {
            let why = format!("the answer is longer than {MAX_KEPT} bytes, and this API repeats it at its end");
            self.error(&ApiError::new(502, why).code("answer_too_long"), out);
        }
        !self.over
    }

    fn text(&mut self, text: &Text<'_>, refused: bool, out: &mut Vec<u8>) {
        let said = text.decode();
        if said.is_empty() || !self.keep(said.len(), out) {
            return;
        }
        self.begin(None, None, None, out);
        let is_open = |place: &usize| matches!(self.items.get(*place), Some(Item::Message { refused: open, .. }) if *open == refused);
        let place = match self.open.iter().copied().find(is_open) {
            Some(place) => place,
            None => {
                self.close_texts(out);
                let id = self.context.id("msg_", self.next());
                let Some(place) = self.add(Item::Message { id, text: String::new(), refused }, out) else { return };
                place
            }
        };
        if let Some(Item::Message { text, .. }) = self.items.get_mut(place) {
            text.push_str(&said);
        }
        let kind = if refused { "response.refusal.delta" } else { "response.output_text.delta" };
        self.event(kind, out, |this, out| {
            this.place(place, out);
            out.key("content_index").number(0);
            out.key("delta").string(&said);
            if !refused {
                out.key("logprobs").raw("[]");
            }
        });
    }

    /// The number of the next item, from 1 on.
    fn next(&self) -> u32 {
        u32::try_from(self.items.len() + 1).unwrap_or(u32::MAX)
    }

    fn thought(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        let said = text.decode();
        if said.is_empty() || !self.keep(said.len(), out) {
            return;
        }
        self.begin(None, None, None, out);
        let is_open = |place: &usize| matches!(self.items.get(*place), Some(Item::Thought { .. }));
        let place = match self.open.iter().copied().find(is_open) {
            Some(place) => place,
            None => {
                self.close_texts(out);
                let id = self.context.id("rs_", self.next());
                let Some(place) = self.add(Item::Thought { id, text: String::new(), kept: None }, out) else { return };
                place
            }
        };
        if let Some(Item::Thought { text, .. }) = self.items.get_mut(place) {
            text.push_str(&said);
        }
        self.event("response.reasoning_summary_text.delta", out, |this, out| {
            this.place(place, out);
            out.key("summary_index").number(0);
            out.key("delta").string(&said);
        });
    }

    /// What a provider wants back with what was thought.
    fn sign(&mut self, kept: String, redacted: bool, out: &mut Vec<u8>) {
        if !self.keep(kept.len(), out) {
            return;
        }
        self.begin(None, None, None, out);
        let is_open = |place: &usize| matches!(self.items.get(*place), Some(Item::Thought { .. }));
        let open = self.open.iter().copied().find(is_open).filter(|_| !redacted);
        if let Some(place) = open {
            if let Some(Item::Thought { kept: before, .. }) = self.items.get_mut(place) {
                *before = Some(kept);
            }
            self.close(place, out);
            return;
        }
        self.close_texts(out);
        let id = self.context.id("rs_", self.next());
        if let Some(place) = self.add(Item::Thought { id, text: String::new(), kept: Some(kept) }, out) {
            self.close(place, out);
        }
    }

    fn call(&mut self, slot: u32, id: Option<&str>, name: String, signature: Option<&Text<'_>>, out: &mut Vec<u8>) {
        if self.calls.contains_key(&slot) || !self.keep(name.len(), out) {
            return;
        }
        self.begin(None, None, None, out);
        self.close_texts(out);
        let number = self.next();
        let made = self.context.id("call_", number);
        let call_id = signed_id(id.filter(|id| !id.is_empty()).unwrap_or(&made), signature);
        let item = Item::Call { id: self.context.id("fc_", number), call_id, name, arguments: String::new() };
        if let Some(place) = self.add(item, out) {
            self.calls.insert(slot, place);
        }
    }

    fn arguments(&mut self, slot: u32, fragment: &Text<'_>, out: &mut Vec<u8>) {
        let fragment = fragment.decode();
        let Some(place) = self.calls.get(&slot).copied().filter(|_| !fragment.is_empty()) else { return };
        if !self.keep(fragment.len(), out) {
            return;
        }
        if let Some(Item::Call { arguments, .. }) = self.items.get_mut(place) {
            arguments.push_str(&fragment);
        }
        self.event("response.function_call_arguments.delta", out, |this, out| {
            this.place(place, out);
            out.key("delta").string(&fragment);
        });
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        for place in self.open.clone() {
            self.close(place, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(None, None, None, out);
        self.close_all(out);
        let finish = self.finish.with_calls(!self.calls.is_empty());
        let state = State::Ended(finish, self.usage);
        let is_cut = matches!(finish, Finish::Length | Finish::ContentFilter | Finish::Malformed);
        let kind = if is_cut { "response.incomplete" } else { "response.completed" };
        self.event(kind, out, |this, out| this.write_object(state, out));
    }
}

impl Emitter for ResponsesEmitter {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let owned = |text: Option<Text<'_>>| text.map(|text| text.decode().into_owned());
        match event {
            Event::Start { id, model, created } => {
                self.begin(owned(id).as_deref(), owned(model).as_deref(), created, out);
            }
            // this dialect has one answer
            Event::Text { choice: 0, text, .. } => self.text(&text, false, out),
            Event::Refusal { choice: 0, text } => self.text(&text, true, out),
            Event::Reasoning { choice: 0, text } => self.thought(&text, out),
            Event::Signature { choice: 0, signature } => {
                self.sign(format!("{SIGNED}{}", signature.decode()), false, out)
            }
            Event::RedactedThinking { choice: 0, data } => self.sign(format!("{REDACTED}{}", data.decode()), true, out),
            Event::ToolStart { choice: 0, slot, id, name, signature } => {
                self.call(slot, owned(id).as_deref(), name.decode().into_owned(), signature.as_ref(), out);
            }
            Event::ToolArguments { choice: 0, slot, fragment } => self.arguments(slot, &fragment, out),
            Event::ToolEnd { choice: 0, slot } => {
                if let Some(place) = self.calls.get(&slot).copied() {
                    self.close(place, out);
                }
            }
            Event::Finish { choice: 0, finish, .. } => self.finish = finish,
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            _ => {}
        }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.begin(None, None, None, out);
        self.close_all(out);
        let error = error.clone();
        ResponsesEmitter::event(self, "response.failed", out, |this, out| {
            this.write_object(State::Failed(&error), out)
        });
    }
}
