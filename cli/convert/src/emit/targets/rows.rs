//! The routes of a table, whatever the host.

use crate::emit::policy::{self, POLICY_HEADER};
use crate::model::{BackendEdits, Policy, Table};
use header_router::{CLUSTER_HEADER, DefaultConfig, MIRROR_HEADER, ROUTE_HEADER, RuleConfig};
use std::collections::BTreeMap;

/// Milliseconds for an answer where nothing is said, as in Envoy's routes.
const TIMEOUT_MS: u64 = 15_000;

/// A route: what the filter has decided, and what the host does for it.
#[derive(Debug, Clone)]
pub struct Row<'t> {
    /// Where to.
    pub cluster: String,
    /// Who gets a copy.
    pub mirror: Option<String>,
    /// The number of the rule's policy.
    pub number: Option<String>,
    /// The policy.
    pub policy: &'t Policy,
    /// Edits for this rule and cluster alone.
    pub edits: Option<&'t BackendEdits>,
}

impl Row<'_> {
    /// Headers that have to have these values.
    pub fn headers(&self) -> Vec<(&'static str, &str)> {
        let mut headers = vec![(CLUSTER_HEADER, self.cluster.as_str())];
        headers.extend(self.edits.map(|edits| (ROUTE_HEADER, edits.rule.as_str())));
        headers.extend(self.number.as_deref().map(|number| (POLICY_HEADER, number)));
        headers.extend(self.mirror.as_deref().map(|mirror| (MIRROR_HEADER, mirror)));
        headers
    }

    /// Headers that the upstream does not get.
    pub fn remove(&self) -> Vec<String> {
        let mut remove: Vec<String> = self.edits.map(|edits| edits.remove.clone()).unwrap_or_default();
        remove.extend(self.number.as_ref().map(|_| POLICY_HEADER.to_owned()));
        remove
    }

    /// Milliseconds for the answer; 0 for ever.
    pub fn timeout_ms(&self) -> u64 {
        self.policy.timeout_ms.unwrap_or(TIMEOUT_MS)
    }
}

/// All routes, those with most headers first.
pub fn rows(table: &Table) -> Vec<Row<'_>> {
    let numbers = policy::numbers(table);
    let mut found: BTreeMap<Vec<(String, String)>, Row<'_>> = BTreeMap::new();
    let mut all = Vec::new();
    let config = &table.router;
    for rule in &config.rules {
        of_rule(table, &numbers, rule, rule.name.clone(), &mut all);
    }
    for service in &config.services {
        for rule in &service.rules {
            of_rule(table, &numbers, rule, format!("{}/{}", service.name, rule.name), &mut all);
        }
    }
    if let DefaultConfig::Target(target) = &config.default {
        let cluster = target.cluster.clone();
        all.push(Row { cluster, mirror: None, number: None, policy: &table.policy, edits: None });
    }
    for row in all {
        let key = row.headers().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        found.entry(key).or_insert(row);
    }
    let mut rows: Vec<Row<'_>> = found.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.headers().len()));
    rows
}

fn of_rule<'t>(
    table: &'t Table,
    numbers: &BTreeMap<&'t Policy, String>,
    rule: &RuleConfig,
    name: String,
    all: &mut Vec<Row<'t>>,
) {
    let clusters = rule.targets.iter().filter_map(|target| target.cluster.clone());
    let clusters = clusters.chain(rule.fallback.iter().map(|fallback| fallback.cluster.clone()));
    let own = table.policies.get(&name);
    let number = own.and_then(|policy| numbers.get(policy)).cloned();
    for cluster in clusters {
        let edits = table.edits.iter().find(|edits| edits.rule == name && edits.cluster == cluster);
        let policy = own.unwrap_or(&table.policy);
        let row = Row { cluster, mirror: None, number: number.clone(), policy, edits };
        if let Some(mirror) = &rule.mirror {
            all.push(Row { mirror: Some(mirror.cluster.clone()), ..row.clone() });
        }
        all.push(row);
    }
}
