//! Conditions on something that has a name: headers, query parameters, cookies.

use super::value::{ValueMatch, ValueMatchConfig};
use crate::ConfigError;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// A condition on a header, query parameter or cookie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct NamedMatchConfig {
    /// Header names compare without case, names of parameters and cookies with case.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 256)))]
    pub name: String,
    /// What the value has to be; absent, any value will do (it is present).
    pub r#match: Option<ValueMatchConfig>,
    /// Turns the condition round. A value condition never holds for something absent, inverted or not; `invert` without
    /// `match` means absent.
    #[serde(default)]
    pub invert: bool,
    /// Compares ASCII letters without case.
    #[serde(default)]
    pub ignore_case: bool,
    /// Takes something absent for an empty value: with `invert`, "not this, or absent".
    #[serde(default)]
    pub treat_missing_as_empty: bool,
}

/// A compiled condition on something that has a name.
#[derive(Debug, Clone)]
pub struct NamedMatch {
    /// As configured.
    pub name: String,
    /// The condition on its value.
    pub value: ValueMatch,
    /// Turned round.
    pub invert: bool,
    /// Absent counts as empty.
    pub missing_is_empty: bool,
}

/// What several values of one name are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Repeated {
    /// Each for itself: one has to fit; inverted, none may.
    #[default]
    Each,
    /// One value, joined with `,` (Envoy before 1.39, App Mesh).
    Joined,
    /// The first counts.
    First,
}

impl NamedMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path relative to the configuration.
    pub fn new(config: NamedMatchConfig) -> Result<Self, ConfigError> {
        let value = match config.r#match {
            None if config.ignore_case => {
                return Err(ConfigError::new("ignore_case", "expected it together with a condition on text"));
            }
            None => ValueMatch::present(),
            Some(value) => ValueMatch::new(value, config.ignore_case).map_err(|error| error.within("match"))?,
        };
        if config.treat_missing_as_empty && value.presence().is_some() {
            let why = "expected it together with a condition on a value, not on presence";
            return Err(ConfigError::new("treat_missing_as_empty", why));
        }
        Ok(Self { name: config.name, value, invert: config.invert, missing_is_empty: config.treat_missing_as_empty })
    }

    /// Whether the values of this name fit, in the order of the message.
    pub fn matches<'a>(&self, values: impl Iterator<Item = &'a [u8]>, repeated: Repeated) -> bool {
        let mut values = values.peekable();
        let present = values.peek().is_some();
        if let Some(wanted) = self.presence() {
            return present == wanted;
        }
        if !present {
            return self.missing_is_empty && self.value.matches(b"") != self.invert;
        }
        let fits = match repeated {
            Repeated::Each => values.any(|value| self.value.matches(value)),
            Repeated::First => values.next().is_some_and(|value| self.value.matches(value)),
            Repeated::Joined => self.value.matches(&joined(values)),
        };
        fits != self.invert
    }

    /// The one value that fits, for a plain comparison.
    pub fn exact(&self) -> Option<&[u8]> {
        self.value.exact().filter(|value| !(self.invert || self.missing_is_empty && value.is_empty()))
    }

    /// Whether this holds wherever `other`, of the same name, does. `false` where it is hard to say.
    pub fn covers(&self, other: &Self) -> bool {
        match (self.presence(), other.presence()) {
            (Some(true), Some(true)) | (Some(false), Some(false)) => true,
            // every value condition needs a value
            (Some(true), None) => !other.missing_is_empty,
            (Some(_), _) | (None, Some(_)) => false,
            (None, None) if self.missing_is_empty != other.missing_is_empty || self.invert != other.invert => false,
            (None, None) if self.invert => other.value.covers(&self.value),
            (None, None) => self.value.covers(&other.value),
        }
    }

    /// Whether this and `other`, of the same name, never hold together, given single values. `false` where it is hard
    /// to say.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self.presence(), other.presence()) {
            (Some(one), Some(other)) => one != other,
            (Some(false), None) => !other.missing_is_empty,
            (None, Some(false)) => !self.missing_is_empty,
            (Some(true), None) | (None, Some(true)) => false,
            (None, None) => match (self.invert, other.invert) {
                (false, false) => self.value.excludes(&other.value),
                (true, false) => self.value.covers(&other.value),
                (false, true) => other.value.covers(&self.value),
                (true, true) => false,
            },
        }
    }

    /// For a condition on presence alone: whether it wants a value.
    fn presence(&self) -> Option<bool> {
        self.value.presence().map(|present| present != self.invert)
    }
}

