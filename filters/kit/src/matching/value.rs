//! Conditions on one value: of a header, a query parameter, a cookie, a body field.

use crate::ConfigError;
use crate::pattern::{Pattern, Scope};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// A condition on one value, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ValueMatchConfig {
    /// The whole value.
    Exact(#[cfg_attr(feature = "schema", schemars(length(max = 4096)))] String),
    /// Its beginning.
    Prefix(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096)))] String),
    /// Its end.
    Suffix(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096)))] String),
    /// Any part of it.
    Contains(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096)))] String),
    /// The whole value, as a regular expression of the `regex-lite` crate, up to 1024 characters long. It works on
    /// text of up to 8 KiB: a longer value, or one that is not UTF-8, does not match.
    Regex(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))] String),
    /// A whole decimal number from `start` up to, but without, `end`.
    Range(RangeConfig),
    /// Whether there is a value at all.
    Present(bool),
}

/// A half-open interval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RangeConfig {
    /// First number inside. Numbers beyond 32 bits may be written as text: Envoy hands them over as that.
    #[serde(deserialize_with = "integer_or_text")]
    #[cfg_attr(feature = "schema", schemars(with = "IntegerOrText"))]
    pub start: i64,
    /// First number after it, greater than `start`.
    #[serde(deserialize_with = "integer_or_text")]
    #[cfg_attr(feature = "schema", schemars(with = "IntegerOrText"))]
    pub end: i64,
}

/// What [`integer_or_text`] takes, for the schema.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum IntegerOrText {
    Integer(i64),
    Text(#[schemars(regex(pattern = r"^[+-]?[0-9]+$"))] String),
}

/// A compiled condition on one value.
#[derive(Debug, Clone)]
pub struct ValueMatch {
    kind: Kind,
    ignore_case: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Vec<u8>),
    Regex(Pattern),
    Range(i64, i64),
    Present(bool),
}

/// Longest text of a condition in bytes.
const MAX_TEXT: usize = 4096;

impl ValueMatch {
    /// Checks and compiles. `ignore_case` is about ASCII letters, in patterns too.
    ///
    /// # Errors
    /// For an empty prefix, suffix or part, an empty range, a pattern that does not compile, and `ignore_case` where it
    /// has no meaning.
    pub fn new(config: ValueMatchConfig, ignore_case: bool) -> Result<Self, ConfigError> {
        let short = |at: &str, text: String| {
            if text.len() > MAX_TEXT {
                let why = format!("expected at most {MAX_TEXT} bytes, found {}", text.len());
                return Err(ConfigError::new(at, why));
            }
            Ok(if ignore_case { text.to_ascii_lowercase() } else { text }.into_bytes())
        };
        let filled = |at: &str, text: String| {
            if text.is_empty() {
                return Err(ConfigError::new(at, "expected some text, found none; for any value use \"present\""));
            }
            short(at, text)
        };
        let kind = match config {
            ValueMatchConfig::Exact(text) => Kind::Exact(short("exact", text)?),
            ValueMatchConfig::Prefix(text) => Kind::Prefix(filled("prefix", text)?),
            ValueMatchConfig::Suffix(text) => Kind::Suffix(filled("suffix", text)?),
            ValueMatchConfig::Contains(text) => Kind::Contains(filled("contains", text)?),
            ValueMatchConfig::Regex(pattern) => {
                let pattern = Pattern::new(&pattern, Scope::Whole, ignore_case);
                Kind::Regex(pattern.map_err(|error| error.within("regex"))?)
            }
            ValueMatchConfig::Range(RangeConfig { start, end }) if start < end => Kind::Range(start, end),
            ValueMatchConfig::Range(RangeConfig { start, end }) => {
                return Err(ConfigError::new("range", format!("expected start < end, found {start} and {end}")));
            }
            ValueMatchConfig::Present(present) => Kind::Present(present),
        };
        if ignore_case && matches!(kind, Kind::Range(..) | Kind::Present(_)) {
            let at = if matches!(kind, Kind::Present(_)) { "present" } else { "range" };
            return Err(ConfigError::new(at, "expected a condition on text with \"ignore_case\""));
        }
        Ok(Self { kind, ignore_case })
    }

    /// That there is a value.
    pub fn present() -> Self {
        Self { kind: Kind::Present(true), ignore_case: false }
    }

