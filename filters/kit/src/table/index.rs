//! From a request to the few entries that may take it: by host, then by path.

use super::Entry;
use super::list::List;
use super::trie::Trie;
use crate::matching::{Before, HostMatch, MatchingConfig, PathKind, PathMatch, Request, RequestMatch};
use std::collections::HashMap;

/// Where entries are looked up. It only leaves out what cannot fit; what it shows still has to be checked.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact_hosts: HashMap<Box<[u8]>, Paths>,
    /// Suffixes, written backwards.
    suffixes: Trie<Suffix>,
    any_host: Paths,
    has_suffixes: bool,
}

/// Entries of one suffix, by what has to stand before it; the most specific first.
#[derive(Debug, Default)]
struct Suffix {
    one_label: Option<Box<Paths>>,
    labels: Option<Box<Paths>>,
    anything: Option<Box<Paths>>,
}

/// Entries of one host.
#[derive(Debug, Default)]
struct Paths {
    plain: Texts,
    /// Texts in lower case that compare without case.
    folded: Texts,
    /// Patterns without a beginning to look for, and entries for any path.
    others: List,
}

#[derive(Debug, Default)]
struct Texts {
    exact: HashMap<Box<[u8]>, List>,
    prefixes: Trie<Prefixes>,
    is_used: bool,
}

#[derive(Debug, Default)]
struct Prefixes {
    /// A segment has to end here.
    segments: List,
    text: List,
}

impl Index {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for (number, entry) in (0u32..).zip(entries) {
            let paths = match &entry.host {
                None => &mut index.any_host,
                Some(HostMatch::Exact(host)) => index.exact_hosts.entry(host.as_slice().into()).or_default(),
                Some(HostMatch::Suffix(text, before)) => {
                    index.has_suffixes = true;
                    let backwards: Vec<u8> = text.iter().rev().copied().collect();
                    let suffix = index.suffixes.at(&backwards);
                    let paths = match before {
                        Before::OneLabel => &mut suffix.one_label,
                        Before::Labels => &mut suffix.labels,
                        Before::Anything => &mut suffix.anything,
                    };
                    paths.get_or_insert_default()
                }
            };
            paths.add(number, entry.matched.path.as_ref());
        }
        let matched = |number: u32| -> Option<&RequestMatch> {
            entries.get(usize::try_from(number).ok()?).map(|entry| &*entry.matched)
        };
        index.any_host.settle(&matched);
        index.exact_hosts.values_mut().for_each(|paths| paths.settle(&matched));
        for suffix in index.suffixes.values_mut() {
            for paths in [&mut suffix.one_label, &mut suffix.labels, &mut suffix.anything].into_iter().flatten() {
                paths.settle(&matched);
            }
        }
        index
    }

    /// Shows lists of entries; together they hold every entry that the request fits. Each list is in order.
    pub(super) fn visit(&self, request: &Request<'_>, options: &MatchingConfig, see: &mut impl FnMut(&[u32])) {
        let lower;
        let host = if request.host.iter().any(u8::is_ascii_uppercase) {
            lower = request.host.to_ascii_lowercase();
            &lower
        } else {
            request.host
        };
        let exact = if self.exact_hosts.is_empty() { None } else { self.exact_hosts.get(host) };
        if let Some(paths) = exact {
            paths.visit(request, options, see);
            if options.most_specific_host_only {
                return;
            }
        }
        if self.has_suffixes {
            let backwards = host.iter().rev().copied();
            if options.most_specific_host_only {
                let mut longest = None;
                self.suffixes.visit(backwards, |suffix, rest| longest = suffix.fitting(host, rest).next().or(longest));
                if let Some(paths) = longest {
                    return paths.visit(request, options, see);
                }
            } else {
                self.suffixes.visit(backwards, |suffix, rest| {
                    suffix.fitting(host, rest).for_each(|paths| paths.visit(request, options, see));
                });
            }
        }
        self.any_host.visit(request, options, see);
    }
}

impl Suffix {
    /// The entries for a host of which `start` bytes stand before the suffix, most specific first.
    fn fitting(&self, host: &[u8], start: usize) -> impl Iterator<Item = &Paths> {
        let some = start > 0;
        let one = some && !host.get(..start).unwrap_or_default().contains(&b'.');
        let all = [(&self.one_label, one), (&self.labels, some), (&self.anything, true)];
        all.into_iter().filter(|(_, fits)| *fits).filter_map(|(paths, _)| paths.as_deref())
    }
}

impl Paths {
    fn add(&mut self, number: u32, path: Option<&PathMatch>) {
        let Some(path) = path else { return self.others.push(number) };
        let texts = if path.ignore_case { &mut self.folded } else { &mut self.plain };
        match &path.kind {
            PathKind::Exact(text) => texts.exact.entry(text.as_slice().into()).or_default().push(number),
            PathKind::Prefix(text) => texts.prefixes.at(text).segments.push(number),
            PathKind::StringPrefix(text) => texts.prefixes.at(text).text.push(number),
            PathKind::Regex(pattern) | PathKind::RegexPrefix(pattern) => {
                let literal = pattern.literal_prefix();
                if !literal.starts_with('/') || path.ignore_case && !literal.is_ascii() {
                    return self.others.push(number);
                }
                let literal = if path.ignore_case { literal.to_ascii_lowercase() } else { literal };
                texts.prefixes.at(literal.as_bytes()).text.push(number);
            }
        }
        texts.is_used = true;
    }

    fn settle<'a>(&mut self, matched: &impl Fn(u32) -> Option<&'a RequestMatch>) {
        self.others.settle(matched);
        for texts in [&mut self.plain, &mut self.folded] {
            texts.exact.values_mut().for_each(|list| list.settle(matched));
            for prefixes in texts.prefixes.values_mut() {
                prefixes.segments.settle(matched);
                prefixes.text.settle(matched);
            }
        }
    }

    fn visit(&self, request: &Request<'_>, options: &MatchingConfig, see: &mut impl FnMut(&[u32])) {
        let repeated = options.repeated_headers;
        if self.plain.is_used {
            self.plain.visit(request, request.path, request.path.iter().copied(), repeated, see);
        }
        if self.folded.is_used {
            let lower = request.path.to_ascii_lowercase();
            self.folded.visit(request, &lower, lower.iter().copied(), repeated, see);
        }
        self.others.visit(request, repeated, see);
    }
}

impl Texts {
    fn visit(
        &self,
        request: &Request<'_>,
        path: &[u8],
        bytes: impl ExactSizeIterator<Item = u8> + Clone,
        repeated: crate::matching::Repeated,
        see: &mut impl FnMut(&[u32]),
    ) {
        if let Some(list) = if self.exact.is_empty() { None } else { self.exact.get(path) } {
            list.visit(request, repeated, see);
        }
        if !path.starts_with(b"/") {
            return;
        }
        self.prefixes.visit(bytes, |prefixes, rest| {
            let next = path.len().checked_sub(rest).and_then(|at| path.get(at));
            if !prefixes.segments.is_empty() && matches!(next, None | Some(b'/')) {
                prefixes.segments.visit(request, repeated, see);
            }
            prefixes.text.visit(request, repeated, see);
        });
    }
}
