//! Header edits of routes, virtual hosts and route tables, read.

use super::InvalidBootstrap;
use super::reader::{At, Fields};
use crate::header_edits::{HeaderEdit, HeaderEdits, WhenThere};

/// The edits of one level, or of several: those of the route come first, so that those of the table have the last word.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits {
    pub(super) request: Vec<HeaderEdits>,
    pub(super) response: Vec<HeaderEdits>,
}

impl Edits {
    /// Takes the four fields out of a message.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, InvalidBootstrap> {
        let request = read(fields.take("request_headers_to_add"), fields.take("request_headers_to_remove"))?;
        let response = read(fields.take("response_headers_to_add"), fields.take("response_headers_to_remove"))?;
        let some = |edits: HeaderEdits| if edits.is_empty() { Vec::new() } else { vec![edits] };
        Ok(Self { request: some(request), response: some(response) })
    }

    /// These, and behind them those of the level above.
    pub(super) fn then(mut self, above: &Self) -> Self {
        self.request.extend_from_slice(&above.request);
        self.response.extend_from_slice(&above.response);
        self
    }
}

fn read(add: Option<At>, remove: Option<At>) -> Result<HeaderEdits, InvalidBootstrap> {
    let mut edits = HeaderEdits::default();
    for item in remove.map_or(Ok(Vec::new()), At::list)? {
        edits.remove.push(name(&item)?);
    }
    for item in add.map_or(Ok(Vec::new()), At::list)? {
        let mut item = item.fields()?;
        let mut header = item.need("header")?.fields()?;
        let name = name(&header.need("key")?)?;
        let value = header.take("value").map_or(Ok(String::new()), |value| plain(&value))?;
        header.finish()?;
        let when_there = match item.take("append_action") {
            None if item.flag("append", true)? => WhenThere::Append,
            None => WhenThere::Overwrite,
            Some(action) => action.choice(&[
                ("APPEND_IF_EXISTS_OR_ADD", WhenThere::Append),
                ("ADD_IF_ABSENT", WhenThere::Keep),
                ("OVERWRITE_IF_EXISTS_OR_ADD", WhenThere::Overwrite),
                ("OVERWRITE_IF_EXISTS", WhenThere::OverwriteOnly),
            ])?,
        };
        let keep_empty = item.flag("keep_empty_value", false)?;
        item.finish()?;
        if keep_empty || !value.is_empty() {
            edits.add.push(HeaderEdit { name, value, when_there });
        }
    }
    Ok(edits)
}

fn name(at: &At) -> Result<String, InvalidBootstrap> {
    let name = at.name()?.to_ascii_lowercase();
    if name.starts_with(':') || name == "host" {
        return Err(at.fault("headers that begin with `:` and `host` can be neither set nor removed here"));
    }
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(at.fault(format!("`{name}` is not the name of a header")));
    }
    Ok(name)
}

/// A value without operators, in which `%%` stands for a percent sign.
fn plain(at: &At) -> Result<String, InvalidBootstrap> {
    let text = at.text()?;
    let mut pieces = text.split("%%");
    if pieces.any(|piece| piece.contains('%')) {
        return Err(at.not_served("an operator in the value of a header (a percent sign is written `%%`)"));
    }
    let value = text.replace("%%", "%");
    match http::HeaderValue::from_str(&value) {
        Ok(_) => Ok(value),
        Err(_) => Err(at.fault("holds bytes that no header may hold")),
    }
}
