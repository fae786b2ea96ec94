//! Conditions on the path.

use crate::ConfigError;
use crate::pattern::{Captures, Pattern, Scope};
use serde::Deserialize;
use std::fmt;

/// A condition on the path without its query, as configured. Bytes compare as they are, unless the filter's `matching`
/// options say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum PathMatchConfig {
    /// The whole path.
    Exact(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^/[^?#\s]*$"), length(max = 4096)))] String),
    /// Whole segments: `/foo` takes `/foo`, `/foo/` and `/foo/bar`, not `/foobar`. A slash at the end is ignored.
    Prefix(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^/[^?#\s]*$"), length(max = 4096)))] String),
    /// Text: `/foo` takes `/foobar` too (App Mesh, Envoy's `prefix`).
    StringPrefix(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^/[^?#\s]*$"), length(max = 4096)))] String),
    /// The whole path, as a regular expression of up to 1024 characters. Paths beyond 8 KiB, or that are not UTF-8, do
    /// not match.
    Regex(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))] String),
    /// The beginning of the path, as a regular expression (ingress-nginx's `use-regex`).
    RegexPrefix(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))] String),
}

/// A compiled condition on the path.
#[derive(Debug, Clone)]
pub struct PathMatch {
    /// What has to fit.
    pub kind: PathKind,
    /// ASCII letters compare without case.
    pub ignore_case: bool,
}

/// How a path is matched. Texts are lower case if case is ignored.
#[derive(Debug, Clone)]
pub enum PathKind {
    /// The whole path.
    Exact(Vec<u8>),
    /// Whole segments; without a slash at the end, so `/` is empty.
    Prefix(Vec<u8>),
    /// Text.
    StringPrefix(Vec<u8>),
    /// A pattern for the whole path.
    Regex(Pattern),
    /// A pattern for the beginning.
    RegexPrefix(Pattern),
}

impl PathMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// For a path without leading slash, with a query, a fragment, blanks or control characters; for bad patterns.
    pub fn new(config: PathMatchConfig, ignore_case: bool) -> Result<Self, ConfigError> {
        let text = |path, at| {
            check(path, at).map(|path: String| if ignore_case { path.to_ascii_lowercase() } else { path }.into_bytes())
        };
        let pattern =
            |pattern: String, scope, at| Pattern::new(&pattern, scope, ignore_case).map_err(|error| error.within(at));
        let kind = match config {
            PathMatchConfig::Exact(path) => PathKind::Exact(text(path, "exact")?),
            PathMatchConfig::StringPrefix(path) => PathKind::StringPrefix(text(path, "string_prefix")?),
            PathMatchConfig::Prefix(path) => {
                let mut path = text(path, "prefix")?;
                if path.ends_with(b"/") {
                    path.pop();
                }
                PathKind::Prefix(path)
            }
            PathMatchConfig::Regex(regex) => PathKind::Regex(pattern(regex, Scope::Whole, "regex")?),
            PathMatchConfig::RegexPrefix(regex) => PathKind::RegexPrefix(pattern(regex, Scope::Start, "regex_prefix")?),
        };
        Ok(Self { kind, ignore_case })
    }

    /// Whether a path without query fits.
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.kind {
            PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern) => pattern.is_match(path),
            _ => self.remainder(path).is_some(),
        }
    }

    /// What follows the part that a text matched: for `/foo` and `/foo/bar` it is `/bar`. `None` if the path does not
    /// fit, and for patterns.
    pub fn remainder<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match &self.kind {
            PathKind::Exact(wanted) => self.same(path, wanted).then_some(&[]),
            // not `*`, and not the absent path of CONNECT
            _ if !path.starts_with(b"/") => None,
            PathKind::Prefix(prefix) => {
                let rest = self.strip(path, prefix)?;
                matches!(rest.first(), None | Some(b'/')).then_some(rest)
            }
            PathKind::StringPrefix(prefix) => self.strip(path, prefix),
            PathKind::Regex(_) | PathKind::RegexPrefix(_) => None,
        }
    }

    /// The groups of a pattern in a path that fits it.
    pub fn captures(&self, path: &[u8]) -> Option<Captures> {
        self.pattern()?.captures(path)
    }

    /// The pattern, if it is one.
    pub fn pattern(&self) -> Option<&Pattern> {
        match &self.kind {
            PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern) => Some(pattern),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&[u8]> {
        match &self.kind {
            PathKind::Exact(text) | PathKind::Prefix(text) | PathKind::StringPrefix(text) => Some(text),
            _ => None,
        }
    }

    /// Whether every path that fits `other` fits this. `false` where it is hard to say.
    pub fn covers(&self, other: &Self) -> bool {
        let folds = self.ignore_case || !other.ignore_case;
        match (&self.kind, &other.kind) {
            (PathKind::Regex(a), PathKind::Regex(b)) | (PathKind::RegexPrefix(a), PathKind::RegexPrefix(b)) => {
                a.text() == b.text() && self.ignore_case == other.ignore_case
            }
            (_, PathKind::Exact(path)) => folds && self.matches(path),
            (PathKind::StringPrefix(prefix), PathKind::Prefix(path)) => {
                // `/foo/` takes `/foo/bar` but not `/foo`, which the segment prefix takes as well
                folds && (self.strip(path, prefix).is_some() || prefix == b"/")
            }
            (PathKind::StringPrefix(prefix), PathKind::StringPrefix(path)) => {
                folds && self.strip(path, prefix).is_some()
            }
            (PathKind::Prefix(_), PathKind::Prefix(path)) => {
                folds && (self.remainder(path).is_some() || matches!(&self.kind, PathKind::Prefix(p) if p.is_empty()))
            }
            (PathKind::Prefix(prefix), PathKind::StringPrefix(path)) => {
                folds && self.strip(path, prefix).is_some_and(|rest| prefix.is_empty() || rest.starts_with(b"/"))
            }
            (PathKind::Prefix(p), PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern)) => {
                p.is_empty() && pattern.literal_prefix().starts_with('/')
            }
            (PathKind::StringPrefix(p), PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern)) => {
                p == b"/" && pattern.literal_prefix().starts_with('/')
            }
            _ => false,
        }
    }

    /// Whether some path fits both; `true` where it is hard to say.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (PathKind::Exact(path), _) if !self.ignore_case => other.matches(path),
            (_, PathKind::Exact(path)) if !other.ignore_case => self.matches(path),
            _ => match (self.text(), other.text()) {
                (Some(a), Some(b)) => {
                    let len = a.len().min(b.len());
                    a.get(..len).zip(b.get(..len)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
                }
                _ => true,
            },
        }
    }

    fn same(&self, path: &[u8], wanted: &[u8]) -> bool {
        if self.ignore_case { path.eq_ignore_ascii_case(wanted) } else { path == wanted }
    }

    fn strip<'a>(&self, path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
        let (start, rest) = path.split_at_checked(prefix.len())?;
        self.same(start, prefix).then_some(rest)
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &[u8]| if text.is_empty() { "/".into() } else { String::from_utf8_lossy(text).into_owned() };
        match &self.kind {
            PathKind::Exact(text) => write!(f, "path = {}", shown(text)),
            PathKind::Prefix(text) => write!(f, "path prefix {}", shown(text)),
            PathKind::StringPrefix(text) => write!(f, "path string prefix {}", shown(text)),
            PathKind::Regex(pattern) => write!(f, "path ~ /{}/", pattern.text()),
            PathKind::RegexPrefix(pattern) => write!(f, "path starts with ~ /{}/", pattern.text()),
        }?;
        if self.ignore_case { write!(f, " (case ignored)") } else { Ok(()) }
    }
}

