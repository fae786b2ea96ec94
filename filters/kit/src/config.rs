//! Configuration errors with the place they are about.

use crate::protobuf_struct;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// The first thing that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the value, as in `rules[3].match.path.regex`; empty for the whole document.
    pub at: String,
    /// One sentence in lower case: what was expected, what stood there, the nearest valid name.
    pub why: String,
}

impl ConfigError {
    /// An error about the value at `at`.
    pub fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }

    /// The same error, one level up: `outer` is put before the path.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.at = join(outer, &self.at);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.at, self.why) }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration type from JSON text, or from a serialized `google.protobuf.Struct` as Envoy hands it over.
///
/// # Errors
/// Syntax errors with line and column; everything else with the path of the value.
pub fn parse<T: DeserializeOwned>(configuration: &[u8]) -> Result<T, ConfigError> {
    if configuration.trim_ascii().is_empty() {
        return Err(ConfigError::new("", "expected a configuration, found none"));
    }
    let message = protobuf_struct::to_json(configuration).map(|value| value.to_string());
    let json = message.as_ref().map_or(configuration, |text| text.as_bytes());
    let mut source = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut source).map_err(|error| explain(json, &error))?;
    source.end().map_err(|error| ConfigError::new("", format!("not valid JSON: {error}")))?;
    Ok(read)
}

/// What [`unsigned`] takes, for schemas.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub enum NumberOrText {
    /// A whole number.
    Number(u64),
    /// The same as text.
    Text(#[schemars(regex(pattern = r"^[0-9]+$"))] String),
}

/// Reads a whole number from a number or from text, for fields that may go beyond 32 bits: Envoy turns such numbers into
/// text where a configuration stands as YAML.
///
/// # Errors
/// For anything else.
pub fn unsigned<'de, D: serde::Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    struct Reader;
    impl serde::de::Visitor<'_> for Reader {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number in range")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }
    source.deserialize_any(Reader)
}

/// A number for a configuration: FNV-1a (Fowler, Noll, Vo) of 64 bits over its JSON without blanks and with sorted keys.
/// Text and a serialized `Struct` of the same configuration have the same.
pub fn hash(configuration: &[u8]) -> u64 {
    let value = protobuf_struct::to_json(configuration).or_else(|| serde_json::from_slice(configuration).ok());
    let mut hash = Fnv::default();
    match value {
        Some(value) => hash.value(&value),
        None => hash.bytes(configuration),
    }
    hash.0
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Canonical JSON, whatever order a map keeps its keys in.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                self.list(b"{}", &entries, |hash, (key, value)| {
                    hash.bytes(Value::from(key.as_str()).to_string().as_bytes());
                    hash.bytes(b":");
                    hash.value(value);
                });
            }
            Value::Array(values) => self.list(b"[]", values, Self::value),
            // a Struct has no integers
            Value::Number(number) => {
                let whole = number.as_f64().filter(|_| number.is_f64()).and_then(protobuf_struct::number);
                self.bytes(whole.unwrap_or_else(|| value.clone()).to_string().as_bytes());
            }
            _ => self.bytes(value.to_string().as_bytes()),
        }
    }

    fn list<T>(&mut self, brackets: &[u8; 2], items: &[T], mut one: impl FnMut(&mut Self, &T)) {
        let [open, close] = *brackets;
        self.bytes(&[open]);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.bytes(b",");
            }
            one(self, item);
        }
        self.bytes(&[close]);
    }
}

fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (true, _) => inner.to_owned(),
        (_, true) => outer.to_owned(),
        _ if inner.starts_with('[') => format!("{outer}{inner}"),
        _ => format!("{outer}.{inner}"),
    }
}

