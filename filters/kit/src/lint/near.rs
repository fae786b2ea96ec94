//! From an entry to the few others that may take all that it takes.

use crate::matching::{HostMatch, PathKind, PathMatch, RequestMatch};
use crate::table::{Entry, Table};
use std::collections::{BTreeSet, HashMap};

/// Entries by host, path and a value that they want.
pub(super) struct Near<'t> {
    table: &'t Table,
    any_host: Paths,
    hosts: HashMap<Vec<u8>, Paths>,
    host_lengths: BTreeSet<usize>,
}

#[derive(Default)]
struct Paths {
    lengths: BTreeSet<usize>,
    lists: HashMap<Vec<u8>, HashMap<Option<Wanted>, Vec<usize>>>,
}

/// That a header, query parameter or cookie has exactly one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    kind: u8,
    name: String,
    pub(super) value: Vec<u8>,
}

impl<'t> Near<'t> {
    /// Of the entries that `holds` names.
    pub(super) fn new(table: &'t Table, holds: impl Fn(&Entry) -> bool) -> Self {
        let mut near = Self { table, any_host: Paths::default(), hosts: HashMap::new(), host_lengths: BTreeSet::new() };
        for (number, entry) in table.entries().iter().enumerate().filter(|(_, entry)| holds(entry)) {
            let paths = match &entry.host {
                None => &mut near.any_host,
                Some(HostMatch::Exact(text) | HostMatch::Suffix(text, _)) => {
                    near.host_lengths.insert(text.len());
                    near.hosts.entry(text.clone()).or_default()
                }
            };
            let text = path_text(entry.matched.path.as_ref());
            paths.lengths.insert(text.len());
            let first = wanted(&entry.matched).next();
            paths.lists.entry(text).or_default().entry(first).or_default().push(number);
        }
        near
    }

    /// Shows every entry before number `end` that may take all that `entry` takes, until `see` says no.
    pub(super) fn visit(&self, entry: &Entry, end: usize, see: &mut impl FnMut(usize, &'t Entry) -> bool) {
        let mut path = path_text(entry.matched.path.as_ref());
        if matches!(entry.matched.path.as_ref().map(|path| &path.kind), Some(PathKind::Prefix(_))) {
            // the text `/` takes all that the segment prefix `/` does, which has no text
            path.push(b'/');
        }
        let wanted: Vec<_> = std::iter::once(None).chain(wanted(&entry.matched).map(Some)).collect();
        if !self.any_host.visit(self.table, &path, &wanted, end, see) {
            return;
        }
        let Some(HostMatch::Exact(host) | HostMatch::Suffix(host, _)) = &entry.host else { return };
        for length in self.host_lengths.range(..=host.len()) {
            let tail = host.get(host.len() - length..).unwrap_or_default();
            if let Some(paths) = self.hosts.get(tail)
                && !paths.visit(self.table, &path, &wanted, end, see)
            {
                return;
            }
        }
    }
}

impl Paths {
    fn visit<'t>(
        &self,
        table: &'t Table,
        path: &[u8],
        wanted: &[Option<Wanted>],
        end: usize,
        see: &mut impl FnMut(usize, &'t Entry) -> bool,
    ) -> bool {
        for length in self.lengths.range(..=path.len()) {
            let Some(lists) = path.get(..*length).and_then(|start| self.lists.get(start)) else { continue };
            let lists = wanted.iter().filter_map(|wanted| lists.get(wanted));
            for number in lists.flat_map(|list| list.iter().take_while(|number| **number < end)) {
                if table.entries().get(*number).is_some_and(|entry| !see(*number, entry)) {
                    return false;
                }
            }
        }
        true
    }
}

/// What every path that fits begins with, without case.
fn path_text(path: Option<&PathMatch>) -> Vec<u8> {
    let text = match path.map(|path| &path.kind) {
        None => return Vec::new(),
        Some(PathKind::Exact(text) | PathKind::Prefix(text) | PathKind::StringPrefix(text)) => text.clone(),
        Some(PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern)) => pattern.literal_prefix().into_bytes(),
    };
    text.to_ascii_lowercase()
}

/// The values that conditions want. What covers a condition that wants a value wants the same, or another kind of thing.
pub(super) fn wanted(matched: &RequestMatch) -> impl Iterator<Item = Wanted> {
    let all = [(0, &matched.headers), (1, &matched.query_parameters), (2, &matched.cookies)];
    all.into_iter().flat_map(|(kind, list)| {
        let one = move |named: &crate::matching::NamedMatch| {
            Some(Wanted { kind, name: named.name.clone(), value: named.exact()?.to_vec() })
        };
        list.iter().filter_map(one)
    })
}

impl Wanted {
    /// What has the value.
    pub(super) fn of(&self) -> (u8, &str) {
        (self.kind, &self.name)
    }
}
