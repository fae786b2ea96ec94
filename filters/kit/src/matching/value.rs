//! Conditions on a header's or query parameter's value.

use crate::ConfigError;
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// A condition on one value, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ValueMatchConfig {
    /// The whole value.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// The whole value, as a regular expression of the `regex-lite` crate, up to 1024 characters long. It works on
    /// text: a value that is not UTF-8 does not match.
    Regex(String),
    /// A whole decimal number from `start` up to, but without, `end`.
    Range(RangeConfig),
    /// Whether there is a value at all.
    Present(bool),
}

/// A half-open interval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RangeConfig {
    /// First number inside.
    pub start: i64,
    /// First number after it, greater than `start`.
    pub end: i64,
}

/// A compiled condition on one value.
#[derive(Debug, Clone)]
pub enum ValueMatch {
    /// The whole value.
    Exact(Vec<u8>),
    /// Its beginning.
    Prefix(Vec<u8>),
    /// Its end.
    Suffix(Vec<u8>),
    /// The whole value, anchored.
    Regex(Regex),
    /// A number from the first up to, but without, the second.
    Range(i64, i64),
    /// Whether there is a value; the caller knows.
    Present(bool),
}

/// Longest pattern in characters, and most memory of a compiled one in bytes.
const MAX_PATTERN: usize = 1024;
const MAX_PROGRAM: usize = 64 * 1024;

impl ValueMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// For an empty prefix or suffix, an empty range, and patterns that do not compile.
    pub fn new(config: ValueMatchConfig) -> Result<Self, ConfigError> {
        let filled = |at: &str, text: String| {
            if text.is_empty() {
                return Err(ConfigError::new(at, "expected some text, found none; for any value use \"present\""));
            }
            Ok(text.into_bytes())
        };
        match config {
            ValueMatchConfig::Exact(text) => Ok(Self::Exact(text.into_bytes())),
            ValueMatchConfig::Prefix(text) => filled("prefix", text).map(Self::Prefix),
            ValueMatchConfig::Suffix(text) => filled("suffix", text).map(Self::Suffix),
            ValueMatchConfig::Regex(pattern) => whole(&pattern).map(Self::Regex),
            ValueMatchConfig::Range(RangeConfig { start, end }) if start < end => Ok(Self::Range(start, end)),
            ValueMatchConfig::Range(RangeConfig { start, end }) => {
                Err(ConfigError::new("range", format!("expected start < end, found {start} and {end}")))
            }
            ValueMatchConfig::Present(present) => Ok(Self::Present(present)),
        }
    }

    /// Whether a value that is there fits.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => value == wanted,
            Self::Prefix(wanted) => value.starts_with(wanted),
            Self::Suffix(wanted) => value.ends_with(wanted),
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
            Self::Range(start, end) => integer(value).is_some_and(|number| (*start..*end).contains(&number)),
            Self::Present(present) => *present,
        }
    }
}

/// A signed decimal number; nothing else may stand beside it.
fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Compiles a pattern for whole values.
fn whole(pattern: &str) -> Result<Regex, ConfigError> {
    let length = pattern.chars().count();
    if length > MAX_PATTERN {
        let why = format!("expected at most {MAX_PATTERN} characters, found {length}");
        return Err(ConfigError::new("regex", why));
    }
    let compile = |pattern: &str| {
        let compiled = RegexBuilder::new(pattern).size_limit(MAX_PROGRAM).build();
        compiled.map_err(|error| ConfigError::new("regex", error.to_string()))
    };
    // alone first: its own errors read better, and a `)` too many cannot escape the group
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Result<ValueMatch, ConfigError> {
        ValueMatch::new(ValueMatchConfig::Regex(pattern.into()))
    }

    #[test]
    fn regexes_take_whole_values_and_no_raw_bytes() {
        let either = regex("foo|bar").unwrap();
        for (value, expected) in [("foo", true), ("bar", true), ("foobar", false), ("foo\n", false), ("", false)] {
            assert_eq!(either.matches(value.as_bytes()), expected, "{value}");
        }
        assert!(!regex(".*").unwrap().matches(b"\xff"));
    }

    #[test]
    fn bad_patterns_say_why() {
        for (pattern, expected) in [
            ("(", "regex: found open group without closing ')'"),
            (")|(", "regex: found closing ')' without matching '('"),
            ("(?=a)", "regex: look-around is not supported"),
        ] {
            assert_eq!(regex(pattern).unwrap_err().to_string(), expected);
        }
        assert!(regex(&"a".repeat(1025)).unwrap_err().to_string().contains("at most 1024"));
        assert!(regex("(?:a{1000}){1000}").is_err());
    }

    #[test]
    fn ranges_are_half_open_and_take_whole_integers() {
        let range = |start, end| ValueMatch::new(ValueMatchConfig::Range(RangeConfig { start, end }));
        let ten = range(-1, 10).unwrap();
        for (value, expected) in [
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
            assert_eq!(ten.matches(value.as_bytes()), expected, "{value}");
        }
        let large = range(9_007_199_254_740_993, 9_007_199_254_740_994).unwrap();
        assert!(large.matches(b"9007199254740993") && !large.matches(b"9007199254740992"));
        assert!(range(5, 5).is_err() && range(6, 5).is_err());
    }
}
