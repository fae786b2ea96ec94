//! Picks a target cluster by host, method, path, headers and query parameters, and may rewrite path and host.
//!
//! The filter opens no connections. It says what it decided in two request headers that it owns,
//! [`ROUTE_HEADER`] and [`CLUSTER_HEADER`]; the host's route table sends the request on by them.

mod config;
mod decide;
mod target;

pub use config::{Config, DefaultConfig, DefaultTargetConfig, RuleConfig, TargetConfig};
pub use decide::{HeaderRouter, HeaderRouterStream};

/// Name of the rule that was chosen. What a client sends under this name is removed.
pub const ROUTE_HEADER: &str = "x-sluice-route";
/// Cluster that was chosen, for Envoy's `cluster_header`. What a client sends under this name is removed.
pub const CLUSTER_HEADER: &str = "x-sluice-cluster";
