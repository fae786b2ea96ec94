//! What Envoy's routes do for rules: time limits and retries, and the header that tells them apart.

use crate::model::{Policy, Table};
use crate::parts::seconds;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The request header by which the route table finds a rule's policy.
pub const POLICY_HEADER: &str = "x-gateway-policy";

/// A value of [`POLICY_HEADER`] for each policy of rules.
pub fn numbers(table: &Table) -> BTreeMap<&Policy, String> {
    let mut all: Vec<&Policy> = table.policies.values().filter(|policy| **policy != table.policy).collect();
    all.sort();
    all.dedup();
    all.into_iter().zip(1..).map(|(policy, number)| (policy, number.to_string())).collect()
}

/// Writes a policy into a route's action.
pub fn write(policy: &Policy, action: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| action.insert(name.to_owned(), value);
    if let Some(ms) = policy.timeout_ms {
        put("timeout", json!(seconds(ms)));
    }
    if let Some(ms) = policy.idle_ms {
        put("idle_timeout", json!(seconds(ms)));
    }
    let Some(retry) = &policy.retry else { return };
    let mut made = Map::new();
    made.insert("retry_on".to_owned(), json!(retry.on.join(",")));
    made.insert("num_retries".to_owned(), json!(retry.times));
    if !retry.statuses.is_empty() {
        made.insert("retriable_status_codes".to_owned(), json!(retry.statuses));
    }
    if let Some(ms) = retry.per_try_ms {
        made.insert("per_try_timeout".to_owned(), json!(seconds(ms)));
    }
    if let Some(ms) = retry.back_off_ms {
        made.insert("retry_back_off".to_owned(), json!({"base_interval": seconds(ms)}));
    }
    put("retry_policy", Value::Object(made));
}
