//! Changing a document by its spans.

use crate::doc::Doc;
use crate::text::Text;
use crate::value::{Kind, Value};
use crate::write::escape;
use std::ops::Range;

/// What to do with a member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It stays as it is.
    Keep,
    /// It goes, name and all.
    Remove,
    /// It gets another name.
    Rename(String),
    /// It gets another value, which is JSON.
    Replace(String),
}

/// Changes of a document. What is not named stays byte for byte.
#[derive(Debug)]
pub struct Patch<'a> {
    text: &'a str,
    /// Spans and what takes their place.
    changes: Vec<(Range<usize>, String)>,
}

impl<'a> Patch<'a> {
    /// No change yet.
    pub fn new(doc: &Doc<'a>) -> Self {
        Self { text: doc.text, changes: Vec::new() }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Puts other JSON in the place of a value. A value inside that one cannot be changed as well.
    pub fn replace(&mut self, value: Value<'_>, json: impl Into<String>) {
        self.changes.push((value.span(), json.into()));
    }

    /// The same with a string.
    pub fn replace_string(&mut self, value: Value<'_>, text: &str) {
        self.replace(value, quoted(text));
    }

    /// Goes over the members of an object, and adds others at its end, each with a name and JSON. Once for each object; values that stay
    /// can be changed by themselves. Does nothing to what is no object.
    pub fn object(
        &mut self,
        object: Value<'_>,
        mut edit: impl FnMut(&Text<'_>, Value<'_>) -> Edit,
        added: &[(&str, String)],
    ) {
        if object.kind() != Kind::Object {
            return;
        }
        let span = object.span();
        // where the last member that stays ends; before that, the brace
        let mut end = span.start + 1;
        let mut any = false;
        let mut gap: Option<Range<usize>> = None;
        for (key, value) in object.member_values() {
            let Some(name) = key.text() else { continue };
            let member = key.span().start..value.span().end;
            match edit(&name, value) {
                Edit::Remove => {
                    gap = Some(gap.map_or(member.start, |gap| gap.start)..member.end);
                    continue;
                }
                Edit::Keep => {}
                Edit::Rename(name) => self.replace(key, quoted(&name)),
                Edit::Replace(json) => self.replace(value, json),
            }
            if let Some(gap) = gap.take() {
                // with the comma behind it
                self.changes.push((gap.start..member.start, String::new()));
            }
            any = true;
            end = member.end;
        }
        if let Some(gap) = gap {
            // with the comma before it
            let start = if any { end } else { gap.start };
            self.changes.push((start..gap.end, String::new()));
            end = gap.end;
        }
        let mut text = String::new();
        for (name, json) in added {
            if any {
                text.push(',');
            }
            any = true;
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(json);
        }
        if !text.is_empty() {
            self.changes.push((end..end, text));
        }
    }

    /// Puts JSON before the first element of an array. Does nothing to what is no array.
    pub fn insert_first(&mut self, array: Value<'_>, json: &str) {
        if array.kind() == Kind::Array {
            let start = array.span().start + 1;
            let comma = if array.elements().next().is_some() { "," } else { "" };
            self.changes.push((start..start, format!("{json}{comma}")));
        }
    }

    /// The document with its changes.
    pub fn finish(mut self) -> Vec<u8> {
        // what is added at the end of a gap comes behind the gap
        self.changes.sort_by_key(|(span, _)| (span.start, span.end));
        let grown: usize = self.changes.iter().map(|(_, json)| json.len()).sum();
        let mut out = Vec::with_capacity(self.text.len() + grown);
        let mut at = 0;
        for (span, json) in self.changes {
            out.extend_from_slice(self.text.get(at..span.start).unwrap_or_default().as_bytes());
            out.extend_from_slice(json.as_bytes());
            at = at.max(span.end);
        }
        out.extend_from_slice(self.text.get(at..).unwrap_or_default().as_bytes());
        out
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    escape(text, &mut out);
    out.push(b'"');
    // escapes are ASCII, and everything else is as it was
    String::from_utf8(out).unwrap_or_default()
}
