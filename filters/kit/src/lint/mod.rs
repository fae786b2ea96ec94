//! What is allowed in a table of rules, and probably not meant.
//!
//! Nothing here is used by a filter. Every remark errs on the side of silence: what is hard to say is not said.

mod conditions;
mod near;
mod ties;

pub use conditions::conditions;

use crate::matching::{PathKind, RequestMatch};
use crate::table::{Entry, Table};
use near::Near;
use std::cell::Cell;

/// Something about a place in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Path of the value, as in `rules[3]`.
    pub at: String,
    /// One sentence in lower case.
    pub why: String,
}

/// Most comparisons of two entries; tables of rules that all differ need a few for each.
const MAX_COMPARISONS: usize = 3_000_000;

/// The comparisons that are left.
#[derive(Debug)]
struct Budget(Cell<usize>);

impl Budget {
    /// Takes one, if there is one.
    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

impl Remark {
    /// About the value at `at`.
    pub fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }

    /// The same remark, one level up.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let crate::ConfigError { at, why } = crate::ConfigError::new(self.at, self.why).within(outer);
        Self { at, why }
    }
}

/// Remarks on a table: rules that others leave nothing, rules between which only the order of the file decides, patterns
/// and texts that take more than they seem to. `names` are those of its rules, which stand in `rules`.
pub fn table(table: &Table, names: &[&str]) -> Vec<Remark> {
    let around = Around { table, names, budget: Budget(Cell::new(MAX_COMPARISONS)) };
    let shadows = around.shadows();
    let mut remarks = around.unreachable(&shadows);
    around.patterns_first(&shadows, &mut remarks);
    around.texts(&mut remarks);
    ties::ties(&around, &shadows, &mut remarks);
    if around.budget.0.get() == 0 {
        let why = "there are too many rules of one kind to compare them all; some remarks may be missing";
        remarks.push(Remark::new("rules", why));
    }
    remarks
}

struct Around<'t> {
    table: &'t Table,
    names: &'t [&'t str],
    budget: Budget,
}

/// For each entry, an earlier one that takes everything which it would take.
type Shadows = Vec<Option<usize>>;

