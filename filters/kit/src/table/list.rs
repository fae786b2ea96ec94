//! Entries that share a place in the index.

use crate::matching::{Repeated, Request, RequestMatch, joined};
use std::collections::HashMap;

/// Numbers of entries, in order; large lists are divided by the value of a header.
#[derive(Debug, Default)]
pub(super) struct List {
    plain: Vec<u32>,
    by_header: Vec<ByHeader>,
}

/// Entries that want one header to have exactly one value.
#[derive(Debug)]
struct ByHeader {
    name: String,
    values: HashMap<Box<[u8]>, Vec<u32>>,
}

/// Lists up to this length are looked through.
const SHORT: usize = 8;
/// Most headers that divide one list.
const MAX_HEADERS: usize = 4;

impl List {
    pub(super) fn push(&mut self, entry: u32) {
        self.plain.push(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.by_header.is_empty()
    }

    /// Sorts, and divides what is long.
    pub(super) fn settle<'a>(&mut self, matched: &impl Fn(u32) -> Option<&'a RequestMatch>) {
        self.plain.sort_unstable();
        self.plain.dedup();
        while self.plain.len() > SHORT && self.by_header.len() < MAX_HEADERS {
            let Some(name) = self.most_common(matched) else { break };
            let mut values: HashMap<Box<[u8]>, Vec<u32>> = HashMap::new();
            self.plain.retain(|entry| {
                let wanted = matched(*entry).and_then(|matched| exact(matched).find(|(header, _)| **header == *name));
                let Some((_, value)) = wanted else { return true };
                values.entry(value.into()).or_default().push(*entry);
                false
            });
            self.by_header.push(ByHeader { name, values });
        }
    }

    /// The header that most entries want to have exactly one value; none if that are few.
    fn most_common<'a>(&self, matched: &impl Fn(u32) -> Option<&'a RequestMatch>) -> Option<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for entry in &self.plain {
            let Some(matched) = matched(*entry) else { continue };
            for (at, (name, _)) in exact(matched).enumerate() {
                // a header that stands twice in one rule counts once
                if !exact(matched).take(at).any(|(other, _)| other == name) {
                    *counts.entry(name).or_default() += 1;
                }
            }
        }
        let most = counts.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)))?;
        (most.1 > SHORT / 2).then(|| most.0.to_owned())
    }

    /// Shows the lists that may hold what a request fits.
    pub(super) fn visit(&self, request: &Request<'_>, repeated: Repeated, see: &mut impl FnMut(&[u32])) {
        see(&self.plain);
        for ByHeader { name, values } in &self.by_header {
            let mut seen = |value: &[u8]| {
                if let Some(entries) = values.get(value) {
                    see(entries);
                }
            };
            match repeated {
                Repeated::Each => request.head.get_all(name).for_each(seen),
                Repeated::First => request.head.get_all(name).take(1).for_each(seen),
                Repeated::Joined => {
                    let mut found = request.head.get_all(name).peekable();
                    if found.peek().is_some() {
                        seen(&joined(found));
                    }
                }
            }
        }
    }
}

/// Headers of which one value is wanted. Those that a first table may have rewritten are left out.
fn exact(matched: &RequestMatch) -> impl Iterator<Item = (&str, &[u8])> {
    let plain = matched.headers.iter().filter(|header| !header.name.starts_with(':') && header.name != "host");
    plain.filter_map(|header| Some((header.name.as_str(), header.exact()?)))
}
