//! Recorded requests that two configurations treat differently.

use crate::explain::{Chains, Report};
use crate::requests::Lines;
use filter_kit::explain::Detail;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// What becomes of a file of requests.
#[derive(Debug, Default, Serialize)]
pub struct Recorded {
    /// How many there are.
    pub total: u64,
    /// How many change.
    pub changed: u64,
    /// How many lines could not be read.
    pub unreadable: u64,
    /// Kinds of changes, the most frequent first.
    pub changes: Vec<Kind>,
}

/// Requests that change in the same way.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// How they change, as in `target a -> b`.
    pub change: String,
    /// How many they are.
    pub count: u64,
    /// The first of them.
    pub lines: Vec<Example>,
}

/// A request that changes.
#[derive(Debug, Serialize)]
pub struct Example {
    /// The line in the file.
    pub line: u64,
    /// What became of it.
    pub old: Report,
    /// What becomes of it.
    pub new: Report,
}

/// Most kinds of changes that are told apart.
const MAX_KINDS: usize = 1000;

/// Asks both of every request. What is drawn follows from the line, so that equal weights draw equally.
///
/// # Errors
/// If the file cannot be read.
pub fn compare(old: &Chains, new: &Chains, file: &Path, examples: usize) -> Result<Recorded, String> {
    let mut lines = Lines::open(file)?;
    let mut recorded = Recorded::default();
    let mut kinds: HashMap<String, usize> = HashMap::new();
    while let Some((line, request)) = lines.next()? {
        let request = match request {
            Ok(request) => request,
            Err(why) => {
                recorded.unreadable += 1;
                if recorded.unreadable <= 10 {
                    eprintln!("sluice: {}:{line}: {why}", file.display());
                }
                continue;
            }
        };
        recorded.total += 1;
        // that a rule moved in its file is no change of what becomes of a request
        let ask = |chains: &Chains| Report { source: None, ..chains.explain(&request, line, Detail::Outcome) };
        let (before, after) = (ask(old), ask(new));
        if before == after {
            continue;
        }
        recorded.changed += 1;
        let mut change = difference(&before, &after);
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&change) {
            change = "other changes".to_owned();
        }
        let place = *kinds.entry(change.clone()).or_insert_with(|| {
            recorded.changes.push(Kind { change, count: 0, lines: Vec::new() });
            recorded.changes.len() - 1
        });
        if let Some(kind) = recorded.changes.get_mut(place) {
            kind.count += 1;
            if kind.lines.len() < examples {
                kind.lines.push(Example { line, old: before, new: after });
            }
        }
    }
    recorded.changes.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    Ok(recorded)
}

/// The kind of a change: paths and locations differ from request to request, so only that they change counts.
fn difference(old: &Report, new: &Report) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, old: Option<&str>, new: Option<&str>| {
        if old != new {
            parts.push(format!("{name} {} -> {}", old.unwrap_or("none"), new.unwrap_or("none")));
        }
    };
    let text = |status: Option<u16>| status.map(|status| status.to_string());
    part("outcome", Some(old.outcome), Some(new.outcome));
    part("rule", old.rule.as_deref(), new.rule.as_deref());
    part("target", old.target.as_deref(), new.target.as_deref());
    part("status", text(old.status).as_deref(), text(new.status).as_deref());
    // what goes nowhere has no host and no path
    if old.host.is_some() && new.host.is_some() {
        part("host", old.host.as_deref(), new.host.as_deref());
        if old.path != new.path {
            parts.push("path".to_owned());
        }
    }
    if old.location.is_some() && new.location.is_some() && old.location != new.location {
        parts.push("location".to_owned());
    }
    parts.join(", ")
}

impl Recorded {
    /// Whether every request stays as it is.
    pub fn is_same(&self) -> bool {
        self.changed == 0
    }

    /// A table for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let verb = if self.changed == 1 { "changes" } else { "change" };
        let _ = writeln!(text, "requests: {} of {} {verb}", self.changed, self.total);
        for Kind { change, count, lines } in &self.changes {
            let _ = writeln!(text, "{count:>7}  {change}");
            for Example { line, old, new } in lines {
                let mut told = format!("         line {line}");
                for (from, to) in [(&old.path, &new.path), (&old.location, &new.location)] {
                    if let (Some(from), Some(to)) = (from, to)
                        && from != to
                    {
                        let _ = write!(told, "  {from} -> {to}");
                    } else if let (Some(same), Some(_)) | (Some(same), None) | (None, Some(same)) = (from, to) {
                        let _ = write!(told, "  {same}");
                    }
                }
                let _ = writeln!(text, "{told}");
            }
        }
        text
    }
}
