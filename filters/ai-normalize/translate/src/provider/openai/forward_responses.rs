//! OpenAI's Responses for clients that speak them, at providers that have them: forwarded, with the model's name and what the model does not take changed.

use super::forward::SAMPLING;
use super::table::Entry;
use super::{error, usage};
use crate::context::Context;
use crate::ir::{ApiError, Usage};
use crate::provider::Native;
use crate::report::Report;
use crate::stream::{Item, Stage};
use crate::target::{Outgoing, Target};
use crate::translate::{Operation, renames_model};
use span_json::{Doc, Edit, Kind, Limits, Patch, Text, Value, Writer};

impl Native for Entry {
    fn request(
        &self,
        doc: &Doc<'_>,
        _: Operation,
        target: &Target<'_>,
        report: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let root = doc.root();
        let mut dropped = Vec::new();
        for (name, value) in root.members() {
            let name = name.decode();
            let refused = target.quirks.drop.iter().any(|known| *known == name);
            let untaken = !target.capabilities.sampling && SAMPLING.contains(&name.as_ref());
            if !value.is_null() && (refused || untaken) {
                report.drop(name.clone().into_owned(), "this model does not take it")?;
                dropped.push(name);
            }
        }
        let mut model = Writer::default();
        model.string(target.model);
        let model = String::from_utf8(model.finish()).unwrap_or_default();
        let edit = |name: &Text<'_>, _: Value<'_>| match name.decode() {
            name if name == "model" => Edit::Replace(model.clone()),
            name if dropped.contains(&name) => Edit::Remove,
            _ => Edit::Keep,
        };
        let added = if root.get("model").is_none() { vec![("model", model.clone())] } else { Vec::new() };
        let mut patch = Patch::new(doc);
        patch.object(root, edit, &added);
        let path = self.responses.ok_or_else(|| ApiError::new(500, "this provider has no responses"))?;
        Ok(Outgoing { path: target.path(path), body: patch.finish(), ..Outgoing::default() })
    }

    fn response(
        &self,
        doc: &Doc<'_>,
        _: Operation,
        context: &Context,
    ) -> Result<(Option<Vec<u8>>, Option<Usage>), ApiError> {
        let root = doc.root();
        if root.kind() != Kind::Object || root.get("output").is_none() {
            return Err(error::inside(root).unwrap_or_else(|| ApiError::unreadable("expected output")));
        }
        Ok((renamed(doc, root, context), root.given("usage").map(usage::read)))
    }

    fn stream(&self, context: &Context) -> Box<dyn Stage> {
        Box::new(Forward { context: context.clone(), next: 0, usage: None, done: false, told: false })
    }
}

/// The document with the model as the client named it, if that is another.
fn renamed(doc: &Doc<'_>, response: Value<'_>, context: &Context) -> Option<Vec<u8>> {
    let model = response.get("model").filter(|_| renames_model(context))?;
    let mut patch = Patch::new(doc);
    patch.replace_string(model, &context.asked_model);
    Some(patch.finish())
}

struct Forward {
    context: Context,
    /// Number of the next event.
    next: u64,
    usage: Option<Usage>,
    done: bool,
    /// The provider has told the client itself what went wrong.
    told: bool,
}

impl Stage for Forward {
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let data = match item {
            Item::Comment => {
                out.extend_from_slice(b": ping\n\n");
                return Ok(());
            }
            Item::Event { data, .. } | Item::Exception { data, .. } => *data,
        };
        if data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let doc = Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        let root = doc.root();
        let kind = root.str_of("type").unwrap_or_default();
        // it is the event's name as well, so it has to be a word
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(error::inside(root).unwrap_or_else(|| ApiError::unreadable("expected an event with a type")));
        }
        if let Some(number) = root.u64_of("sequence_number") {
            self.next = number.saturating_add(1);
        }
        let response = root.get("response").unwrap_or(root);
        if let Some(told) = response.given("usage") {
            self.usage = Some(usage::read(told));
        }
        let renamed = if root.get("response").is_some() { renamed(&doc, response, &self.context) } else { None };
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let json = renamed.as_deref().unwrap_or(data);
        out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        out.extend_from_slice(b"\n\n");
        match kind.as_ref() {
            "response.completed" | "response.incomplete" => self.done = true,
            "response.failed" | "error" => {
                self.told = true;
                let error = response.given("error").unwrap_or(root);
                let message = error.str_of("message").unwrap_or_default().into_owned();
                return Err(ApiError {
                    code: error.str_of("code").map(|code| code.into_owned().into()),
                    ..ApiError::new(502, message)
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), ApiError> {
        if self.done { Ok(()) } else { Err(ApiError::truncated()) }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if self.told {
            return;
        }
        let mut event = Writer::default();
        event.object(|event| {
            event.key("type").string("error");
            event.key("sequence_number").number(self.next);
            match &error.code {
                Some(code) => event.key("code").string(code),
                None => event.key("code").null(),
            }
            event.key("message").string(&error.message);
            event.key("param").null();
        });
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&event.finish());
        out.extend_from_slice(b"\n\n");
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
