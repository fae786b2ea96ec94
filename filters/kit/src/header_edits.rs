//! Setting, adding and removing headers.

use crate::head::{is_header_name, is_header_value};
use crate::template::{Encoding, Template, Values};
use crate::{ConfigError, Head};
use serde::Deserialize;

/// Edits of a head, as configured: first `remove`, then `set`, then `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct HeaderEditsConfig {
    /// Each of these headers gives way to one with this value.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub set: Vec<HeaderValueConfig>,
    /// These headers stand beside those that are there.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub add: Vec<HeaderValueConfig>,
    /// These headers go.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub remove: Vec<String>,
}

/// A header to write.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct HeaderValueConfig {
    /// Its name.
    pub name: String,
    /// Its value; a template, as in `${source_address}`.
    pub value: String,
}

/// Compiled edits.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    remove: Vec<String>,
    set: Vec<(String, Template)>,
    add: Vec<(String, Template)>,
}

/// Edits with their values, to be made later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedEdits {
    remove: Vec<String>,
    set: Vec<(String, Vec<u8>)>,
    add: Vec<(String, Vec<u8>)>,
    /// How many values could not be written, and were left out.
    pub dropped: u64,
}

/// Most edits of one kind.
const MAX_EDITS: usize = 64;

/// Headers that say where a message ends or belong to one connection; an edit could only break them.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderEdits {
    /// Checks and compiles. `groups` as for [`Template::new`].
    ///
    /// # Errors
    /// For names that must not be written, and values that never can be.
    pub fn new(config: HeaderEditsConfig, groups: Option<&[Option<String>]>) -> Result<Self, ConfigError> {
        for (at, len) in [("set", config.set.len()), ("add", config.add.len()), ("remove", config.remove.len())] {
            if len > MAX_EDITS {
                return Err(ConfigError::new(at, format!("expected at most {MAX_EDITS} entries, found {len}")));
            }
        }
        let value = |header: HeaderValueConfig| {
            let name = checked(&header.name).map_err(|error| error.within("name"))?;
            let template = Template::new(&header.value, groups).map_err(|error| error.within("value"))?;
            if let Some(text) = template.texts().find(|text| !is_header_value(text.as_bytes())) {
                let why = format!("expected text without control characters, found {text:?}");
                return Err(ConfigError::new("value", why));
            }
            if template.constant().is_some_and(|text| must_not_be(&name, text.as_bytes())) {
                return Err(ConfigError::new("value", "expected some text, found none: Envoy would answer 404"));
            }
            Ok((name, template))
        };
        let remove = crate::matching::compile("remove", config.remove, |name: String| removable(&name))?;
        let set = crate::matching::compile("set", config.set, value)?;
        let add = crate::matching::compile("add", config.add, value)?;
        Ok(Self { remove, set, add })
    }

    /// Headers that an answer gets, and no other edits.
    ///
    /// # Errors
    /// As [`HeaderEdits::new`], with a path from `headers` on.
    pub fn of_answer(headers: Vec<HeaderValueConfig>, groups: Option<&[Option<String>]>) -> Result<Self, ConfigError> {
        Self::new(HeaderEditsConfig { add: headers, ..HeaderEditsConfig::default() }, groups).map_err(|error| {
            let at = error.at.strip_prefix("add").map_or_else(|| error.at.clone(), |rest| format!("headers{rest}"));
            ConfigError::new(at, error.why)
        })
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Whether values draw on groups of the rule's pattern.
    pub fn uses_captures(&self) -> bool {
        self.set.iter().chain(&self.add).any(|(_, template)| template.uses_captures())
    }

    /// Fills the values in.
    pub fn render(&self, values: &Values<'_>) -> RenderedEdits {
        let mut dropped = 0;
        let mut fill = |list: &[(String, Template)]| -> Vec<(String, Vec<u8>)> {
            let mut filled = Vec::with_capacity(list.len());
            for (name, template) in list {
                let mut value = Vec::new();
                let rendered = template.render(values, Encoding::Raw, &mut value);
                if rendered.is_ok() && is_header_value(&value) && !must_not_be(name, &value) {
                    filled.push((name.clone(), value));
                } else {
                    dropped += 1;
                }
            }
            filled
        };
        let (set, add) = (fill(&self.set), fill(&self.add));
        RenderedEdits { remove: self.remove.clone(), set, add, dropped }
    }
}

impl RenderedEdits {
    /// Makes the edits.
    pub fn write(&self, head: &mut Head) {
        self.remove.iter().for_each(|name| head.remove(name));
        for (name, value) in &self.set {
            // name and value have been checked
            let _ = head.set(name, value);
        }
        for (name, value) in &self.add {
            let _ = head.add(name, value);
        }
    }