    /// Whether a value that is there fits.
    pub fn matches(&self, value: &[u8]) -> bool {
        match (&self.kind, self.ignore_case) {
            (Kind::Exact(wanted), false) => value == wanted,
            (Kind::Exact(wanted), true) => value.eq_ignore_ascii_case(wanted),
            (Kind::Prefix(wanted), false) => value.starts_with(wanted),
            (Kind::Prefix(wanted), true) => {
                value.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
            }
            (Kind::Suffix(wanted), false) => value.ends_with(wanted),
            (Kind::Suffix(wanted), true) => {
                let from = value.len().checked_sub(wanted.len());
                from.and_then(|from| value.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(wanted))
            }
            (Kind::Contains(wanted), false) => memchr::memmem::find(value, wanted).is_some(),
            (Kind::Contains(wanted), true) => memchr::memmem::find(&value.to_ascii_lowercase(), wanted).is_some(),
            (Kind::Regex(pattern), _) => pattern.is_match(value),
            (Kind::Range(start, end), _) => integer(value).is_some_and(|number| (*start..*end).contains(&number)),
            (Kind::Present(present), _) => *present,
        }
    }

    /// For a condition on presence alone: which.
    pub fn presence(&self) -> Option<bool> {
        match self.kind {
            Kind::Present(present) => Some(present),
            _ => None,
        }
    }

    /// The one value that fits, if there is only one.
    pub fn exact(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Exact(wanted) if !self.ignore_case => Some(wanted),
            _ => None,
        }
    }

    /// Whether every value that fits `other` fits this too. `false` where it is hard to say.
    pub fn covers(&self, other: &Self) -> bool {
        if self.presence() == Some(true) {
            return other.presence() != Some(false);
        }
        if let Some(value) = other.exact() {
            return self.presence().is_none() && self.matches(value);
        }
        match (&self.kind, &other.kind) {
            (Kind::Range(a, b), Kind::Range(c, d)) => a <= c && d <= b,
            (Kind::Prefix(a), Kind::Prefix(b)) => self.folds(other) && b.starts_with(a),
            (Kind::Suffix(a), Kind::Suffix(b)) => self.folds(other) && b.ends_with(a),
            (Kind::Contains(a), Kind::Contains(b) | Kind::Prefix(b) | Kind::Suffix(b)) => {
                self.folds(other) && memchr::memmem::find(b, a).is_some()
            }
            (Kind::Regex(a), Kind::Regex(b)) => a.text() == b.text() && self.ignore_case == other.ignore_case,
            (Kind::Exact(a), Kind::Exact(b)) => self.folds(other) && a == b,
            (Kind::Present(a), Kind::Present(b)) => a == b,
            _ => false,
        }
    }

    /// Whether no value fits both. `false` where it is hard to say.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self.exact(), other.exact()) {
            (Some(value), _) if other.presence().is_none() => !other.matches(value),
            (_, Some(value)) if self.presence().is_none() => !self.matches(value),
            _ => match (&self.kind, &other.kind) {
                (Kind::Range(a, b), Kind::Range(c, d)) => b <= c || d <= a,
                (Kind::Present(false), Kind::Present(true)) | (Kind::Present(true), Kind::Present(false)) => true,
                (Kind::Present(false), _) | (_, Kind::Present(false)) => {
                    self.presence().is_none() || other.presence().is_none()
                }
                _ => false,
            },
        }
    }

    /// Whether both fold case, or neither, so that their texts compare.
    fn folds(&self, other: &Self) -> bool {
        self.ignore_case == other.ignore_case
    }
}

impl fmt::Display for ValueMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match &self.kind {
            Kind::Exact(text) => write!(f, "= {:?}", shown(text)),
            Kind::Prefix(text) => write!(f, "starts with {:?}", shown(text)),
            Kind::Suffix(text) => write!(f, "ends with {:?}", shown(text)),
            Kind::Contains(text) => write!(f, "contains {:?}", shown(text)),
            Kind::Regex(pattern) => write!(f, "~ /{}/", pattern.text()),
            Kind::Range(start, end) => write!(f, "in [{start}, {end})"),
            Kind::Present(true) => write!(f, "present"),
            Kind::Present(false) => write!(f, "absent"),
        }?;
        if self.ignore_case { write!(f, " (case ignored)") } else { Ok(()) }
    }
}

