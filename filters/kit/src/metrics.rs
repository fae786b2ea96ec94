//! Counters, declared at configure time so that their number is bounded by the configuration.

use crate::{ConfigError, config};
use std::collections::HashMap;

/// Most counters of one filter: each is a metric of the host, in every one of its workers' tables.
pub const MAX_COUNTERS: usize = 50_000;

/// A counter of one filter; an index into its [`MetricTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterId(pub u32);

/// The counters that a filter may step. The shell defines them at the host once per configuration.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MetricTable {
    names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl MetricTable {
    /// Declares a counter; the same name again yields the same id.
    ///
    /// Labels are written into the name as `.label.value` before the last part, the form that Envoy's
    /// `stats_config.stats_tags` can turn into Prometheus labels:
    /// `sluice_router.rule.beta.decisions_total` becomes `sluice_router_decisions_total{rule="beta"}`.
    pub fn counter(&mut self, prefix: &str, labels: &[(&str, &str)], what: &str) -> CounterId {
        let mut name = String::from(prefix);
        for (label, value) in labels {
            name.push('.');
            name.push_str(label);
            name.push('.');
            if value.is_empty() {
                name.push('-');
            }
            name.extend(value.chars().map(label_char));
        }
        name.push('.');
        name.push_str(what);
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let id = *self.ids.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        });
        CounterId(id)
    }

    /// All names, in the order of their ids.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there are more than a filter may have.
    ///
    /// # Errors
    /// With the path `rules`: what a filter counts grows with its rules.
    pub fn check(&self) -> Result<(), ConfigError> {
        let count = self.names.len();
        if count > MAX_COUNTERS {
            let why = format!("expected rules and targets with at most {MAX_COUNTERS} counters, found {count}");
            return Err(ConfigError::new("rules", why));
        }
        Ok(())
    }

    /// Appends another table and returns what to add to its ids.
    pub fn append(&mut self, other: &MetricTable) -> u32 {
        let offset = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.extend_from_slice(&other.names);
        offset
    }
}

/// Names and values of the gauges that tell which configuration of a filter is in force: one that is 1, and the low 31
/// bits of [`crate::config::hash`], which every stats format can hold.
pub fn config_gauges(filter: &str, configuration: &[u8]) -> [(String, u64); 2] {
    let name = |what: &str| format!("sluice_config.filter.{filter}.{what}");
    [(name("loaded"), 1), (name("hash_low"), config::hash(configuration) & 0x7fff_ffff)]
}

/// Label values must not hold the separator of the encoding, nor what a stats sink may trip over.
fn label_char(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_tell_which_configuration_is_in_force() {
        let [loaded, hash] = config_gauges("header-router", b"{}");
        assert_eq!(loaded, ("sluice_config.filter.header-router.loaded".to_owned(), 1));
        assert_eq!(
            hash,
            ("sluice_config.filter.header-router.hash_low".to_owned(), config::hash(b" {} ") & 0x7fff_ffff)
        );
    }

    #[test]
    fn labels_stand_before_the_last_part_and_hold_no_separator() {
        let mut table = MetricTable::default();
        let id = table.counter("sluice_router", &[("rule", "a.b"), ("target", "")], "decisions_total");
        assert_eq!(id, CounterId(0));
        assert_eq!(table.names(), ["sluice_router.rule.a_b.target.-.decisions_total"]);
        assert_eq!(table.counter("sluice_router", &[("rule", "a.b"), ("target", "")], "decisions_total"), id);
    }
}
