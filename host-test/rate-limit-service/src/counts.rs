//! Hits by what they count against.

use rate_limit_protocol::{Descriptor, Unit};
use std::collections::HashMap;
use std::time::Duration;

/// Most counts at a time. Those of windows that have ended make room.
const MAX_COUNTS: usize = 100_000;

/// What hits count against: the domain, the entries as they came, the unit. Which limit was found does not matter, nor what it was when
/// earlier hits came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    domain: String,
    entries: Vec<(String, String)>,
    unit: Unit,
}

impl Key {
    pub(crate) fn new(domain: &str, descriptor: &Descriptor, unit: Unit) -> Self {
        let entries = descriptor.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        Self { domain: domain.to_owned(), entries, unit }
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    /// Seconds since 1970 at which its window ends.
    ends: u64,
    hits: u64,
}

/// All counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(HashMap<Key, Count>);

/// There are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Counts {
    /// The hits in the window of `now`.
    pub(crate) fn get(&self, key: &Key, now: Duration) -> u64 {
        self.0.get(key).filter(|count| count.ends > now.as_secs()).map_or(0, |count| count.hits)
    }

    /// Sets them.
    pub(crate) fn set(&mut self, key: Key, now: Duration, hits: u64) -> Result<(), Full> {
        if self.0.len() >= MAX_COUNTS && !self.0.contains_key(&key) {
            self.0.retain(|_, count| count.ends > now.as_secs());
            if self.0.len() >= MAX_COUNTS {
                return Err(Full);
            }
        }
        let ends = now.as_secs().saturating_add(until_reset(key.unit, now));
        self.0.insert(key, Count { ends, hits });
        Ok(())
    }
}

/// Whole seconds until the window ends, at least 1.
pub(crate) fn until_reset(unit: Unit, now: Duration) -> u64 {
    let length = unit.seconds().max(1);
    length - now.as_secs() % length
}
