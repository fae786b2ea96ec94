//! Virtual hosts: Envoy takes the exact domain, else the longest `*text`, else `*`, and never another one behind it.

use super::matching::{escape_bytes, header, regex};
use filter_kit::matching::{Before, HostMatch};
use filter_kit::table::{Entry, Table};
use serde_json::{Value, json};

/// A virtual host: the requests for which no other one has a longer domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum VirtualHost {
    Exact(String),
    /// Hosts that end in this, with something before it.
    Suffix(String),
    Any,
}

/// Which requests of a virtual host a host condition takes.
enum Fit {
    None,
    All,
    /// Those with one label before this text.
    OneLabel(Vec<u8>),
}

impl VirtualHost {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Suffix(text) => format!("*{text}"),
            Self::Any => "*".to_owned(),
        }
    }

    /// With those that end in a dot, which does not count.
    pub(super) fn domains(&self) -> Vec<String> {
        match self {
            Self::Any => vec![self.name()],
            _ => vec![self.name(), format!("{}.", self.name())],
        }
    }

    pub(super) fn exact(&self) -> Option<String> {
        match self {
            Self::Exact(host) => Some(host.clone()),
            _ => None,
        }
    }

    fn fit(&self, host: Option<&HostMatch>) -> Fit {
        match (self, host) {
            (_, None) => Fit::All,
            (Self::Exact(name), Some(host)) if host.matches(name.as_bytes()) => Fit::All,
            (Self::Suffix(text), Some(HostMatch::Suffix(wanted, before))) => {
                let Some(more) = text.as_bytes().strip_suffix(wanted.as_slice()) else { return Fit::None };
                match before {
                    Before::OneLabel if more.contains(&b'.') => Fit::None,
                    Before::OneLabel => Fit::OneLabel(wanted.clone()),
                    Before::Anything | Before::Labels => Fit::All,
                }
            }
            _ => Fit::None,
        }
    }
}

/// All virtual hosts, that for all others last.
pub(super) fn distinct(entries: &[Entry]) -> Vec<VirtualHost> {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let mut all = vec![VirtualHost::Any];
    for host in entries.iter().filter_map(|entry| entry.host.as_ref()) {
        match host {
            HostMatch::Exact(host) => all.push(VirtualHost::Exact(text(host))),
            HostMatch::Suffix(end, before) => {
                all.push(VirtualHost::Suffix(text(end)));
                if *before == Before::Anything && !end.starts_with(b".") {
                    all.push(VirtualHost::Exact(text(end)));
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The entries that may take requests to a virtual host, in their order, and on which conditions on the host.
pub(super) fn reachable<'t>(host: &VirtualHost, table: &'t Table, most_specific: bool) -> Vec<(&'t Entry, Vec<Value>)> {
    let place = |entry: &Entry| match &entry.host {
        None => (0, None),
        Some(HostMatch::Suffix(text, before)) => (text.len(), Some(*before)),
        Some(HostMatch::Exact(_)) => (usize::MAX, None),
    };
    let fits: Vec<(&Entry, Fit)> = table.entries().iter().map(|entry| (entry, host.fit(entry.host.as_ref()))).collect();
    let whole = fits.iter().filter(|(_, fit)| matches!(fit, Fit::All)).map(|(entry, _)| place(entry)).max();
    let mut made = Vec::new();
    for (entry, fit) in &fits {
        let mut conditions = match fit {
            Fit::None => continue,
            Fit::All => Vec::new(),
            Fit::OneLabel(text) => vec![one_label(text)],
        };
        if most_specific {
            if whole.is_some_and(|whole| place(entry) < whole) {
                continue;
            }
            // requests that a more specific host takes are none of this one's
            for (other, fit) in &fits {
                if let (Fit::OneLabel(text), true) = (fit, place(other) > place(entry)) {
                    let mut condition = one_label(text);
                    if let Some(entries) = condition.as_object_mut() {
                        entries.insert("invert_match".to_owned(), json!(true));
                    }
                    if !conditions.contains(&condition) {
                        conditions.push(condition);
                    }
                }
            }
        }
        made.push((*entry, conditions));
    }
    made
}

fn one_label(text: &[u8]) -> Value {
    header(":authority", regex(&format!(r"(?i)[^.]+{}\.?(:[0-9]+)?", escape_bytes(text))))
}
