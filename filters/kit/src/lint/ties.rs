//! Rules between which only the order of the file decides.

use super::near::{Wanted, wanted};
use super::{Around, Remark, Shadows};
use crate::matching::{HostMatch, PathKind, PathMatch};
use crate::table::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// One remark for each rule that another one of its rank precedes.
pub(super) fn ties(around: &Around<'_>, shadows: &Shadows, remarks: &mut Vec<Remark>) {
    let several = around.several();
    let mut groups: BTreeMap<Key, Vec<&Entry>> = BTreeMap::new();
    for (entry, shadow) in around.entries().iter().zip(shadows) {
        if entry.rank.is_by_file() || shadow.is_some() {
            continue;
        }
        // of one rank, hosts and texts are equally long: those that overlap are the same
        let host = entry.host.as_ref().map(|host| match host {
            HostMatch::Exact(text) | HostMatch::Suffix(text, _) => text.clone(),
        });
        let key = Key { rank: entry.rank, host, path: entry.matched.path.as_ref().map(path) };
        groups.entry(key).or_default().push(entry);
    }
    let mut told = vec![false; around.names.len()];
    for group in groups.into_values().filter(|group| group.len() > 1) {
        for (entry, partners) in partners(&group) {
            for partner in partners {
                if !around.budget.take() {
                    return;
                }
                let (first, second) = in_order(partner, entry);
                let known = first.rule == second.rule || told.get(second.rule) != Some(&false);
                if known || first.matched.excludes_beside_path(&second.matched) {
                    continue;
                }
                if let Some(told) = told.get_mut(second.rule) {
                    *told = true;
                }
                let why = "and a request can fit both: only their order in the file decides";
                let why = format!("as specific as {}, {why}", around.named(first.rule));
                remarks.push(Remark::new(around.place(second, &several), why));
                break;
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rank: crate::table::Rank,
    host: Option<Vec<u8>>,
    path: Option<(u8, Vec<u8>)>,
}

fn path(path: &PathMatch) -> (u8, Vec<u8>) {
    match &path.kind {
        PathKind::Exact(text) => (0, text.to_ascii_lowercase()),
        PathKind::Prefix(text) => (1, text.to_ascii_lowercase()),
        PathKind::StringPrefix(text) => (2, text.to_ascii_lowercase()),
        PathKind::Regex(pattern) => (3, pattern.text().into()),
        PathKind::RegexPrefix(pattern) => (4, pattern.text().into()),
    }
}

/// Each entry of a group, and those that may hold together with it. Most of those that want different values of one thing
/// are left out.
fn partners<'a>(group: &[&'a Entry]) -> Vec<(&'a Entry, impl Iterator<Item = &'a Entry> + use<'a>)> {
    let mut counts: HashMap<(u8, String), usize> = HashMap::new();
    for entry in group {
        for wanted in wanted(&entry.matched) {
            let (kind, name) = wanted.of();
            *counts.entry((kind, name.to_owned())).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by(|one, other| (one.1, &other.0).cmp(&(other.1, &one.0)));
    let value = |entry: &Entry| -> Option<Wanted> {
        let (of, _) = most.as_ref()?;
        wanted(&entry.matched).find(|wanted| wanted.of() == (of.0, of.1.as_str()))
    };
    let mut lists: BTreeMap<Option<Vec<u8>>, Vec<&'a Entry>> = BTreeMap::new();
    for entry in group {
        lists.entry(value(entry).map(|wanted| wanted.value)).or_default().push(entry);
    }
    let lists: Vec<(bool, Rc<[&'a Entry]>)> =
        lists.into_iter().map(|(value, list)| (value.is_none(), list.into())).collect();
    let free: Rc<[&'a Entry]> =
        lists.iter().find(|(is_free, _)| *is_free).map(|(_, list)| Rc::clone(list)).unwrap_or_default();
    let mut all = Vec::with_capacity(group.len());
    for (is_free, list) in lists {
        for (at, entry) in list.iter().enumerate() {
            let before = first(&list, at);
            let others = first(&free, if is_free { 0 } else { free.len() });
            all.push((*entry, before.chain(others)));
        }
    }
    all
}

/// The first ones of a list, which it shares.
fn first<'a>(list: &Rc<[&'a Entry]>, count: usize) -> impl Iterator<Item = &'a Entry> + use<'a> {
    let list = Rc::clone(list);
    (0..count).filter_map(move |at| list.get(at).copied())
}

fn in_order<'a>(one: &'a Entry, other: &'a Entry) -> (&'a Entry, &'a Entry) {
    if (one.rule, one.alternative) <= (other.rule, other.alternative) { (one, other) } else { (other, one) }
}
