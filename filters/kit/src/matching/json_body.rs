//! Conditions on fields of a JSON body.

use super::named::{NamedMatch, NamedMatchConfig};
use super::value::ValueMatchConfig;
use crate::ConfigError;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A condition on one field of a JSON body, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct BodyMatchConfig {
    /// JSON pointer (RFC 6901), as in `/model` or `/messages/0/role`; up to 16 steps.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^/"), length(max = 1024)))]
    pub pointer: String,
    /// What the value has to be: a text as it is, numbers and booleans as JSON writes them. Absent, any value but `null`
    /// will do. An object or a list is present and has no value to compare.
    pub r#match: Option<ValueMatchConfig>,
    /// As for headers.
    #[serde(default)]
    pub invert: bool,
    /// As for headers.
    #[serde(default)]
    pub ignore_case: bool,
}

/// A compiled condition on one field of a JSON body.
#[derive(Debug, Clone)]
pub struct BodyMatch {
    steps: Vec<String>,
    /// The condition, under the pointer as its name.
    pub field: NamedMatch,
}

const MAX_STEPS: usize = 16;

impl BodyMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path relative to the configuration.
    pub fn new(config: BodyMatchConfig) -> Result<Self, ConfigError> {
        let steps = steps(&config.pointer).ok_or_else(|| {
            let why = format!("expected a JSON pointer of 1 to {MAX_STEPS} steps like \"/model\"");
            ConfigError::new("pointer", format!("{why}, found {:?}", config.pointer))
        })?;
        let field = NamedMatch::new(NamedMatchConfig {
            name: config.pointer,
            r#match: config.r#match,
            invert: config.invert,
            ignore_case: config.ignore_case,
            treat_missing_as_empty: false,
        })?;
        Ok(Self { steps, field })
    }

    /// Whether a body fits. One that is not JSON fits nothing, inverted or not.
    pub fn matches(&self, body: &[u8]) -> bool {
        match find(body, &self.steps) {
            Err(_) => false,
            Ok(Found::Nothing) => self.field.matches(std::iter::empty(), super::Repeated::First),
            Ok(Found::Value(value)) => self.field.matches(std::iter::once(value.as_bytes()), super::Repeated::First),
            Ok(Found::Container) => self.field.value.presence().is_some_and(|wanted| wanted != self.field.invert),
        }
    }

    /// What stands at the pointer, in words.
    pub fn found(&self, body: &[u8]) -> String {
        match find(body, &self.steps) {
            Err(_) if body.is_empty() => "no body".to_owned(),
            Err(_) => "a body that is not JSON".to_owned(),
            Ok(Found::Nothing) => "none".to_owned(),
            Ok(Found::Value(value)) => format!("{value:?}"),
            Ok(Found::Container) => "an object or a list".to_owned(),
        }
    }
}

fn steps(pointer: &str) -> Option<Vec<String>> {
    // a tilde stands for itself and for a slash, and for nothing else
    if pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return None;
    }
    let steps: Vec<String> =
        pointer.strip_prefix('/')?.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    (steps.len() <= MAX_STEPS && pointer.len() <= 1024).then_some(steps)
}

/// What stands at a pointer.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing, or `null`.
    Nothing,
    Value(String),
    Container,
}

/// Reads the whole body, keeps what is asked for. Of a repeated key the last counts, as for most readers.
fn find(body: &[u8], steps: &[String]) -> Result<Found, serde_json::Error> {
    let mut source = serde_json::Deserializer::from_slice(body);
    let found = Walk { steps }.deserialize(&mut source)?;
    source.end()?;
    Ok(found)
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    steps: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Found, D::Error> {
        source.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn scalar(self, text: impl ToString) -> Found {
        if self.steps.is_empty() { Found::Value(text.to_string()) } else { Found::Nothing }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Found, E> {
        Ok(self.scalar(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Found, E> {
        Ok(self.scalar(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Found, E> {
        Ok(self.scalar(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Found, E> {
        Ok(self.scalar(serde_json::Number::from_f64(value).map(|number| number.to_string()).unwrap_or_default()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Found, E> {
        Ok(self.scalar(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Container);
        };
        let mut found = Found::Nothing;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == step.as_str() {
                found = map.next_value_seed(Walk { steps: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Container);
        };
        // RFC 6901: no leading zeros
        let wanted = step.parse::<usize>().ok().filter(|index| index.to_string() == *step);
        let mut found = Found::Nothing;
        for index in 0.. {
            if Some(index) == wanted {
                match list.next_element_seed(Walk { steps: rest })? {
                    Some(element) => found = element,
                    None => break,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(config: &str) -> Result<BodyMatch, ConfigError> {
        BodyMatch::new(crate::config::parse(config.as_bytes()).unwrap())
    }

    #[test]
    fn pointers_find_fields() {
        let json = br#"{"model":"a","n":1,"big":9007199254740993,"f":1.5,"t":true,"z":null,"o":{"a/b":{"~":"x"}},
                       "l":[{"r":"u"},2],"model":"gpt-4o"}"#;
        for (pointer, expected) in [
            ("/model", Found::Value("gpt-4o".into())),
            ("/n", Found::Value("1".into())),
            ("/big", Found::Value("9007199254740993".into())),
            ("/f", Found::Value("1.5".into())),
            ("/t", Found::Value("true".into())),
            ("/z", Found::Nothing),
            ("/o", Found::Container),
            ("/o/a~1b/~0", Found::Value("x".into())),
            ("/l/0/r", Found::Value("u".into())),
            ("/l/1", Found::Value("2".into())),
            ("/l/01", Found::Nothing),
            ("/l/2", Found::Nothing),
            ("/model/x", Found::Nothing),
            ("/", Found::Nothing),
        ] {
            assert_eq!(find(json, &steps(pointer).unwrap()).unwrap(), expected, "{pointer}");
        }
    }

    #[test]
    fn what_is_not_json_fits_nothing() {
        let model = body(r#"{"pointer":"/model","match":{"exact":"a"}}"#).unwrap();
        let other = body(r#"{"pointer":"/model","match":{"exact":"a"},"invert":true}"#).unwrap();
        let absent = body(r#"{"pointer":"/model","invert":true}"#).unwrap();
        for (json, expected) in [
            (&br#"{"model":"a"}"#[..], [true, false, false]),
            (br#"{"model":"b"}"#, [false, true, false]),
            (br#"{"model":"\u0061"}"#, [true, false, false]),
            (br#"{}"#, [false, false, true]),
            (br#"{"model":{}}"#, [false, false, false]),
            (br#"[]"#, [false, false, true]),
            (br#"{"model":"a"} x"#, [false; 3]),
            (br#"{"model":"a""#, [false; 3]),
            (b"\xff", [false; 3]),
            (b"", [false; 3]),
        ] {
            assert_eq!([&model, &other, &absent].map(|m| m.matches(json)), expected, "{json:?}");
        }
        assert!(!model.matches(&b"[".repeat(100_000)));
    }

    #[test]
    fn pointers_are_checked() {
        for pointer in ["", "model", &"/a".repeat(17)] {
            assert!(body(&format!(r#"{{"pointer":"{pointer}"}}"#)).is_err(), "{pointer}");
        }
    }
}
