//! Conditions on the host.

use crate::ConfigError;
use serde::Deserialize;
use std::fmt;

/// A condition on the host, as configured. Hosts compare without case and without port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum HostMatchConfig {
    /// The whole host, without port.
    Exact(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._:\[\]-]{1,255}$")))] String),
    /// The end of the host, as text (App Mesh's `hostname.suffix`): `.example.com`.
    Suffix(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._:\[\]-]{1,255}$")))] String),
    /// `*.example.com`: one or more labels before `.example.com` (Gateway API).
    Wildcard(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^\*\.[A-Za-z0-9._:-]{1,254}$")))] String),
    /// `*.example.com`: exactly one label before `.example.com` (Ingress).
    LabelWildcard(#[cfg_attr(feature = "schema", schemars(regex(pattern = r"^\*\.[A-Za-z0-9._:-]{1,254}$")))] String),
}

/// A compiled condition on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// The whole host, lower case.
    Exact(Vec<u8>),
    /// The end of the host, lower case, and what has to stand before it.
    Suffix(Vec<u8>, Before),
}

/// What stands before a suffix; later ones say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Before {
    /// Anything or nothing.
    Anything,
    /// At least one byte.
    Labels,
    /// At least one byte, none of them a dot.
    OneLabel,
}

impl HostMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// For hosts with a port, blanks or a misplaced `*`.
    pub fn new(config: HostMatchConfig) -> Result<Self, ConfigError> {
        let wildcard = |host: &str, at: &str| match host.strip_prefix('*') {
            Some(rest) if rest.len() > 1 && rest.starts_with('.') => check(rest, at),
            _ => Err(ConfigError::new(at, format!("expected \"*.\" and a host, found {host:?}"))),
        };
        match config {
            HostMatchConfig::Exact(host) => check(&host, "exact").map(|host| Self::Exact(without_dot(&host).to_vec())),
            HostMatchConfig::Suffix(text) => {
                check(&text, "suffix").map(|text| Self::Suffix(without_dot(&text).to_vec(), Before::Anything))
            }
            HostMatchConfig::Wildcard(host) => {
                wildcard(&host, "wildcard").map(|text| Self::Suffix(without_dot(&text).to_vec(), Before::Labels))
            }
            HostMatchConfig::LabelWildcard(host) => wildcard(&host, "label_wildcard")
                .map(|text| Self::Suffix(without_dot(&text).to_vec(), Before::OneLabel)),
        }
    }

    /// Whether a host without port fits.
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => wanted.eq_ignore_ascii_case(host),
            Self::Suffix(text, before) => {
                let Some((start, end)) = host.len().checked_sub(text.len()).and_then(|at| host.split_at_checked(at))
                else {
                    return false;
                };
                end.eq_ignore_ascii_case(text)
                    && match before {
                        Before::Anything => true,
                        Before::Labels => !start.is_empty(),
                        Before::OneLabel => !start.is_empty() && !start.contains(&b'.'),
                    }
            }
        }
    }

    /// Whether every host that fits `other` fits this.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(_), Self::Suffix(..)) => false,
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Suffix(text, before), Self::Suffix(longer, other)) => {
                longer.ends_with(text)
                    && match before {
                        Before::Anything => true,
                        Before::Labels => longer.len() > text.len() || *other != Before::Anything,
                        Before::OneLabel => longer.len() == text.len() && *other == Before::OneLabel,
                    }
            }
        }
    }

    /// Whether some host fits both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(host), _) => other.matches(host),
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Suffix(a, _), Self::Suffix(b, _)) => a.ends_with(b) || b.ends_with(a),
        }
    }
}

impl fmt::Display for HostMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "host = {:?}", String::from_utf8_lossy(host)),
            Self::Suffix(text, before) => {
                let text = String::from_utf8_lossy(text);
                match before {
                    Before::Anything => write!(f, "host ends with {text:?}"),
                    Before::Labels => write!(f, "host like \"*{text}\""),
                    Before::OneLabel => write!(f, "host like \"*{text}\", one label"),
                }
            }
        }
    }
}

fn check(host: &str, at: &str) -> Result<Vec<u8>, ConfigError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    let without_port = strip_port(host.as_bytes()).len() == host.len();
    if !host.is_empty() && host != "." && host.len() <= 255 && host.bytes().all(good) && without_port {
        return Ok(host.to_ascii_lowercase().into_bytes());
    }
    Err(ConfigError::new(at, format!("expected a host without port, found {host:?}")))
}

/// The host of an authority: without port, and without the dot that ends an absolute name.
pub fn host_of(authority: &[u8]) -> &[u8] {
    without_dot(strip_port(authority))
}

fn without_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
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
        assert_eq!(host_of(b"a.com.:80"), b"a.com");
    }

    #[test]
    fn wildcards_need_a_label_and_suffixes_do_not() {
        let exact = HostMatch::new(HostMatchConfig::Exact("A.com".into())).unwrap();
        let suffix = HostMatch::new(HostMatchConfig::Suffix(".foo.com".into())).unwrap();
        let wildcard = HostMatch::new(HostMatchConfig::Wildcard("*.Foo.com".into())).unwrap();
        let label = HostMatch::new(HostMatchConfig::LabelWildcard("*.Foo.com".into())).unwrap();
        for (host, expected) in [
            ("a.COM", [true, false, false, false]),
            ("x.foo.com", [false, true, true, true]),
            ("a.b.foo.com", [false, true, true, false]),
            ("foo.com", [false, false, false, false]),
            (".foo.com", [false, true, false, false]),
            ("barfoo.com", [false, false, false, false]),
            ("\u{ff}.foo.com", [false, true, true, true]),
        ] {
            let found = [&exact, &suffix, &wildcard, &label].map(|m| m.matches(host.as_bytes()));
            assert_eq!(found, expected, "{host:?}");
        }
    }

    #[test]
    fn hosts_that_can_never_match_are_refused() {
        for config in [
            HostMatchConfig::Exact("a.com:80".into()),
            HostMatchConfig::Exact(String::new()),
            HostMatchConfig::Exact("a b".into()),
            HostMatchConfig::Suffix("*.a".into()),
            HostMatchConfig::Suffix(".".into()),
            HostMatchConfig::Wildcard("*".into()),
            HostMatchConfig::Wildcard("a.*.com".into()),
            HostMatchConfig::LabelWildcard("*.a*".into()),
        ] {
            assert!(HostMatch::new(config.clone()).is_err(), "{config:?}");
        }
    }

    #[test]
    fn covering() {
        let exact = HostMatch::new(HostMatchConfig::Exact("a.foo.com".into())).unwrap();
        let wildcard = HostMatch::new(HostMatchConfig::Wildcard("*.foo.com".into())).unwrap();
        let label = HostMatch::new(HostMatchConfig::LabelWildcard("*.foo.com".into())).unwrap();
        let longer = HostMatch::new(HostMatchConfig::Wildcard("*.b.foo.com".into())).unwrap();
        assert!(wildcard.covers(&exact) && wildcard.covers(&label) && wildcard.covers(&longer));
        assert!(label.covers(&exact) && !label.covers(&wildcard) && !label.covers(&longer) && !exact.covers(&label));
        assert!(longer.overlaps(&wildcard) && !longer.overlaps(&exact));
    }
}
