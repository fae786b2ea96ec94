//! The notations for bytes and for headers.

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Bytes: text, `{hex: ".."}`, or `{repeat: "..", times: 3}`.
#[derive(Debug, Clone)]
pub enum Text {
    /// As it stands.
    Plain(String),
    /// Anything.
    Bytes(Vec<u8>),
}

/// A header, as `name: value`, or as `{name: .., value: .., count: 3}` or `{name: .., value: .., times: 3}`.
#[derive(Debug, Clone)]
pub struct Header {
    /// Lower case; with several headers a number follows.
    pub name: String,
    /// The value.
    pub value: Text,
    /// How many such headers; above 1 their names are numbered.
    pub count: usize,
    /// How often it stands there.
    pub times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextForm {
    hex: Option<String>,
    repeat: Option<String>,
    times: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderForm {
    name: String,
    value: Text,
    count: Option<usize>,
    times: Option<usize>,
}

/// Most bytes that one notation may stand for.
const MAX_TEXT: usize = 16 * 1024 * 1024;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, {hex: ..} or {repeat: .., times: ..}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Plain(text.to_owned()))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Text, M::Error> {
                let form = TextForm::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = match (form.hex, form.repeat, form.times) {
                    (Some(hex), None, None) => from_hex(&hex),
                    (None, Some(text), Some(times)) => {
                        Some(text.repeat(times.min(MAX_TEXT / text.len().max(1))).into())
                    }
                    _ => None,
                };
                bytes.map(Text::Bytes).ok_or_else(|| de::Error::invalid_value(Unexpected::Map, &self))
            }
        }
        source.deserialize_any(Reader)
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pair = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"name: value\" or {name: .., value: ..}")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<Header, E> {
                let (name, value) =
                    line.split_once(':').ok_or_else(|| E::invalid_value(Unexpected::Str(line), &self))?;
                Ok(Header {
                    name: name.to_ascii_lowercase(),
                    value: Text::Plain(value.trim().into()),
                    count: 1,
                    times: 1,
                })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Header, M::Error> {
                let form = HeaderForm::deserialize(MapAccessDeserializer::new(map))?;
                let (count, times) = (form.count.unwrap_or(1), form.times.unwrap_or(1));
                Ok(Header { name: form.name.to_ascii_lowercase(), value: form.value, count, times })
            }
        }
        source.deserialize_any(Reader)
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

impl Text {
    /// The bytes meant.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Writes headers out, numbered where there are several.
pub fn expand(headers: &[Header]) -> Vec<(String, Vec<u8>)> {
    let one = |header: &Header| -> Vec<(String, Vec<u8>)> {
        let value = header.value.bytes().to_vec();
        match header.count {
            1 => vec![(header.name.clone(), value); header.times],
            count => (0..count).map(|number| (format!("{}-{number}", header.name), value.clone())).collect(),
        }
    };
    headers.iter().flat_map(one).collect()
}
