//! What the rules of a table say of a request, one after the other.

use crate::matching::{Request, Unmet};
use crate::table::{Entry, Table};
use serde::Serialize;

/// How much an explanation tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// The outcome.
    #[default]
    Outcome,
    /// Also the rules that could have taken the request by host and path; the first ones, if they are many.
    Candidates,
    /// Also every other rule.
    All,
}

/// A table that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// `rules`, or the name of a service.
    pub table: String,
    /// The path that its rules saw.
    pub path: String,
    /// The host that its rules saw.
    pub host: String,
    /// Rules that could have taken the request by host and path, in the order in which they are tried; the first ones
    /// only, if they are many.
    pub candidates: Vec<Candidate>,
    /// How many other rules there are.
    pub others: usize,
}

/// What a rule said of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its name.
    pub rule: String,
    /// Its priority.
    pub priority: u16,
    /// Whether it took the request.
    pub found: Found,
    /// Its conditions, for the one that took the request; what put it behind, or the condition that failed.
    pub why: String,
}

/// Whether a rule took a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It did.
    Matched,
    /// It would have, but another came first.
    Behind,
    /// A condition failed.
    Failed,
}

/// Most candidates of a table, unless all are wanted.
const MAX_CANDIDATES: usize = 100;

impl Stage {
    /// Asks every rule of a table. `names` are those of its rules, `taken` the entry that took the request. Of several
    /// entries of a rule the best one speaks.
    pub fn new(
        name: &str,
        table: &Table,
        names: &[&str],
        request: &Request<'_>,
        taken: Option<&Entry>,
        detail: Detail,
    ) -> Self {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut places = vec![None; names.len()];
        let reach = table.reach(request);
        for entry in table.entries() {
            let (Some(name), Some(place)) = (names.get(entry.rule), places.get_mut(entry.rule)) else { continue };
            let unmet = if reach.holds(entry) { entry.unmet(request) } else { Some(Unmet::Hosts) };
            let (found, why) = match unmet {
                _ if taken.is_some_and(|taken| std::ptr::eq(taken, entry)) => {
                    (Found::Matched, conditions(&entry.matched.describe()))
                }
                Some(Unmet::Hosts | Unmet::Path) if detail != Detail::All => continue,
                Some(Unmet::Hosts) if entry.unmet(request) != Some(Unmet::Hosts) => {
                    (Found::Failed, "another rule has a more specific host".to_owned())
                }
                Some(unmet) => (Found::Failed, entry.matched.explain(unmet, request)),
                None => {
                    let ahead = taken.map(|taken| taken.rank.ahead_of(&entry.rank));
                    (Found::Behind, ahead.unwrap_or("depends on the body").to_owned())
                }
            };
            let candidate = Candidate { rule: (*name).to_owned(), priority: entry.rank.priority(), found, why };
            match place.and_then(|place: usize| candidates.get_mut(place)) {
                None => {
                    *place = Some(candidates.len());
                    candidates.push(candidate);
                }
                Some(before) if before.found == Found::Failed && found != Found::Failed => *before = candidate,
                Some(_) => {}
            }
        }
        if candidates.len() > MAX_CANDIDATES && detail != Detail::All {
            let at = candidates.iter().position(|candidate| candidate.found == Found::Matched);
            if let Some(matched) = at.filter(|at| *at >= MAX_CANDIDATES) {
                candidates.swap(MAX_CANDIDATES - 1, matched);
            }
            candidates.truncate(MAX_CANDIDATES);
        }
        let others = names.len().saturating_sub(candidates.len());
        Self { table: name.to_owned(), path: lossy(request.target), host: lossy(request.authority), candidates, others }
    }
}

fn conditions(conditions: &[String]) -> String {
    if conditions.is_empty() { "takes every request".to_owned() } else { conditions.join(", ") }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
