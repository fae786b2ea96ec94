//! Conditions on the host.

use crate::ConfigError;
use serde::Deserialize;

/// A condition on the host, as configured. Hosts compare without case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum HostMatchConfig {
    /// The whole host, without port.
    Exact(String),
    /// The end of the host, as text (App Mesh's `hostname.suffix`): `.example.com`.
    Suffix(String),
    /// `*.example.com`: one or more labels before `.example.com` (Gateway API).
    Wildcard(String),
}

/// A compiled condition on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// The whole host, lower case.
    Exact(Vec<u8>),
    /// The end of the host, lower case; `labels` asks for something before it.
    Suffix {
        /// The text at the end.
        text: Vec<u8>,
        /// Whether at least one byte has to stand before it.
        labels: bool,
    },
}

impl HostMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// For hosts with a port, blanks or a misplaced `*`.
    pub fn new(config: HostMatchConfig) -> Result<Self, ConfigError> {
        match config {
            HostMatchConfig::Exact(host) => check(&host, "exact").map(Self::Exact),
            HostMatchConfig::Suffix(text) => check(&text, "suffix").map(|text| Self::Suffix { text, labels: false }),
            HostMatchConfig::Wildcard(host) => match host.strip_prefix('*') {
                Some(rest) if rest.len() > 1 && rest.starts_with('.') => {
                    check(rest, "wildcard").map(|text| Self::Suffix { text, labels: true })
                }
                _ => Err(ConfigError::new("wildcard", format!("expected \"*.\" and a host, found {host:?}"))),
            },
        }
    }

    /// Whether a host without port fits.
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Suffix { text, labels } => {
                host.len() >= text.len() + usize::from(*labels)
                    && host.get(host.len() - text.len()..).is_some_and(|end| end.eq_ignore_ascii_case(text))
            }
        }
    }
}

fn check(host: &str, at: &str) -> Result<Vec<u8>, ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    let without_port = strip_port(host.as_bytes()).len() == host.len();
    if !host.is_empty() && host.bytes().all(good) && without_port {
        return Ok(host.to_ascii_lowercase().into_bytes());
    }
    Err(ConfigError::new(at, format!("expected a host without port, found {host:?}")))
}

/// Cuts `:port` off a host; an IPv6 address keeps its brackets.
pub fn strip_port(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|b| *b == b':');
    let Some((name, port)) = colon.and_then(|at| Some((host.get(..at)?, host.get(at + 1..)?))) else {
        return host;
    };
    let bare = name.ends_with(b"]") || !name.contains(&b':');
    if bare && !port.is_empty() && port.iter().all(u8::is_ascii_digit) { name } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_cut_off_and_an_address_kept() {
        for (host, expected) in [
            ("a.com", "a.com"),
            ("a.com:80", "a.com"),
            ("a.com:", "a.com:"),
            ("a.com:x", "a.com:x"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(strip_port(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }

    #[test]
    fn wildcards_need_a_label_and_suffixes_do_not() {
        let exact = HostMatch::new(HostMatchConfig::Exact("A.com".into())).unwrap();
        let suffix = HostMatch::new(HostMatchConfig::Suffix(".foo.com".into())).unwrap();
        let wildcard = HostMatch::new(HostMatchConfig::Wildcard("*.Foo.com".into())).unwrap();
        for (host, e, s, w) in [
            ("a.COM", true, false, false),
            ("x.foo.com", false, true, true),
            ("a.b.foo.com", false, true, true),
            ("foo.com", false, false, false),
            (".foo.com", false, true, false),
            ("barfoo.com", false, false, false),
            ("\u{ff}.foo.com", false, true, true),
        ] {
            let host = host.as_bytes();
            assert_eq!((exact.matches(host), suffix.matches(host), wildcard.matches(host)), (e, s, w), "{host:?}");
        }
    }

    #[test]
    fn hosts_that_can_never_match_are_refused() {
        for config in [
            HostMatchConfig::Exact("a.com:80".into()),
            HostMatchConfig::Exact(String::new()),
            HostMatchConfig::Exact("a b".into()),
            HostMatchConfig::Suffix("*.a".into()),
            HostMatchConfig::Wildcard("*".into()),
            HostMatchConfig::Wildcard("a.*.com".into()),
            HostMatchConfig::Wildcard("*.a*".into()),
        ] {
            assert!(HostMatch::new(config.clone()).is_err(), "{config:?}");
        }
    }
}
