//! Rewriting paths and hosts without losing the query.

use crate::matching::{PathMatch, RequestMatch, split_query};
use crate::{ConfigError, Head, InvalidHeader, head};
use serde::Deserialize;

/// What becomes of path and host, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RewriteConfig {
    /// Replaces the part that the rule's `path.prefix` or `path.string_prefix` matched; the rest meets it in exactly
    /// one slash. Empty means `/`.
    pub prefix: Option<String>,
    /// Replaces the whole path.
    pub path: Option<String>,
    /// Replaces the host, port included.
    pub host: Option<String>,
}

/// A compiled rewrite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    path: Option<PathRewrite>,
    host: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathRewrite {
    /// The replacement, without a slash at its end.
    Prefix(Vec<u8>),
    Whole(Vec<u8>),
}

/// What a rewrite did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The path changed.
    pub path: bool,
    /// The host changed.
    pub host: bool,
}

impl Rewrite {
    /// Checks and compiles a rewrite for the requests that `matched` takes.
    ///
    /// # Errors
    /// With a path relative to the configuration.
    pub fn new(config: RewriteConfig, matched: &RequestMatch) -> Result<Self, ConfigError> {
        let path = match (config.prefix, config.path) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("path", "expected either \"prefix\" or \"path\", found both"));
            }
            (Some(prefix), None) => {
                if !matches!(matched.path(), Some(PathMatch::Prefix(_) | PathMatch::StringPrefix(_))) {
                    let why = "expected a rule that matches \"path.prefix\" or \"path.string_prefix\"";
                    return Err(ConfigError::new("prefix", why));
                }
                let mut prefix = if prefix.is_empty() { Vec::new() } else { absolute(prefix, "prefix")? };
                while prefix.ends_with(b"/") && prefix.len() > 1 {
                    prefix.pop();
                }
                Some(PathRewrite::Prefix(prefix))
            }
            (None, Some(path)) => Some(PathRewrite::Whole(absolute(path, "path")?)),
            (None, None) => None,
        };
        let host = config.host.map(host).transpose()?;
        Ok(Self { path, host })
    }

    /// Whether there is anything to do.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.host.is_none()
    }

    /// Rewrites a head that `matched` took.
    ///
    /// # Errors
    /// If the client's part of the path cannot be written again; the head is unchanged then.
    pub fn apply(&self, head: &mut Head, matched: &RequestMatch) -> Result<Rewritten, InvalidHeader> {
        let mut done = Rewritten::default();
        if let Some(path) = &self.path
            && let Some(target) = path.target(head.path(), matched.path())?
        {
            done.path = target != head.path();
            head.set(":path", &target)?;
        }
        if let Some(host) = &self.host {
            done.host = host != head.authority();
            head.set(":authority", host)?;
        }
        Ok(done)
    }
}

impl PathRewrite {
    /// The new request target, or `None` to leave a target alone that is no absolute path (`OPTIONS *`, `CONNECT`).
    fn target(&self, target: &[u8], matched: Option<&PathMatch>) -> Result<Option<Vec<u8>>, InvalidHeader> {
        if !target.starts_with(b"/") {
            return Ok(None);
        }
        let (path, query) = split_query(target);
        let mut new = Vec::with_capacity(target.len() + 64);
        match self {
            Self::Whole(whole) => new.extend_from_slice(whole),
            Self::Prefix(prefix) => {
                let Some(rest) = matched.and_then(|matched| matched.remainder(path)) else { return Ok(None) };
                if matches!(matched, Some(PathMatch::StringPrefix(_))) && starts_with_dots(rest) {
                    return Err(InvalidHeader::Value);
                }
                join(&mut new, prefix, rest);
            }
        }
        if let Some(query) = query {
            new.push(b'?');
            new.extend_from_slice(query);
        }
        Ok(Some(new))
    }
}

/// Whether the first segment is `.` or `..`, encoded or with parameters. A text prefix can end within a segment: of
/// `/foo../admin` it would leave a step up that was none before, after a host has normalized the path.
fn starts_with_dots(rest: &[u8]) -> bool {
    let segment = rest.split(|b| matches!(b, b'/' | b'\\' | b';')).next().unwrap_or_default();
    let text = String::from_utf8_lossy(segment).to_ascii_lowercase().replace("%2e", ".");
    matches!(text.as_str(), "." | "..")
}