/// Turns serde's words into ours: the place first, then what is expected there.
fn explain(json: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let inner = error.inner();
    let path = error.path().to_string();
    let at = if path == "." { String::new() } else { path };
    if inner.is_syntax() || inner.is_eof() {
        // serde's reader takes an object of no or several fields where one is wanted for bad syntax
        return not_one_field(json, &at).unwrap_or_else(|| ConfigError::new("", format!("not valid JSON: {inner}")));
    }
    let text = inner.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
    if let Some(rest) = text.strip_prefix("unknown field ") {
        let (name, expected) = rest.split_once(", ").unwrap_or((rest, ""));
        let name = name.trim_matches('`');
        let at = if at == name || at.ends_with(&format!(".{name}")) { at } else { join(&at, name) };
        return ConfigError::new(at, format!("unknown field; {}", suggest(name, expected)));
    }
    if let Some(rest) = text.strip_prefix("unknown variant ") {
        let (name, expected) = rest.split_once(", ").unwrap_or((rest, ""));
        let name = name.trim_matches('`');
        // `{"prefx": ..}` is to its author an unknown field, not an unknown variant
        return if is_key(json, &at, name) {
            ConfigError::new(join(&at, name), format!("unknown field; {}", suggest(name, expected)))
        } else {
            ConfigError::new(at, format!("unknown value \"{name}\"; {}", suggest(name, expected)))
        };
    }
    if let Some(rest) = text.strip_prefix("missing field ") {
        return ConfigError::new(at, format!("missing field \"{}\"", rest.trim_matches('`')));
    }
    if let Some(rest) = text.strip_prefix("duplicate field ") {
        return ConfigError::new(join(&at, rest.trim_matches('`')), "field stands twice");
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = text.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            let whole = matches!(expected, "u8" | "u16" | "u32" | "u64" | "usize" | "i64");
            let expected = if whole { "a whole number in range" } else { expected };
            let expected = if expected.starts_with("struct ") { "an object" } else { expected };
            return ConfigError::new(at, format!("expected {expected}, found {found}"));
        }
    }
    if text.starts_with("invalid length ") && text.contains(", expected struct ") {
        return ConfigError::new(at, "expected an object, found a sequence");
    }
    ConfigError::new(at, text)
}

/// The error of an object of no or several fields at `at` or around it, if that is what is wrong.
fn not_one_field(json: &[u8], at: &str) -> Option<ConfigError> {
    let document: Value = serde_json::from_slice(json).ok()?;
    let around = at.rsplit_once('.').map_or("", |(around, _)| around);
    let wrong = |at: &&str| value_at(&document, at).and_then(Value::as_object).is_some_and(|fields| fields.len() != 1);
    let at = [at, around].into_iter().find(wrong)?;
    let fields = value_at(&document, at)?.as_object()?;
    let names: Vec<String> = fields.keys().map(|name| format!("{name:?}")).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(" and ") };
    Some(ConfigError::new(at, format!("expected one field, found {found}")))
}

/// The nearest of the names in serde's list, or all of them.
fn suggest(name: &str, expected: &str) -> String {
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    nearest(name, &names).map_or_else(
        || match names.as_slice() {
            [] => "no fields are expected here".to_owned(),
            [only] => format!("expected \"{only}\""),
            _ => format!("expected one of \"{}\"", names.join("\", \"")),
        },
        |near| format!("did you mean \"{near}\"?"),
    )
}

/// The name that is most likely meant by `name`, if one is near enough.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let close = |candidate: &&'a str| {
        let distance = strsim::damerau_levenshtein(name, candidate);
        (distance, distance * 3 <= candidate.len().max(name.len()))
    };
    names.iter().filter(|n| close(n).1).min_by_key(|n| close(n).0).copied()
}

/// Whether an object stands at `at` and has this key.
fn is_key(json: &[u8], at: &str, key: &str) -> bool {
    let document = serde_json::from_slice::<Value>(json);
    document.is_ok_and(|document| value_at(&document, at).is_some_and(|value| value.get(key).is_some()))
}

