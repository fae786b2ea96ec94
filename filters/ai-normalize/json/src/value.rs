//! A value of a document.

use crate::doc::{Doc, Node};
use crate::text::Text;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// With its article, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A value of a document; as cheap to copy as a reference.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    doc: &'a Doc<'a>,
    index: usize,
}

const NOTHING: Node = Node { start: 0, end: 0, next: 0, kind: Kind::Null, escaped: false };

impl<'a> Value<'a> {
    pub(crate) fn new(doc: &'a Doc<'a>, index: usize) -> Self {
        Self { doc, index }
    }

    fn node(&self) -> Node {
        // a checked document has a node for each value that there is a handle for
        self.doc.nodes.get(self.index).copied().unwrap_or(NOTHING)
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// Where it stands in the text, in bytes.
    pub fn span(&self) -> Range<usize> {
        let node = self.node();
        index(node.start)..index(node.end)
    }

    /// Line and column, from 1 on.
    pub fn position(&self) -> (usize, usize) {
        self.doc.position(self.span().start)
    }

    /// As it stands in the text.
    pub fn raw(&self) -> &'a str {
        self.doc.text.get(self.span()).unwrap_or("null")
    }

    /// As it stands in the text, if that is short; otherwise what it is, for messages.
    pub fn raw_short(&self) -> &'a str {
        let raw = self.raw();
        if raw.len() <= 40 { raw } else { self.kind().name() }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// If it is a string.
    pub fn text(&self) -> Option<Text<'a>> {
        let node = self.node();
        if node.kind != Kind::String {
            return None;
        }
        let inner = self.doc.text.get(index(node.start) + 1..index(node.end).saturating_sub(1)).unwrap_or_default();
        Some(if node.escaped { Text::Escaped(inner) } else { Text::Plain(Cow::Borrowed(inner)) })
    }

    /// What it says, if it is a string.
    pub fn str(&self) -> Option<Cow<'a, str>> {
        self.text().map(|text| text.decode())
    }

    /// If it is a boolean.
    pub fn bool(&self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The digits, if it is a number.
    pub fn number(&self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// If it is a whole number that is not negative; `1.0` and `1e3` are such numbers too.
    pub fn u64(&self) -> Option<u64> {
        let digits = self.number()?;
        if let Ok(number) = digits.parse() {
            return Some(number);
        }
        let number: f64 = digits.parse().ok()?;
        // 2^53: beyond that a float does not tell whole numbers apart
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
    }

    /// If it is a number.
    pub fn f64(&self) -> Option<f64> {
        self.number()?.parse().ok()
    }

    /// The member of that name; the last one, if there are several. `None` for what is no object.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.member_values().filter(|(key, _)| key.says(name)).last().map(|(_, value)| value)
    }

    /// Whether it is a string that says this.
    fn says(&self, name: &str) -> bool {
        let node = self.node();
        if node.escaped {
            return self.text().is_some_and(|text| text == *name);
        }
        let (start, end) = (index(node.start) + 1, index(node.end).saturating_sub(1));
        end.saturating_sub(start) == name.len() && self.doc.text.as_bytes().get(start..end) == Some(name.as_bytes())
    }

    /// The same; a member that is `null` counts as none.
    pub fn given(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The string of that name.
    pub fn text_of(&self, name: &str) -> Option<Text<'a>> {
        self.get(name)?.text()
    }

    /// What the string of that name says.
    pub fn str_of(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.str()
    }

    /// The whole number of that name.
    pub fn u64_of(&self, name: &str) -> Option<u64> {
        self.get(name)?.u64()
    }

    /// The value at the end of a path of names.
    pub fn at(&self, path: &[&str]) -> Option<Value<'a>> {
        path.iter().try_fold(*self, |value, name| value.get(name))
    }

    /// Names and values of an object; none for what is no object.
    pub fn members(&self) -> impl Iterator<Item = (Text<'a>, Value<'a>)> + use<'a> {
        self.member_values().map(|(key, value)| (key.text().unwrap_or(Text::Plain(Cow::Borrowed(""))), value))
    }

    pub(crate) fn member_values(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        let mut inside = self.inside(Kind::Object);
        std::iter::from_fn(move || Some((inside.next()?, inside.next()?)))
    }

    /// Elements of an array; none for what is no array.
    pub fn elements(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.inside(Kind::Array)
    }

    fn inside(&self, kind: Kind) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (doc, node) = (self.doc, self.node());
        let end = if node.kind == kind { index(node.next) } else { 0 };
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            let value = Value { doc, index: next };
            (next < end).then(|| {
                next = index(value.node().next);
                value
            })
        })
    }

    /// A member's name that an object has twice: readers differ in which of both counts.
    pub fn repeated(&self) -> Option<Cow<'a, str>> {
        // few are compared faster than they are hashed
        const FEW: usize = 32;
        let mut few: Vec<Cow<'a, str>> = Vec::new();
        let mut seen = HashSet::new();
        self.members().map(|(key, _)| key.decode()).find(|key| {
            if few.len() < FEW {
                let found = few.contains(key);
                few.push(key.clone());
                return found;
            }
            few.contains(key) || !seen.insert(key.clone())
        })
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