    /// The headers that are added.
    pub fn added(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.add.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Every edit in words.
    pub fn describe(&self) -> Vec<String> {
        let shown = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
        let removed = self.remove.iter().map(|name| format!("remove {name}"));
        let set = self.set.iter().map(|header| format!("set {}", shown(header)));
        removed.chain(set).chain(self.add.iter().map(|header| format!("add {}", shown(header)))).collect()
    }
}

/// Whether Envoy would find no route any more.
fn must_not_be(name: &str, value: &[u8]) -> bool {
    name == "x-forwarded-proto" && value.is_empty()
}

/// The name of a header that may be removed from requests, in lower case.
///
/// # Errors
/// For what is no name, or a header that has to stay.
pub fn removable(name: &str) -> Result<String, ConfigError> {
    let lower = checked(name)?;
    if lower == "x-forwarded-proto" {
        return Err(ConfigError::new("", "expected another header: without it Envoy answers 404"));
    }
    Ok(lower)
}

fn checked(name: &str) -> Result<String, ConfigError> {
    let lower = name.to_ascii_lowercase();
    if !is_header_name(&lower) || lower.starts_with(':') {
        return Err(ConfigError::new("", format!("expected a header name, found {name:?}")));
    }
    if FRAMING.contains(&lower.as_str()) || lower.starts_with("x-sluice-") {
        let why = format!("expected a header that is not the host's or ours, found {name:?}");
        return Err(ConfigError::new("", why));
    }
    Ok(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FixedEnv;
    use crate::matching::{MatchingConfig, Request, World};

    fn edits(json: &str) -> Result<HeaderEdits, ConfigError> {
        HeaderEdits::new(crate::config::parse(json.as_bytes())?, None)
    }

    #[test]
    fn edits_are_made_in_their_order() {
        let edits = edits(
            r#"{"remove": ["A"], "set": [{"name": "B", "value": "${header.b}!"}, {"name": "c", "value": "1"}],
                "add": [{"name": "c", "value": "2"}]}"#,
        )
        .unwrap();
        let mut head = Head::from_fields([("a", "1"), ("b", "2"), ("b", "3")]);
        let env = FixedEnv::default();
        let (world, options) = (World::new(&env, None), MatchingConfig::default());
        let rendered = {
            let request = Request::new(&head, b"/", &options, &world);
            edits.render(&Values { request: &request, captures: None, rule: "", target: "" })
        };
        rendered.write(&mut head);
        let fields: Vec<_> = head.iter().map(|(n, v)| format!("{}={}", n.escape_ascii(), v.escape_ascii())).collect();
        assert_eq!(fields, ["b=2,3!", "c=1", "c=2"]);
        assert_eq!(rendered.describe(), ["remove a", "set b: 2,3!", "set c: 1", "add c: 2"]);
    }

    #[test]
    fn values_that_would_split_a_message_are_dropped_and_counted() {
        let edits = edits(r#"{"set": [{"name": "a", "value": "x${header.b}"}]}"#).unwrap();
        let mut head = Head::from_fields([("b", "1\r\nc: 2")]);
        let env = FixedEnv::default();
        let (world, options) = (World::new(&env, None), MatchingConfig::default());
        let rendered = {
            let request = Request::new(&head, b"/", &options, &world);
            edits.render(&Values { request: &request, captures: None, rule: "", target: "" })
        };
        rendered.write(&mut head);
        assert_eq!((rendered.dropped, head.get("a")), (1, None));
    }

    #[test]
    fn names_and_constants_are_checked() {
        for (json, expected) in [
            (r#"{"set": [{"name": "a b", "value": ""}]}"#, "set[0].name: expected a header name, found \"a b\""),
            (r#"{"add": [{"name": ":path", "value": "/"}]}"#, "add[0].name: expected a header name, found \":path\""),
            (
                r#"{"add": [{"name": "Content-Length", "value": "1"}]}"#,
                "add[0].name: expected a header that is not the host's or ours, found \"Content-Length\"",
            ),
            (
                r#"{"set": [{"name": "x-sluice-cluster", "value": "1"}]}"#,
                "set[0].name: expected a header that is not the host's or ours, found \"x-sluice-cluster\"",
            ),
            (
                r#"{"set": [{"name": "a", "value": "1\r\n"}]}"#,
                "set[0].value: expected text without control characters, found \"1\\r\\n\"",
            ),
            (
                r#"{"remove": ["x-forwarded-proto"]}"#,
                "remove[0]: expected another header: without it Envoy answers 404",
            ),
        ] {
            assert_eq!(edits(json).unwrap_err().to_string(), expected, "{json}");
        }
    }
}