fn value_at<'a>(document: &'a Value, at: &str) -> Option<&'a Value> {
    let mut parts = at.split(['.', '[']).filter(|part| !part.is_empty());
    parts.try_fold(document, |value, part| match part.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
        Some(index) => value.get(index),
        None => value.get(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    #[allow(dead_code)]
    struct Outer {
        rules: Vec<Rule>,
        #[serde(default)]
        port: u16,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    #[allow(dead_code)]
    struct Rule {
        name: String,
        path: Option<Path>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Path {
        Prefix(String),
        Exact(String),
    }

    #[test]
    fn every_error_names_the_place_and_what_is_expected() {
        for (json, expected) in [
            (r#"{"rules":[{"name":"a","pth":{}}]}"#, r#"rules[0].pth: unknown field; did you mean "path"?"#),
            (r#"{"rules":[],"zzzzzz":1}"#, r#"zzzzzz: unknown field; expected one of "rules", "port""#),
            (
                r#"{"rules":[{"name":"a","path":{"prefx":"/"}}]}"#,
                r#"rules[0].path.prefx: unknown field; did you mean "prefix"?"#,
            ),
            (
                r#"{"rules":[{"name":"a","path":"exakt"}]}"#,
                r#"rules[0].path: unknown value "exakt"; did you mean "exact"?"#,
            ),
            (r#"{"rules":[{}]}"#, r#"rules[0]: missing field "name""#),
            (r#"{"rules":[{"name":7}]}"#, "rules[0].name: expected a string, found integer `7`"),
            (r#"{"rules":[],"port":70000}"#, "port: expected a whole number in range, found integer `70000`"),
            (r#"{"rules":[],"rules":[]}"#, "rules: field stands twice"),
            (r#"{"rules":{}}"#, "rules: expected a sequence, found map"),
            (r#"{"rules":[{"name":"a","path":{}}]}"#, "rules[0].path: expected one field, found none"),
            (
                r#"{"rules":[{"name":"a","path":{"exact":"/","prefix":"/"}}]}"#,
                r#"rules[0].path: expected one field, found "exact" and "prefix""#,
            ),
            ("null", "expected an object, found null"),
            (r#"{"rules":[[]]}"#, "rules[0]: expected an object, found a sequence"),
            (r#"{"rules":[}"#, "not valid JSON: expected value at line 1 column 11"),
            ("", "expected a configuration, found none"),
            ("{", "not valid JSON: EOF while parsing an object at line 1 column 1"),
            ("{\"rules\":[]} x", "not valid JSON: trailing characters at line 1 column 14"),
        ] {
            assert_eq!(parse::<Outer>(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
        }
    }

    #[test]
    fn a_hash_is_that_of_the_canonical_json() {
        // FNV-1a 64 of the bytes `{"a":[1,1.5,null,"\u00e4"],"b":{}}`
        let mut expected = Fnv::default();
        expected.bytes(r#"{"a":[1,1.5,null,"ä"],"b":{}}"#.as_bytes());
        for text in [r#"{"b": {}, "a": [1, 1.5, null, "ä"]}"#, r#"{"a":[1e0,15e-1,null,"\u00e4"],"b":{}}"#] {
            assert_eq!(hash(text.as_bytes()), expected.0, "{text}");
        }
        // published test vectors
        assert_eq!((hash(b""), hash(b"a")), (0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c));
        assert_ne!(hash(b"[1,2]"), hash(b"[2,1]"));
    }

    #[test]
    fn a_struct_and_its_text_have_the_same_hash() {
        // {"b": 2, "a": true}
        let message = b"\x0a\x0e\x0a\x01b\x12\x09\x11\0\0\0\0\0\0\0\x40\x0a\x07\x0a\x01a\x12\x02\x20\x01";
        assert_eq!(hash(message), hash(br#"{"a": true, "b": 2}"#));
    }

    #[test]
    fn paths_join_with_a_dot_or_an_index() {
        let error = ConfigError::new("[1].name", "x").within("rules").within("");
        assert_eq!(error.to_string(), "rules[1].name: x");
        assert_eq!(ConfigError::new("", "x").within("rules").to_string(), "rules: x");
    }
}