/// Lets two parts of a path meet in exactly one slash; `//x` at the beginning could be read as a host. Where nothing
/// remains, nothing is added, but a path is never empty.
fn join(new: &mut Vec<u8>, prefix: &[u8], rest: &[u8]) {
    if prefix != b"/" {
        new.extend_from_slice(prefix);
    }
    let slashes = rest.iter().take_while(|b| **b == b'/').count();
    let rest_from = rest.get(slashes..).unwrap_or_default();
    if new.is_empty() || !rest.is_empty() {
        new.push(b'/');
    }
    new.extend_from_slice(rest_from);
}

fn absolute(path: String, at: &str) -> Result<Vec<u8>, ConfigError> {
    let good = path.bytes().all(|b| b > 0x20 && b < 0x7f && b != b'?' && b != b'#');
    if good && path.starts_with('/') && !path.starts_with("//") {
        return Ok(path.into_bytes());
    }
    let why = "expected a path of visible ASCII that starts with one \"/\", without query or fragment";
    Err(ConfigError::new(at, format!("{why}, found {path:?}")))
}

fn host(host: String) -> Result<Vec<u8>, ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !host.is_empty() && host.bytes().all(good) && head::is_header_value(host.as_bytes()) {
        return Ok(host.into_bytes());
    }
    Err(ConfigError::new("host", format!("expected a host, with a port if needed, found {host:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{PathMatchConfig, RequestMatchConfig};
    use proptest::prelude::*;

    fn rule(path: PathMatchConfig, rewrite: RewriteConfig) -> Result<(RequestMatch, Rewrite), ConfigError> {
        let matched = RequestMatch::new(RequestMatchConfig { path: Some(path), ..RequestMatchConfig::default() })?;
        let rewrite = Rewrite::new(rewrite, &matched)?;
        Ok((matched, rewrite))
    }

    fn prefix(from: PathMatchConfig, to: &str, path: &str) -> String {
        let config = RewriteConfig { prefix: Some(to.into()), ..RewriteConfig::default() };
        let (matched, rewrite) = rule(from, config).unwrap();
        let mut head = Head::from_fields([(":path", path)]);
        rewrite.apply(&mut head, &matched).unwrap();
        String::from_utf8(head.path().to_vec()).unwrap()
    }

    #[test]
    fn the_gateway_api_table_of_prefix_replacements() {
        for (path, from, to, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo/bar", "/foo", "/", "/bar"),
            // and what it does not say
            ("/foo//bar", "/foo", "/", "/bar"),
            ("/foo//", "/foo", "/", "/"),
            ("/foo", "/", "/xyz", "/xyz/foo"),
            ("/", "/", "/xyz", "/xyz/"),
            ("/foo?a=/foo&b", "/foo", "/", "/?a=/foo&b"),
            ("/foo/a%2Fb?x=1%2F2?&", "/foo", "/q", "/q/a%2Fb?x=1%2F2?&"),
            ("/foo?", "/foo", "/q", "/q?"),
        ] {
            assert_eq!(prefix(PathMatchConfig::Prefix(from.into()), to, path), expected, "{path} {from} -> {to}");
        }
    }

    #[test]
    fn the_app_mesh_table_of_string_prefixes() {
        for (path, from, to, expected) in [
            ("/products/items", "/products", "/", "/items"),
            ("/products", "/products", "/", "/"),
            ("/products/", "/products/", "/", "/"),
            ("/chapter1", "/chapter", "/", "/1"),
            ("/foobar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ] {
            assert_eq!(prefix(PathMatchConfig::StringPrefix(from.into()), to, path), expected, "{path} {from} -> {to}");
        }
    }

    #[test]
    fn a_text_prefix_leaves_no_step_up_behind() {
        for rest in ["../admin", "..", ".", "./x", "%2e%2E/x", ".%2e", "..;a=1/x", "..\\x", "..?q"] {
            let config = RewriteConfig { prefix: Some("/x/".into()), ..RewriteConfig::default() };
            let (matched, rewrite) = rule(PathMatchConfig::StringPrefix("/foo".into()), config).unwrap();
            let mut head = Head::from_fields([(":path", format!("/foo{rest}"))]);
            assert_eq!(rewrite.apply(&mut head, &matched), Err(InvalidHeader::Value), "{rest}");
            assert_eq!(head.edits().count(), 0);
        }
        assert_eq!(prefix(PathMatchConfig::StringPrefix("/foo".into()), "/", "/foo...x"), "/...x");
        assert_eq!(prefix(PathMatchConfig::Prefix("/foo".into()), "/", "/foo/..x"), "/..x");
    }

    #[test]
    fn whole_path_and_host() {
        let config = RewriteConfig { path: Some("/new".into()), host: Some("b:81".into()), prefix: None };
        let (matched, rewrite) = rule(PathMatchConfig::Exact("/old".into()), config).unwrap();
        let mut head = Head::from_fields([(":path", "/old?q=1"), (":authority", "a")]);
        let done = rewrite.apply(&mut head, &matched).unwrap();
        assert_eq!((head.path(), head.authority(), done.path, done.host), (&b"/new?q=1"[..], &b"b:81"[..], true, true));
        let done = rewrite.apply(&mut head, &matched).unwrap();
        assert_eq!((done.path, done.host), (false, false));
    }

    #[test]
    fn targets_that_are_no_paths_are_left_alone() {
        let matched = RequestMatch::new(RequestMatchConfig::default()).unwrap();
        let config = RewriteConfig { path: Some("/new".into()), ..RewriteConfig::default() };
        let rewrite = Rewrite::new(config, &matched).unwrap();
        let mut head = Head::from_fields([(":method", "OPTIONS"), (":path", "*")]);
        rewrite.apply(&mut head, &matched).unwrap();
        assert_eq!(head.path(), b"*");
        let mut head = Head::from_fields([(":method", "CONNECT")]);
        rewrite.apply(&mut head, &matched).unwrap();
        assert_eq!(head.path(), b"");
    }

    #[test]
    fn rewrites_that_would_break_a_request_are_refused() {
        let bad = |prefix: Option<&str>, path: Option<&str>, host: Option<&str>| {
            let [prefix, path, host] = [prefix, path, host].map(|text| text.map(String::from));
            rule(PathMatchConfig::Prefix("/a".into()), RewriteConfig { prefix, path, host }).unwrap_err().to_string()
        };
        assert!(bad(Some("x"), None, None).starts_with("prefix: expected a path"));
        assert!(bad(Some("//x"), None, None).starts_with("prefix: expected a path"));
        assert!(bad(Some("/a?b"), None, None).starts_with("prefix: expected a path"));
        assert!(bad(None, Some("/a b"), None).starts_with("path: expected a path"));
        assert!(bad(None, None, Some("a b")).starts_with("host: expected a host"));
        assert!(bad(Some("/"), Some("/"), None).contains("found both"));
        let exact = PathMatchConfig::Exact("/a".into());
        let error = rule(exact, RewriteConfig { prefix: Some("/".into()), ..RewriteConfig::default() }).unwrap_err();
        assert_eq!(error.at, "prefix");
    }

    proptest! {
        #[test]
        fn a_rewritten_path_is_absolute_keeps_its_query_and_never_starts_with_two_slashes(
            rest in proptest::collection::vec(0x21u8..=0xff, 0..40), to in "(/[a-z]{0,3}){0,3}", string: bool,
        ) {
            let rest: Vec<u8> = rest.into_iter().filter(|b| *b != 0x7f && *b != b'#').collect();
            let path = [&b"/foo"[..], &rest].concat();
            let from = if string { PathMatchConfig::StringPrefix } else { PathMatchConfig::Prefix };
            let config = RewriteConfig { prefix: Some(to), ..RewriteConfig::default() };
            // the pattern can yield `//a`, which is refused
            let Ok((matched, rewrite)) = rule(from("/foo".into()), config) else { return Ok(()) };
            let mut head = Head::from_fields([(":path", &path)]);
            if matched.matches(&crate::matching::Request::new(&head)) && rewrite.apply(&mut head, &matched).is_ok() {
                let first = split_query(head.path()).0.split(|b| *b == b'/').nth(1).unwrap_or_default();
                prop_assert!(!string || !matches!(first, b"." | b".."));
                prop_assert!(head.path().starts_with(b"/") && !head.path().starts_with(b"//"));
                prop_assert_eq!(split_query(head.path()).1, split_query(&path).1);
            }
        }
    }
}
