//! Conditions on the path.

use crate::ConfigError;
use serde::Deserialize;

/// A condition on the path without its query, as configured. Bytes compare as they are: no decoding, with case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum PathMatchConfig {
    /// The whole path.
    Exact(String),
    /// Whole segments: `/foo` takes `/foo`, `/foo/` and `/foo/bar`, not `/foobar`. A slash at the end is ignored.
    Prefix(String),
    /// Text: `/foo` takes `/foobar` too (App Mesh, Envoy's `prefix`).
    StringPrefix(String),
}

/// A compiled condition on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// The whole path.
    Exact(Vec<u8>),
    /// Whole segments; without a slash at the end, so `/` is empty.
    Prefix(Vec<u8>),
    /// Text.
    StringPrefix(Vec<u8>),
}

impl PathMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// For a path without leading slash, with a query, a fragment, blanks or control characters.
    pub fn new(config: PathMatchConfig) -> Result<Self, ConfigError> {
        match config {
            PathMatchConfig::Exact(path) => check(path, "exact").map(Self::Exact),
            PathMatchConfig::StringPrefix(path) => check(path, "string_prefix").map(Self::StringPrefix),
            PathMatchConfig::Prefix(path) => check(path, "prefix").map(|mut path| {
                if path.ends_with(b"/") {
                    path.pop();
                }
                Self::Prefix(path)
            }),
        }
    }

    /// Whether a path without query fits.
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => path == wanted,
            _ => self.remainder(path).is_some(),
        }
    }

    /// What follows the matched part: for `/foo` and `/foo/bar` it is `/bar`. `None` if the path does not fit.
    pub fn remainder<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Exact(wanted) => (path == wanted).then_some(&[]),
            // not `*`, and not the absent path of CONNECT
            _ if !path.starts_with(b"/") => None,
            Self::Prefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_slice())?;
                matches!(rest.first(), None | Some(b'/')).then_some(rest)
            }
            Self::StringPrefix(prefix) => path.strip_prefix(prefix.as_slice()),
        }
    }
}

fn check(path: String, at: &str) -> Result<Vec<u8>, ConfigError> {
    if path.starts_with('/') && path.bytes().all(|b| b > 0x20 && b != 0x7f && b != b'?' && b != b'#') {
        return Ok(path.into_bytes());
    }
    Err(ConfigError::new(
        at,
        format!("expected a path that starts with \"/\", without query or blanks, found {path:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_take_whole_segments_and_string_prefixes_take_text() {
        let exact = PathMatch::new(PathMatchConfig::Exact("/foo".into())).unwrap();
        let prefix = PathMatch::new(PathMatchConfig::Prefix("/foo/".into())).unwrap();
        let string = PathMatch::new(PathMatchConfig::StringPrefix("/foo".into())).unwrap();
        let slash = PathMatch::new(PathMatchConfig::StringPrefix("/foo/".into())).unwrap();
        let all = PathMatch::new(PathMatchConfig::Prefix("/".into())).unwrap();
        for (path, expected) in [
            ("/foo", [true, true, true, false, true]),
            ("/foo/", [false, true, true, true, true]),
            ("/foo/bar", [false, true, true, true, true]),
            ("/foobar", [false, false, true, false, true]),
            ("/Foo", [false, false, false, false, true]),
            ("/%66oo", [false, false, false, false, true]),
            ("//foo", [false, false, false, false, true]),
            ("*", [false, false, false, false, false]),
            ("", [false, false, false, false, false]),
        ] {
            let found = [&exact, &prefix, &string, &slash, &all].map(|m| m.matches(path.as_bytes()));
            assert_eq!(found, expected, "{path}");
        }
        assert!(all.matches(b"/\xff\xfe"));
    }

    #[test]
    fn paths_that_can_never_match_are_refused() {
        for path in ["", "foo", "/a?b", "/a#b", "/a b", "/a\n"] {
            assert!(PathMatch::new(PathMatchConfig::Prefix(path.into())).is_err(), "{path:?}");
        }
    }
}
