//! Limits that a service keeps.

use filter_kit::config::unsigned;
use serde::Deserialize;

/// A rate limit service: `envoy.service.ratelimit.v3` over gRPC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ServiceConfig {
    /// The host's cluster of it, which has to speak HTTP/2.
    pub cluster: String,
    /// The domain that its limits are under.
    pub domain: String,
    /// Milliseconds to wait for an answer, 1 to 60,000.
    #[serde(default = "timeout", deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub timeout_ms: u64,
    /// Status of the answer if the service cannot be asked and `on_error` is `closed`: 400 to 599.
    #[serde(default = "unavailable")]
    pub error_status: u16,
    /// It knows `is_negative_hits`, so what was asked for and not used can be given back. One that does not know it would count it
    /// once more.
    #[serde(default)]
    pub refunds: bool,
}

/// How a policy uses the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct GlobalConfig {
    /// What the service calls the parts of the key: one name for each, in their order.
    pub descriptor: Vec<String>,
    /// When it is asked.
    #[serde(default)]
    pub mode: Mode,
    /// For `mode: lease`.
    pub lease: Option<LeaseConfig>,
    /// For `mode: report`.
    pub report: Option<ReportConfig>,
    /// What happens if it cannot be asked.
    #[serde(default)]
    pub on_error: OnError,
    /// Sends the policy's one limit along, for services that have none configured for the descriptor.
    #[serde(default)]
    pub send_limit: bool,
    /// Values that stand for the key, in place of the key itself: the service and its store do not get to know keys.
    #[serde(default)]
    pub hash_values: bool,
}

/// When the service is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// For each request, which waits for the answer.
    #[default]
    Strict,
    /// For many requests at once: most of them wait for nobody.
    Lease,
    /// Afterwards: the policy's own limits decide, and the service is told what was used. When it says that its limit is reached, this
    /// policy refuses until the service's window ends.
    Report,
}

/// How leases are taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct LeaseConfig {
    /// Units to take at once, 2 to 1,000,000.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub units: u64,
    /// Milliseconds that a lease, or a refusal, lasts if the service does not tell when its window ends: 1 to 86,400,000.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub lasts_ms: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { units: 20, lasts_ms: 1000 }
    }
}

/// How usage is reported.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct ReportConfig {
    /// Units of a key that are told together, 1 to 1,000,000. What is left over is told with the key's next requests.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub units: u64,
    /// Milliseconds that a refusal lasts if the service does not tell when its window ends: 1 to 86,400,000.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub lasts_ms: u64,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self { units: 1, lasts_ms: 1000 }
    }
}

/// What happens if the service cannot be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The request passes.
    #[default]
    Open,
    /// It is answered with the service's `error_status`.
    Closed,
    /// The policy's own limits decide.
    Local,
}

fn timeout() -> u64 {
    100
}

fn unavailable() -> u16 {
    503
}
