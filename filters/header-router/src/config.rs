//! The configuration as its author writes it.

use filter_kit::matching::RequestMatchConfig;
use filter_kit::rewrite::RewriteConfig;
use filter_kit::rule::{Named, lowest_priority};
use serde::Deserialize;

/// Configuration of the header-router.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// Up to 10,000 rules. The one with the lowest priority number that matches decides; among equals, the first.
    pub rules: Vec<RuleConfig>,
    /// What happens to a request that no rule takes.
    pub default: DefaultConfig,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RuleConfig {
    /// Unique name of up to 128 letters, digits and `-_.:/`; the value of `x-sluice-route` and a metric label.
    pub name: String,
    /// 0 to 1000, lower first.
    #[serde(default = "lowest_priority")]
    pub priority: u16,
    /// Conditions; without any, the rule takes every request.
    #[serde(default)]
    pub r#match: RequestMatchConfig,
    /// Where requests go; of several, one by weight.
    pub targets: Vec<TargetConfig>,
    /// What becomes of path and host.
    #[serde(default)]
    pub rewrite: RewriteConfig,
}

/// A cluster and its share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct TargetConfig {
    /// Name of a cluster of the host.
    pub cluster: String,
    /// Share of the sum of the rule's weights, 0 to 1,000,000; 0 is never chosen.
    #[serde(default = "one")]
    pub weight: u32,
}

/// What happens to a request that no rule takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum DefaultConfig {
    /// It goes on without decision headers; the host's route table decides.
    Continue,
    /// It goes to this cluster.
    Target(DefaultTargetConfig),
    /// It is answered with this status, 400 to 599.
    Status(u16),
}

/// The cluster of last resort.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DefaultTargetConfig {
    /// Name of a cluster of the host.
    pub cluster: String,
}

impl Named for RuleConfig {
    fn name(&self) -> &str {
        &self.name
    }

    fn priority(&self) -> u16 {
        self.priority
    }
}

fn one() -> u32 {
    1
}
