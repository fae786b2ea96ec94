//! A checked document.

use crate::scan;
use crate::value::{Kind, Value};
use std::fmt;

/// What a document may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Containers inside each other.
    pub depth: usize,
    /// Values and member names; each takes 16 bytes while the document is in use.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128, values: 1 << 20 }
    }
}

/// Why a text is no JSON document, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidJson {
    /// Bytes before the mistake.
    pub offset: usize,
    /// Line of the mistake, from 1 on.
    pub line: usize,
    /// Characters of that line up to and with the mistake, from 1 on.
    pub column: usize,
    /// What was expected.
    pub why: &'static str,
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at line {} column {}", self.why, self.line, self.column)
    }
}

/// A value, or a member's name, as a span of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The index of what follows, with all that is inside skipped.
    pub(crate) next: u32,
    pub(crate) kind: Kind,
    /// A string that has escapes in it.
    pub(crate) escaped: bool,
}

/// A text that is one JSON value.
#[derive(Debug, Clone)]
pub struct Doc<'a> {
    pub(crate) text: &'a str,
    pub(crate) nodes: Vec<Node>,
}

impl<'a> Doc<'a> {
    /// Checks a text.
    ///
    /// # Errors
    /// If it is no JSON, no UTF-8, or beyond the limits or 4 GiB.
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Self, InvalidJson> {
        let text = str::from_utf8(bytes).map_err(|error| invalid(bytes, error.valid_up_to(), "expected UTF-8"))?;
        if u32::try_from(bytes.len()).is_err() {
            return Err(invalid(bytes, 0, "expected less than 4 GiB"));
        }
        let mut parser = Parser {
            bytes,
            at: 0,
            nodes: Vec::with_capacity((bytes.len() / 32).clamp(64, 1 << 16)),
            open: Vec::new(),
            limits,
        };
        match parser.document() {
            Ok(()) => Ok(Self { text, nodes: parser.nodes }),
            Err(why) => Err(invalid(bytes, parser.at, why)),
        }
    }

    /// The value that the text is.
    pub fn root(&'a self) -> Value<'a> {
        Value::new(self, 0)
    }

    /// The text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Line and column of a byte, from 1 on; the column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        position(self.text.as_bytes(), offset)
    }
}

fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let characters = before.get(start..).unwrap_or_default().iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    (line, characters + 1)
}

fn invalid(bytes: &[u8], offset: usize, why: &'static str) -> InvalidJson {
    let (line, column) = position(bytes, offset);
    InvalidJson { offset, line, column, why }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Containers that are open, by their index.
    open: Vec<usize>,
    limits: Limits,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), &'static str> {
        self.blanks();
        self.value()?;
        while let Some(container) = self.open.last().copied() {
            self.blanks();
            self.inside(container)?;
        }
        self.blanks();
        if self.at < self.bytes.len() { Err("expected the end") } else { Ok(()) }
    }

    /// What comes next in an open container: its end, or another value.
    fn inside(&mut self, container: usize) -> Result<(), &'static str> {
        let is_object = self.nodes.get(container).is_some_and(|node| node.kind == Kind::Object);
        let is_first = self.nodes.len() == container + 1;
        let close = if is_object { b'}' } else { b']' };
        match self.bytes.get(self.at) {
            Some(byte) if *byte == close => {
                self.at += 1;
                self.open.pop();
                self.close(container);
                return Ok(());
            }
            Some(b',') if !is_first => {
                self.at += 1;
                self.blanks();
            }
            _ if is_first => {}
            _ if is_object => return Err("expected `,` or `}`"),
            _ => return Err("expected `,` or `]`"),
        }
        if is_object {
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err("expected a member's name in quotes");
            }
            self.string()?;
            self.blanks();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err("expected `:`");
            }
            self.at += 1;
            self.blanks();
        }
        self.value()
    }

    fn value(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'"') => self.string(),
            Some(b'{') => self.begin(Kind::Object),
            Some(b'[') => self.begin(Kind::Array),
            Some(b't') => self.word(b"true", Kind::Bool),
            Some(b'f') => self.word(b"false", Kind::Bool),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => {
                self.at = scan::number(self.bytes, start).ok_or("expected a number")?;
                self.push(start, Kind::Number, false)
            }
            Some(_) => Err("expected a value"),
            None => Err("expected a value, found the end"),
        }
    }

    fn begin(&mut self, kind: Kind) -> Result<(), &'static str> {
        if self.open.len() >= self.limits.depth {
            return Err("expected fewer containers inside each other");
        }
        self.open.push(self.nodes.len());
        self.at += 1;
        self.push(self.at - 1, kind, false)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), &'static str> {
        let start = self.at;
        if self.bytes.get(start..start + word.len()) != Some(word) {
            return Err("expected a value");
        }
        self.at += word.len();
        self.push(start, kind, false)
    }

    fn string(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += scan::plain(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return self.push(start, Kind::String, escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    let hexadecimal = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
                    match self.bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                        Some(b'u') if self.bytes.get(self.at + 2..self.at + 6).is_some_and(hexadecimal) => self.at += 6,
                        _ => return Err("expected an escape"),
                    }
                }
                Some(_) => return Err("expected no control character in a string"),
                None => return Err("expected the end of a string"),
            }
        }
    }

    fn push(&mut self, start: usize, kind: Kind, escaped: bool) -> Result<(), &'static str> {
        if self.nodes.len() >= self.limits.values {
            return Err("expected fewer values");
        }
        let next = offset(self.nodes.len() + 1);
        self.nodes.push(Node { start: offset(start), end: offset(self.at), next, kind, escaped });
        Ok(())
    }

    fn close(&mut self, container: usize) {
        let (end, next) = (offset(self.at), offset(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(container) {
            node.end = end;
            node.next = next;
        }
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}

/// The length of the text has been checked.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
