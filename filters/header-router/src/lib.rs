//! Picks a target cluster by host, method, path, headers, query parameters and more, and says what else becomes of a
//! request: rewrites, header edits, redirects, answers.
//!
//! The filter opens no connections. It says what it decided in request headers that it owns, [`ROUTE_HEADER`] and
//! [`CLUSTER_HEADER`]; the host's route table sends the request on by them.

mod answer;
mod config;
mod decide;
mod explain;
mod filter;
mod lint;
mod router;
mod rule;
mod target;

pub use config::{
    Config, DebugConfig, DefaultConfig, DefaultTargetConfig, DirectResponseConfig, FallbackConfig, MirrorConfig, Mode,
    RedirectConfig, RuleConfig, ServiceConfig, StickyConfig, TargetConfig,
};
pub use explain::{Explanation, Share};
pub use filter::{HeaderRouter, HeaderRouterStream};
pub use lint::{clusters, lint};

/// Name of the rule that was chosen. What a client sends under this name is removed.
pub const ROUTE_HEADER: &str = "x-sluice-route";
/// Cluster that was chosen, for Envoy's `cluster_header`. What a client sends under this name is removed.
pub const CLUSTER_HEADER: &str = "x-sluice-cluster";
/// Cluster that gets a copy, for the `cluster_header` of Envoy's `request_mirror_policies`. What a client sends under this
/// name is removed.
pub const MIRROR_HEADER: &str = "x-sluice-mirror";
/// Response header that tells a trusted client why its request went where it went.
pub const DECISION_HEADER: &str = "x-sluice-decision";

#[cfg(test)]
mod tests;
