//! Writing JSON.

use crate::text::Text;
use crate::value::Value;

/// Writes JSON without blanks. Commas and colons come by themselves.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// A value stands before the next one.
    behind: bool,
}

impl Writer {
    /// Writes behind what `out` has.
    pub fn over(out: Vec<u8>) -> Self {
        Self { out, behind: false }
    }

    /// For about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self::over(Vec::with_capacity(bytes))
    }

    /// What has been written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn comma(&mut self) {
        if self.behind {
            self.out.push(b',');
        }
        self.behind = true;
    }

    /// The name of the next value.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.colon()
    }

    /// The same from a document.
    pub fn key_text(&mut self, name: &Text<'_>) -> &mut Self {
        self.text(name);
        self.colon()
    }

    fn colon(&mut self) -> &mut Self {
        self.out.push(b':');
        self.behind = false;
        self
    }

    /// An object, whose members `inside` writes.
    pub fn object<R>(&mut self, inside: impl FnOnce(&mut Self) -> R) -> R {
        self.container(*b"{}", inside)
    }

    /// An array, whose elements `inside` writes.
    pub fn array<R>(&mut self, inside: impl FnOnce(&mut Self) -> R) -> R {
        self.container(*b"[]", inside)
    }

    fn container<R>(&mut self, [open, close]: [u8; 2], inside: impl FnOnce(&mut Self) -> R) -> R {
        self.comma();
        self.out.push(open);
        self.behind = false;
        let result = inside(self);
        self.out.push(close);
        self.behind = true;
        result
    }

    /// A string.
    pub fn string(&mut self, text: &str) {
        self.comma();
        self.out.push(b'"');
        escape(text, &mut self.out);
        self.out.push(b'"');
    }

    /// A string from a document.
    pub fn text(&mut self, text: &Text<'_>) {
        match text {
            Text::Plain(plain) => self.string(plain),
            Text::Escaped(raw) => {
                self.comma();
                self.out.push(b'"');
                self.out.extend_from_slice(raw.as_bytes());
                self.out.push(b'"');
            }
        }
    }

    /// One string from several.
    pub fn texts<'t, 'a: 't>(&mut self, parts: impl IntoIterator<Item = &'t Text<'a>>) {
        self.comma();
        self.out.push(b'"');
        for part in parts {
            match part {
                Text::Plain(plain) => escape(plain, &mut self.out),
                Text::Escaped(raw) => self.out.extend_from_slice(raw.as_bytes()),
            }
        }
        self.out.push(b'"');
    }

    /// A value of a document, as it stands there.
    pub fn value(&mut self, value: Value<'_>) {
        self.raw(value.raw());
    }

    /// What is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Members that are JSON already, in an object: `"a":1,"b":2`.
    pub fn members(&mut self, json: &str) {
        if !json.is_empty() {
            self.raw(json);
        }
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        self.raw(&number.to_string());
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// `null`
    pub fn null(&mut self) {
        self.raw("null");
    }
}

/// Escapes what has to be.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let plain = crate::scan::plain(bytes, at);
        out.extend_from_slice(bytes.get(at..at + plain).unwrap_or_default());
        at += plain;
        let Some(byte) = bytes.get(at) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
        at += 1;
    }
}
