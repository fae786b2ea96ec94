//! Rates, connections, time limits and retries.

use super::annotations::nginx;
use crate::convert::Converter;
use crate::model::{Policy, Retry};
use crate::parts::short;
use crate::report::Section;
use crate::source::Document;
use header_router::RuleConfig;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Time limits and retries of an Ingress' rules.
pub fn policy(ingress: &Document, default: &Policy) -> Policy {
    let mut policy = default.clone();
    let number = |name: &str| nginx(ingress, name).and_then(|text| text.trim_end_matches('s').parse::<u64>().ok());
    if let Some(seconds) = number("proxy-read-timeout").max(number("proxy-send-timeout")) {
        policy.idle_ms = Some(seconds.saturating_mul(1000));
    }
    if let Some(events) = nginx(ingress, "proxy-next-upstream") {
        let mut on = BTreeSet::new();
        let mut statuses = BTreeSet::new();
        for event in events.split_whitespace() {
            match event {
                "error" => drop(on.insert("connect-failure".to_owned())),
                "timeout" => drop(on.insert("reset".to_owned())),
                "off" => on.clear(),
                other => {
                    if let Some(status) = other.strip_prefix("http_").and_then(|status| status.parse().ok()) {
                        statuses.insert(status);
                        on.insert("retriable-status-codes".to_owned());
                    }
                }
            }
        }
        policy.retry = (!on.is_empty()).then(|| Retry {
            on: on.into_iter().collect(),
            statuses: statuses.into_iter().collect(),
            times: 2,
            ..Retry::default()
        });
    }
    if let (Some(tries), Some(retry)) = (number("proxy-next-upstream-tries"), &mut policy.retry) {
        retry.times = tries.saturating_sub(1);
    }
    policy.retry = policy.retry.filter(|retry| retry.times > 0);
    policy
}

/// Addresses that limits do not count for have rules of their own, which no limit names.
pub fn exempt(ingress: &Document, made: &mut Vec<RuleConfig>) {
    let blocks = nginx(ingress, "limit-allowlist").or_else(|| nginx(ingress, "limit-whitelist")).unwrap_or_default();
    let blocks: Vec<String> =
        blocks.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect();
    if blocks.is_empty() {
        return;
    }
    let mut all = Vec::new();
    for rule in made.drain(..) {
        if !rule.targets.is_empty() {
            let mut free = rule.clone();
            free.name = short(&format!("{}{EXEMPT}", rule.name));
            let mut matched = free.r#match.take().unwrap_or_default();
            matched.source_addresses.clone_from(&blocks);
            free.r#match = Some(matched);
            all.push(free);
        }
        all.push(rule);
    }
    *made = all;
}

/// End of the names of such rules.
pub const EXEMPT: &str = "/unlimited";

/// The rate-limit filter's configuration for rules by name and Ingress, if any of them has limits.
pub fn rate_limit(converter: &mut Converter<'_>, rules: &[(String, &Document)]) -> Option<Value> {
    let mut policies = Vec::new();
    for (name, ingress) in rules {
        let number =
            |name: &str| nginx(ingress, name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        let burst = number("limit-burst-multiplier").unwrap_or(5);
        let mut limits = Vec::new();
        for (annotation, per_ms) in [("limit-rps", 1000u64), ("limit-rpm", 60_000)] {
            if let Some(units) = number(annotation) {
                limits.push(
                    json!({"name": annotation, "units": units, "per_ms": per_ms, "burst": units.saturating_mul(burst)}),
                );
            }
        }
        if let Some(most) = number("limit-connections") {
            limits.push(json!({"name": "limit-connections", "concurrent": most.min(65_535)}));
        }
        if limits.is_empty() {
            continue;
        }
        let matched = json!({"headers": [{"name": header_router::ROUTE_HEADER, "match": {"exact": name}}]});
        policies.push(json!({"name": name, "match": matched, "key": [{"source_address": {}}], "limits": limits}));
        let text = "limits answer with 429, where nginx answers with 503, and count over all workers";
        converter.report.object(Section::Changed, ingress, text);
    }
    (!policies.is_empty()).then(|| json!({"policies": policies}))
}