/// A signed decimal number; nothing else may stand beside it.
fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads a number from a number or from text.
fn integer_or_text<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    struct Reader;
    impl Visitor<'_> for Reader {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number in range")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    source.deserialize_any(Reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(config: &str, ignore_case: bool) -> Result<ValueMatch, ConfigError> {
        ValueMatch::new(crate::config::parse(config.as_bytes())?, ignore_case)
    }

    #[test]
    fn every_operator_with_and_without_case() {
        for (config, ignore_case, good, bad) in [
            (r#"{"exact":"Ab"}"#, false, vec!["Ab"], vec!["ab", "Abc", ""]),
            (r#"{"exact":"Ab"}"#, true, vec!["Ab", "aB"], vec!["abc"]),
            (r#"{"exact":""}"#, false, vec![""], vec!["a"]),
            (r#"{"prefix":"Ab"}"#, false, vec!["Ab", "Abc"], vec!["ab", "xAb", "A"]),
            (r#"{"prefix":"Ab"}"#, true, vec!["aB", "ABC"], vec!["a", "xab"]),
            (r#"{"suffix":"Ab"}"#, false, vec!["Ab", "xAb"], vec!["ab", "Abx"]),
            (r#"{"suffix":"Ab"}"#, true, vec!["xaB", "AB"], vec!["b", "abx"]),
            (r#"{"contains":"Ab"}"#, false, vec!["Ab", "xAbx"], vec!["ab", "A"]),
            (r#"{"contains":"Ab"}"#, true, vec!["xaBx"], vec!["a"]),
            (r#"{"regex":"a+"}"#, false, vec!["a", "aa"], vec!["A", "ab", "aa\n"]),
            (r#"{"regex":"a|b"}"#, true, vec!["A", "b"], vec!["ab"]),
        ] {
            let value = value(config, ignore_case).unwrap();
            good.iter().for_each(|text| assert!(value.matches(text.as_bytes()), "{config} {text}"));
            bad.iter().for_each(|text| assert!(!value.matches(text.as_bytes()), "{config} {text}"));
        }
    }

    #[test]
    fn ranges_are_half_open_and_take_whole_integers() {
        let ten = value(r#"{"range":{"start":-1,"end":10}}"#, false).unwrap();
        for (text, expected) in [
            ("-1", true),
            ("-2", false),
            ("9", true),
            ("10", false),
            ("+5", true),
            ("007", true),
            ("-0", true),
            ("5.0", false),
            ("1e1", false),
            ("0x5", false),
            (" 5", false),
            ("", false),
            ("99999999999999999999", false),
        ] {
            assert_eq!(ten.matches(text.as_bytes()), expected, "{text}");
        }
        let large = value(r#"{"range":{"start":"9007199254740993","end":"9007199254740994"}}"#, false).unwrap();
        assert!(large.matches(b"9007199254740993") && !large.matches(b"9007199254740992"));
        let all = value(r#"{"range":{"start":-9223372036854775808,"end":"9223372036854775807"}}"#, false).unwrap();
        assert!(all.matches(b"-9223372036854775808") && !all.matches(b"9223372036854775807"));
    }

    #[test]
    fn conditions_that_can_never_hold_are_refused() {
        for (config, ignore_case, expected) in [
            (r#"{"range":{"start":5,"end":5}}"#, false, "range: expected start < end, found 5 and 5"),
            (
                r#"{"range":{"start":0,"end":"9223372036854775808"}}"#,
                false,
                "range.end: expected a whole number in range, found string \"9223372036854775808\"",
            ),
            (
                r#"{"range":{"start":0.5,"end":1}}"#,
                false,
                "range.start: expected a whole number in range, found floating point `0.5`",
            ),
            (r#"{"prefix":""}"#, false, "prefix: expected some text, found none; for any value use \"present\""),
            (r#"{"regex":"("}"#, false, "regex: found open group without closing ')'"),
            (r#"{"present":true}"#, true, "present: expected a condition on text with \"ignore_case\""),
        ] {
            assert_eq!(value(config, ignore_case).unwrap_err().to_string(), expected, "{config}");
        }
    }

    #[test]
    fn covering_and_excluding() {
        for (a, b, covers, excludes) in [
            (r#"{"present":true}"#, r#"{"exact":"a"}"#, true, false),
            (r#"{"exact":"a"}"#, r#"{"present":true}"#, false, false),
            (r#"{"exact":"a"}"#, r#"{"exact":"a"}"#, true, false),
            (r#"{"exact":"a"}"#, r#"{"exact":"b"}"#, false, true),
            (r#"{"prefix":"a"}"#, r#"{"exact":"ab"}"#, true, false),
            (r#"{"prefix":"ab"}"#, r#"{"prefix":"a"}"#, false, false),
            (r#"{"regex":"a.*"}"#, r#"{"exact":"ab"}"#, true, false),
            (r#"{"regex":"a.*"}"#, r#"{"exact":"b"}"#, false, true),
            (r#"{"range":{"start":0,"end":9}}"#, r#"{"range":{"start":1,"end":9}}"#, true, false),
            (r#"{"range":{"start":0,"end":9}}"#, r#"{"range":{"start":9,"end":10}}"#, false, true),
            (r#"{"present":false}"#, r#"{"exact":"a"}"#, false, true),
            (r#"{"contains":"a"}"#, r#"{"prefix":"xa"}"#, true, false),
        ] {
            let (left, right) = (value(a, false).unwrap(), value(b, false).unwrap());
            assert_eq!((left.covers(&right), left.excludes(&right)), (covers, excludes), "{a} {b}");
        }
    }
}
