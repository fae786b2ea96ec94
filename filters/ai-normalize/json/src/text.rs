//! Strings, as they stand in a document or as they are.

use std::borrow::Cow;

/// A string. One from a document is not decoded until somebody has to know what it says.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// What stands between the quotes, with escapes.
    Escaped(&'a str),
    /// What it says.
    Plain(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// What it says. Half a surrogate pair says U+FFFD.
    pub fn decode(&self) -> Cow<'a, str> {
        match self {
            Self::Escaped(raw) => Cow::Owned(decode(raw)),
            Self::Plain(text) => text.clone(),
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Escaped(raw) => raw.is_empty(),
            Self::Plain(text) => text.is_empty(),
        }
    }

    /// Whether it says nothing but blanks.
    pub fn is_blank(&self) -> bool {
        match self {
            // nearly always the first character tells
            Self::Escaped(raw) => {
                raw.bytes().next().is_none_or(|byte| !byte.is_ascii_graphic() || byte == b'\\')
                    && decode(raw).trim().is_empty()
            }
            Self::Plain(text) => text.trim_start().is_empty(),
        }
    }

    /// The same for longer than the document lives.
    pub fn into_owned(self) -> Text<'static> {
        Text::Plain(Cow::Owned(self.decode().into_owned()))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Plain(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Plain(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Plain(text)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.decode() == other.decode()
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        match self {
            Self::Escaped(raw) => decode(raw) == other,
            Self::Plain(text) => text == other,
        }
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// Decodes what stands between the quotes of a checked string.
fn decode(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut behind = escape.chars();
        match behind.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, length) = unicode(escape);
                out.push(character);
                rest = escape.get(length..).unwrap_or_default();
                continue;
            }
            other => out.extend(other),
        }
        rest = behind.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of an escape from its `u` on, and the length of the escape, with a second one if both make one character.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(1) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if let (0xd800..=0xdbff, Some("\\u"), Some(second @ 0xdc00..=0xdfff)) = (first, escape.get(5..7), unit(7)) {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}