impl<'t> Around<'t> {
    fn entries(&self) -> &'t [Entry] {
        self.table.entries()
    }

    /// A rule in words.
    fn named(&self, rule: usize) -> String {
        format!("{:?} (rules[{rule}])", self.names.get(rule).copied().unwrap_or_default())
    }

    /// The place of an entry: its rule, or its alternative.
    fn place(&self, entry: &Entry, several: &[bool]) -> String {
        match several.get(entry.rule) {
            Some(true) => format!("rules[{}].matches[{}]", entry.rule, entry.alternative),
            _ => format!("rules[{}]", entry.rule),
        }
    }

    /// Which rules have several alternatives.
    fn several(&self) -> Vec<bool> {
        let mut several = vec![false; self.names.len()];
        for entry in self.entries().iter().filter(|entry| entry.alternative > 0) {
            if let Some(several) = several.get_mut(entry.rule) {
                *several = true;
            }
        }
        several
    }

    /// Whether requests that reach one entry by their host reach the other as well.
    fn share_hosts(&self, wide: &Entry, narrow: &Entry) -> bool {
        if self.table.options().most_specific_host_only {
            return wide.host == narrow.host;
        }
        match (&wide.host, &narrow.host) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => wide.covers(narrow),
        }
    }

    fn shadows(&self) -> Shadows {
        let near = Near::new(self.table, |_| true);
        let covers_path = |wide: &RequestMatch, narrow: &RequestMatch| match (&wide.path, &narrow.path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => wide.covers(narrow),
        };
        let of = |(number, entry): (usize, &Entry)| {
            let mut by = None;
            near.visit(entry, number, &mut |other, wide| {
                let covers = self.share_hosts(wide, entry)
                    && covers_path(&wide.matched, &entry.matched)
                    && wide.matched.covers_beside_path(&entry.matched);
                // another rule is the better reason
                if covers && (by.is_none() || wide.rule != entry.rule) {
                    by = Some(other);
                }
                let reason = by.and_then(|by| self.entries().get(by)).is_some_and(|by| by.rule != entry.rule);
                !reason && self.budget.take()
            });
            by
        };
        self.entries().iter().enumerate().map(of).collect()
    }

    fn unreachable(&self, shadows: &Shadows) -> Vec<Remark> {
        let several = self.several();
        let mut of_rules: Vec<Vec<(&Entry, Option<&Entry>)>> = vec![Vec::new(); self.names.len()];
        for (entry, by) in self.entries().iter().zip(shadows) {
            if let Some(of_rule) = of_rules.get_mut(entry.rule) {
                of_rule.push((entry, by.and_then(|by| self.entries().get(by))));
            }
        }
        let mut remarks = Vec::new();
        for (rule, entries) in of_rules.iter().enumerate() {
            let blamed = |entries: &[(&Entry, Option<&Entry>)]| {
                let mut rules: Vec<usize> = entries.iter().filter_map(|(_, by)| by.map(|by| by.rule)).collect();
                rules.retain(|by| *by != rule);
                rules.sort_unstable();
                rules.dedup();
                match rules.as_slice() {
                    [] => "another alternative of the rule takes all of them".to_owned(),
                    [only] => format!("{} comes first and takes all of them", self.named(*only)),
                    [first, second] => {
                        let (first, second) = (self.named(*first), self.named(*second));
                        format!("{first} and {second} come first and take all of them")
                    }
                    [first, rest @ ..] => {
                        format!("{} and {} others come first and take all of them", self.named(*first), rest.len())
                    }
                }
            };
            if !entries.is_empty() && entries.iter().all(|(_, by)| by.is_some()) {
                let why = format!("never takes a request: {}", blamed(entries));
                remarks.push(Remark::new(format!("rules[{rule}]"), why));
                continue;
            }
            let mut told = Vec::new();
            for (entry, by) in entries.iter().filter(|(_, by)| by.is_some()) {
                let own: Vec<_> =
                    entries.iter().filter(|(other, _)| other.alternative == entry.alternative).copied().collect();
                let at = self.place(entry, &several);
                if own.iter().all(|(_, by)| by.is_some()) {
                    if !told.contains(&entry.alternative) {
                        told.push(entry.alternative);
                        remarks.push(Remark::new(at, format!("never takes a request: {}", blamed(&own))));
                    }
                } else if let Some(host) = &entry.host {
                    let why = blamed(&[(*entry, *by)]);
                    remarks.push(Remark::new(at, format!("never takes a request with {host}: {why}")));
                }
            }
        }
        remarks
    }

    /// Patterns that come before a rule for a plain path, and take that path.
    fn patterns_first(&self, shadows: &Shadows, remarks: &mut Vec<Remark>) {
        let several = self.several();
        let near =
            Near::new(self.table, |entry| entry.matched.path.as_ref().is_some_and(|path| path.pattern().is_some()));
        let plain = |number: usize| shadows.get(number).is_some_and(Option::is_none);
        for (number, entry) in self.entries().iter().enumerate().filter(|(number, _)| plain(*number)) {
            let Some(text) = entry.matched.path.as_ref().and_then(|path| path.text()) else { continue };
            let text = if text.is_empty() { b"/" } else { text };
            let mut first = None;
            near.visit(entry, number, &mut |_, wide| {
                if wide.rule != entry.rule
                    && wide.matched.path.as_ref().is_some_and(|pattern| pattern.matches(text))
                    && self.share_hosts(wide, entry)
                    && wide.matched.covers_beside_path(&entry.matched)
                {
                    first = Some(wide.rule);
                }
                first.is_none() && self.budget.take()
            });
            if let Some(rule) = first {
                let path = String::from_utf8_lossy(text);
                let why = format!("{} comes first, and its pattern takes {path} too", self.named(rule));
                remarks.push(Remark::new(self.place(entry, &several), why));
            }
        }
    }

    /// String prefixes that end within the segment of another rule's path.
    fn texts(&self, remarks: &mut Vec<Remark>) {
        let open = |path: &PathKind| matches!(path, PathKind::StringPrefix(text) if !text.ends_with(b"/"));
        let near = Near::new(self.table, |entry| entry.matched.path.as_ref().is_some_and(|path| open(&path.kind)));
        let several = self.several();
        let mut told = vec![false; self.entries().len()];
        for (number, entry) in self.entries().iter().enumerate() {
            let Some(text) = entry.matched.path.as_ref().and_then(|path| path.text()) else { continue };
            near.visit(entry, usize::MAX, &mut |other, wide| {
                let Some(prefix) = wide.matched.path.as_ref().and_then(|path| path.text()) else { return true };
                let within = text.starts_with(prefix) && text.get(prefix.len()).is_some_and(|next| *next != b'/');
                let handled = number < other
                    && self.share_hosts(entry, wide)
                    && entry.matched.covers_beside_path(&wide.matched);
                if within
                    && !handled
                    && wide.rule != entry.rule
                    && told.get(other) == Some(&false)
                    && self.share_hosts(wide, entry)
                    && !wide.matched.excludes_beside_path(&entry.matched)
                {
                    if let Some(told) = told.get_mut(other) {
                        *told = true;
                    }
                    let (prefix, path) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(text));
                    let why = format!(
                        "the string prefix {prefix} takes {path} too, which {} is about; \"prefix\" takes whole segments",
                        self.named(entry.rule)
                    );
                    remarks.push(Remark::new(self.place(wide, &several), why));
                }
                self.budget.take()
            });
        }
    }
}

#[cfg(test)]
mod tests;
