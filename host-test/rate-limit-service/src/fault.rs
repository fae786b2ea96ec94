//! Which failure happens to a call.

use crate::config::{Fault, FaultUse};
use rate_limit_protocol::Request;

/// The failures of a configuration, and how often each one's turn has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Vec<(FaultUse, u64)>);

impl Faults {
    pub(crate) fn new(faults: &[FaultUse]) -> Self {
        Self(faults.iter().map(|each| (each.clone(), 0)).collect())
    }

    /// The first one that concerns a call.
    pub(crate) fn next(&mut self, request: &Request) -> Option<Fault> {
        let values = || request.descriptors.iter().flat_map(|each| &each.entries).map(|entry| &entry.value);
        for (each, seen) in &mut self.0 {
            if each.value.as_ref().is_some_and(|value| !values().any(|known| known == value)) {
                continue;
            }
            let turn = *seen;
            *seen = seen.saturating_add(1);
            let ends = each.times.map_or(u64::MAX, |times| each.skip.saturating_add(times));
            if (each.skip..ends).contains(&turn) {
                return Some(each.fault.clone());
            }
        }
        None
    }
}