fn check(path: String, at: &str) -> Result<String, ConfigError> {
    let good = path.bytes().all(|b| b > 0x20 && b != 0x7f && b != b'?' && b != b'#');
    if path.starts_with('/') && good && path.len() <= 4096 {
        return Ok(path);
    }
    Err(ConfigError::new(
        at,
        format!("expected a path that starts with \"/\", without query or blanks, found {path:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(config: PathMatchConfig) -> PathMatch {
        PathMatch::new(config, false).unwrap()
    }

    #[test]
    fn prefixes_take_whole_segments_and_string_prefixes_take_text() {
        let exact = path(PathMatchConfig::Exact("/foo".into()));
        let prefix = path(PathMatchConfig::Prefix("/foo/".into()));
        let string = path(PathMatchConfig::StringPrefix("/foo".into()));
        let slash = path(PathMatchConfig::StringPrefix("/foo/".into()));
        let all = path(PathMatchConfig::Prefix("/".into()));
        let regex = path(PathMatchConfig::Regex("/fo+|/bar".into()));
        let start = path(PathMatchConfig::RegexPrefix("/fo+|/bar".into()));
        let folded = PathMatch::new(PathMatchConfig::Prefix("/Foo".into()), true).unwrap();
        for (path, expected) in [
            ("/foo", [true, true, true, false, true, true, true, true]),
            ("/foo/", [false, true, true, true, true, false, true, true]),
            ("/foo/bar", [false, true, true, true, true, false, true, true]),
            ("/foobar", [false, false, true, false, true, false, true, false]),
            ("/Foo", [false, false, false, false, true, false, false, true]),
            ("/%66oo", [false, false, false, false, true, false, false, false]),
            ("//foo", [false, false, false, false, true, false, false, false]),
            ("*", [false; 8]),
            ("", [false; 8]),
        ] {
            let all = [&exact, &prefix, &string, &slash, &all, &regex, &start, &folded];
            assert_eq!(all.map(|m| m.matches(path.as_bytes())), expected, "{path}");
        }
        assert!(all.matches(b"/\xff\xfe"));
    }

    #[test]
    fn paths_that_can_never_match_are_refused() {
        for path in ["", "foo", "/a?b", "/a#b", "/a b", "/a\n"] {
            assert!(PathMatch::new(PathMatchConfig::Prefix(path.into()), false).is_err(), "{path:?}");
        }
    }

    #[test]
    fn covering() {
        use PathMatchConfig::{Exact, Prefix, Regex, StringPrefix};
        for (a, b, expected) in [
            (Prefix("/".into()), Exact("/a".into()), true),
            (Prefix("/".into()), Prefix("/a".into()), true),
            (Prefix("/".into()), Prefix("/".into()), true),
            (Prefix("/a".into()), Prefix("/a/b".into()), true),
            (Prefix("/a".into()), Prefix("/ab".into()), false),
            (Prefix("/a".into()), StringPrefix("/a".into()), false),
            (Prefix("/a".into()), StringPrefix("/a/".into()), true),
            (Prefix("/".into()), StringPrefix("/a".into()), true),
            (StringPrefix("/a".into()), Prefix("/a".into()), true),
            (StringPrefix("/a/".into()), Prefix("/a".into()), false),
            (StringPrefix("/".into()), Prefix("/".into()), true),
            (Regex("/a.*".into()), Exact("/ab".into()), true),
            (Prefix("/".into()), Regex("/a.*".into()), true),
            (Exact("/a".into()), Prefix("/a".into()), false),
        ] {
            assert_eq!(path(a.clone()).covers(&path(b.clone())), expected, "{a:?} {b:?}");
        }
    }
}
