//! Rules in their order, and finding the one that takes a request without trying them all.

mod index;
mod list;
mod rank;
mod trie;

pub use rank::{Order, Rank};

use crate::ConfigError;
use crate::matching::{Before, HostMatch, MatchingConfig, Request, RequestMatch, Unmet};
use index::Index;
use std::rc::Rc;

/// Most entries of one table: one for each rule, alternative and host.
pub const MAX_ENTRIES: usize = 100_000;

/// A compiled table.
#[derive(Debug)]
pub struct Table {
    entries: Vec<Entry>,
    index: Index,
    options: MatchingConfig,
    wants_body: bool,
}

/// One way in which a rule takes requests.
#[derive(Debug)]
pub struct Entry {
    /// Number of the rule in the list that the table was made from.
    pub rule: usize,
    /// Number of the alternative in the rule.
    pub alternative: usize,
    /// The conditions; hosts beside `host` stand in entries of their own.
    pub matched: Rc<RequestMatch>,
    /// The host condition of this entry.
    pub host: Option<HostMatch>,
    /// Its place in the order.
    pub rank: Rank,
}

/// What a table says of a request.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// The first entry that takes it.
    Entry(&'a Entry),
    /// Whether the first entry that may take it does is up to the body, which is not there yet.
    NeedsBody,
    /// Nobody takes it.
    Nothing,
}

/// Conditions and priority of one rule; any of the alternatives suffices.
pub type Alternatives = (u16, Vec<RequestMatch>);

impl Table {
    /// Puts rules into their order.
    ///
    /// # Errors
    /// If they have too many alternatives and hosts.
    pub fn new(rules: Vec<Alternatives>, order: Order, options: MatchingConfig) -> Result<Self, ConfigError> {
        let mut entries = Vec::with_capacity(rules.len());
        for (rule, (priority, alternatives)) in rules.into_iter().enumerate() {
            for (alternative, matched) in alternatives.into_iter().enumerate() {
                let matched = Rc::new(matched);
                let hosts: Vec<_> = matched.hosts.iter().cloned().map(Some).collect();
                let hosts = if hosts.is_empty() { vec![None] } else { hosts };
                entries.extend(hosts.into_iter().map(|host| {
                    let rank = Rank::new(priority, host.as_ref(), &matched, order);
                    Entry { rule, alternative, matched: Rc::clone(&matched), host, rank }
                }));
            }
        }
        if entries.len() > MAX_ENTRIES {
            let why = format!("expected at most {MAX_ENTRIES} alternatives and hosts in all, found {}", entries.len());
            return Err(ConfigError::new("", why));
        }
        entries.sort_by_key(|entry| entry.rank);
        let wants_body = entries.iter().any(|entry| entry.matched.wants_body());
        let index = Index::new(&entries);
        Ok(Self { entries, index, options, wants_body })
    }

    /// All entries in the order in which they are tried.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How requests are looked at.
    pub fn options(&self) -> &MatchingConfig {
        &self.options
    }

    /// Whether some rule looks at the body.
    pub fn wants_body(&self) -> bool {
        self.wants_body
    }

    /// The first entry that takes a request. Looks only at entries that its host and path leave.
    pub fn find(&self, request: &Request<'_>) -> Found<'_> {
        let mut best = usize::MAX;
        self.index.visit(request, &self.options, &mut |numbers| {
            for number in numbers {
                let Ok(number) = usize::try_from(*number) else { return };
                if number >= best {
                    return;
                }
                if self.entries.get(number).is_some_and(|entry| entry.unmet(request).is_none()) {
                    best = number;
                    return;
                }
            }
        });
        self.found(best, request)
    }

    /// The same, by trying one entry after the other: what [`Table::find`] has to agree with.
    pub fn find_by_trying(&self, request: &Request<'_>) -> Found<'_> {
        let reach = self.reach(request);
        let tried = |entry: &Entry| reach.holds(entry) && entry.unmet(request).is_none();
        self.found(self.entries.iter().position(tried).unwrap_or(usize::MAX), request)
    }

    /// Which entries the request's host leaves a chance at all, given `most_specific_host_only`.
    pub fn reach(&self, request: &Request<'_>) -> Reach {
        let fits = |entry: &&Entry| entry.host.as_ref().is_none_or(|host| host.matches(request.host));
        let one = self.options.most_specific_host_only;
        Reach { most: if one { self.entries.iter().filter(fits).map(Entry::host_place).max() } else { None } }
    }

    fn found(&self, number: usize, request: &Request<'_>) -> Found<'_> {
        match self.entries.get(number) {
            None => Found::Nothing,
            Some(entry) if entry.matched.wants_body() && request.world.body.is_none() => Found::NeedsBody,
            Some(entry) => Found::Entry(entry),
        }
    }
}

/// Entries that a request's host leaves a chance.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    most: Option<HostPlace>,
}

impl Reach {
    /// Whether an entry is among them.
    pub fn holds(&self, entry: &Entry) -> bool {
        self.most.is_none_or(|most| entry.host_place() == most)
    }
}

type HostPlace = (usize, Option<Before>);

impl Entry {
    /// Longer suffixes are more specific, exact hosts most.
    fn host_place(&self) -> HostPlace {
        match &self.host {
            None => (0, None),
            Some(HostMatch::Suffix(text, before)) => (text.len(), Some(*before)),
            Some(HostMatch::Exact(_)) => (usize::MAX, None),
        }
    }

    /// The first condition that a request does not meet.
    pub fn unmet(&self, request: &Request<'_>) -> Option<Unmet> {
        if self.matched.path.as_ref().is_some_and(|path| !path.matches(request.path)) {
            return Some(Unmet::Path);
        }
        if self.host.as_ref().is_some_and(|host| !host.matches(request.host)) {
            return Some(Unmet::Hosts);
        }
        self.matched.unmet_beside_path(request)
    }
}
