//! Requests and answers of clients that speak the dialect already.

use super::{Anthropic, Service, error, response, stream};
use crate::context::Context;
use crate::ir::{ApiError, Usage};
use crate::provider::Native;
use crate::report::Report;
use crate::stream::{Item, Stage};
use crate::target::{Outgoing, Target};
use crate::translate::{Operation, renames_model, wants_stream};
use span_json::{Doc, Edit, Limits, Patch, Text, Value, Writer};

impl Native for Anthropic {
    fn request(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        target: &Target<'_>,
        _: &mut Report,
    ) -> Result<Outgoing, ApiError> {
        let root = doc.root();
        let stream = operation == Operation::Chat && wants_stream(root)?;
        let service = self.0;
        let mut added = Vec::new();
        if service.names_model(operation) && root.get("model").is_none() {
            added.push(("model", quoted(target.model)));
        }
        if let Some(version) = service.version_in_body()
            && root.get("anthropic_version").is_none()
        {
            added.push(("anthropic_version", quoted(version)));
        }
        let edit = |name: &Text<'_>, _: Value<'_>| match name.decode().as_ref() {
            "model" if service.names_model(operation) => Edit::Replace(quoted(target.model)),
            "model" => Edit::Remove,
            "stream" if !service.names_stream() => Edit::Remove,
            _ => Edit::Keep,
        };
        let mut patch = Patch::new(doc);
        patch.object(root, edit, &added);
        let outgoing = service.outgoing(operation, stream, patch.finish(), target);
        Ok(Outgoing { kept: service.kept(), ..outgoing })
    }

    fn response(
        &self,
        doc: &Doc<'_>,
        operation: Operation,
        context: &Context,
    ) -> Result<(Option<Vec<u8>>, Option<Usage>), ApiError> {
        let root = doc.root();
        if root.str_of("type").as_deref() == Some("error") {
            return Err(error::inside(root));
        }
        let expected = if operation == Operation::CountTokens { "input_tokens" } else { "content" };
        if root.get(expected).is_none() {
            return Err(ApiError::unreadable(&format!("expected {expected}")));
        }
        let usage = root.given("usage").map(|told| {
            let mut all = Usage::default();
            response::usage(told, &mut all);
            all
        });
        Ok((rename(doc, root, context), usage))
    }

    fn stream(&self, context: &Context) -> Box<dyn Stage> {
        Box::new(Forward { service: self.0, context: context.clone(), usage: None, done: false })
    }
}

fn quoted(text: &str) -> String {
    let mut out = Writer::default();
    out.string(text);
    String::from_utf8(out.finish()).unwrap_or_default()
}

/// The document with the model as the client named it, if that is another.
fn rename(doc: &Doc<'_>, message: Value<'_>, context: &Context) -> Option<Vec<u8>> {
    let model = message.get("model").filter(|_| renames_model(context))?;
    let mut patch = Patch::new(doc);
    patch.replace_string(model, &context.asked_model);
    Some(patch.finish())
}

struct Forward {
    service: Service,
    context: Context,
    usage: Option<Usage>,
    done: bool,
}

impl Stage for Forward {
    fn item(&mut self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
        let unwrapped;
        let data = match item {
            Item::Comment => {
                out.extend_from_slice(b": ping\n\n");
                return Ok(());
            }
            Item::Event { data, .. } if self.service != Service::Bedrock => *data,
            item => {
                unwrapped = stream::unwrapped(item)?.unwrap_or_default();
                unwrapped.as_slice()
            }
        };
        let doc = Doc::parse(data, Limits::default()).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        let root = doc.root();
        let kind = root.str_of("type").unwrap_or_default();
        // it is the event's name as well, so it has to be a word
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiError::unreadable("expected an event with a type"));
        }
        let message = root.get("message").unwrap_or(root);
        if let Some(told) = message.given("usage") {
            response::usage(told, self.usage.get_or_insert_default());
        }
        match kind.as_ref() {
            "error" => return Err(error::inside(root)),
            "message_stop" => self.done = true,
            _ => {}
        }
        let renamed = (kind == "message_start").then(|| rename(&doc, message, &self.context)).flatten();
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let json = renamed.as_deref().unwrap_or(data);
        out.extend(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        out.extend_from_slice(b"\n\n");
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), ApiError> {
        if self.done { Ok(()) } else { Err(ApiError::truncated()) }
    }

    fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&crate::client::messages::write_error(error));
        out.extend_from_slice(b"\n\n");
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