/// Joins values as Envoy before 1.39 did.
pub fn joined<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Cow<'a, [u8]> {
    let mut whole = Cow::Borrowed(values.next().unwrap_or_default());
    for value in values {
        let whole = whole.to_mut();
        whole.push(b',');
        whole.extend_from_slice(value);
    }
    whole
}

impl fmt::Display for NamedMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.presence(), self.invert) {
            (Some(true), _) => write!(f, "{} present", self.name),
            (Some(false), _) => write!(f, "{} absent", self.name),
            (None, false) => write!(f, "{} {}", self.name, self.value),
            (None, true) => write!(f, "{} not {}", self.name, self.value),
        }?;
        if self.missing_is_empty { write!(f, " (absent is empty)") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(config: &str) -> NamedMatch {
        NamedMatch::new(crate::config::parse(config.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn absent_empty_and_repeated_values() {
        let exact = named(r#"{"name":"x","match":{"exact":"2"}}"#);
        let not = named(r#"{"name":"x","match":{"exact":"2"},"invert":true}"#);
        let not_or_absent = named(r#"{"name":"x","match":{"exact":"2"},"invert":true,"treat_missing_as_empty":true}"#);
        let present = named(r#"{"name":"x"}"#);
        let absent = named(r#"{"name":"x","invert":true}"#);
        let absent_too = named(r#"{"name":"x","match":{"present":false}}"#);
        let both = named(r#"{"name":"x","match":{"exact":"1,2"}}"#);
        let all = [&exact, &not, &not_or_absent, &present, &absent, &absent_too, &both];
        for (values, repeated, expected) in [
            (&[][..], Repeated::Each, [false, false, true, false, true, true, false]),
            (&[""], Repeated::Each, [false, true, true, true, false, false, false]),
            (&["2"], Repeated::Each, [true, false, false, true, false, false, false]),
            (&["1", "2"], Repeated::Each, [true, false, false, true, false, false, false]),
            (&["1", "2"], Repeated::First, [false, true, true, true, false, false, false]),
            (&["1", "2"], Repeated::Joined, [false, true, true, true, false, false, true]),
            (&["1,2"], Repeated::Each, [false, true, true, true, false, false, true]),
        ] {
            let found = all.map(|m| m.matches(values.iter().map(|v| v.as_bytes()), repeated));
            assert_eq!(found, expected, "{values:?} {repeated:?}");
        }
    }

    #[test]
    fn options_without_meaning_are_refused() {
        for config in [
            r#"{"name":"x","ignore_case":true}"#,
            r#"{"name":"x","treat_missing_as_empty":true}"#,
            r#"{"name":"x","match":{"present":true},"treat_missing_as_empty":true}"#,
        ] {
            assert!(NamedMatch::new(crate::config::parse(config.as_bytes()).unwrap()).is_err(), "{config}");
        }
    }

    #[test]
    fn covering_and_excluding() {
        let one = named(r#"{"name":"x","match":{"exact":"1"}}"#);
        let two = named(r#"{"name":"x","match":{"exact":"2"}}"#);
        let not = named(r#"{"name":"x","match":{"exact":"1"},"invert":true}"#);
        let present = named(r#"{"name":"x"}"#);
        let absent = named(r#"{"name":"x","invert":true}"#);
        assert!(present.covers(&one) && present.covers(&not) && one.covers(&one) && !one.covers(&present));
        assert!(!present.covers(&absent) && absent.covers(&absent) && not.covers(&not) && !not.covers(&two));
        assert!(!not.covers(&absent));
        assert!(one.excludes(&two) && absent.excludes(&one) && one.excludes(&absent) && one.excludes(&not));
        assert!(!two.excludes(&not) && !present.excludes(&not));
    }
}
