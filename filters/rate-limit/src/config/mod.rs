//! The configuration as its author writes it.

mod cost;
mod global;
mod limit;

pub use cost::{BodyBytesConfig, CostConfig, CostHeaderConfig, MissingCost, SettleConfig};
pub use global::{GlobalConfig, LeaseConfig, Mode, OnError, ReportConfig, ServiceConfig};
pub use limit::{CalendarConfig, LimitConfig, TierLimitConfig, WindowConfig};

use filter_kit::header_edits::HeaderValueConfig;
use filter_kit::matching::{MatchingConfig, RequestMatchConfig};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Configuration of the rate-limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// How requests are looked at.
    #[serde(default)]
    pub matching: MatchingConfig,
    /// Up to 64 policies. Every one that takes a request has a say; it passes only if all of them let it.
    pub policies: Vec<PolicyConfig>,
    /// Where the state is kept.
    #[serde(default)]
    pub table: TableConfig,
    /// The rate limit service, for policies with `global`.
    pub service: Option<ServiceConfig>,
    /// Who requests come from, for keys by `consumer`.
    pub consumers: Option<ConsumersConfig>,
    /// What a refused client gets.
    #[serde(default)]
    pub answer: AnswerConfig,
    /// Which headers tell clients what is left, on allowed and refused requests alike.
    #[serde(default)]
    pub response_headers: ResponseHeaders,
    /// Writes `sluice_limit_policy` and `sluice_limit_result` for the access log. A host call each.
    #[serde(default)]
    pub log_fields: bool,
}

/// A key and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct PolicyConfig {
    /// Unique name of up to 128 letters, digits and `-_.:/`; a metric label, and what the state is kept under.
    pub name: String,
    /// Conditions; without any, the policy takes every request.
    pub r#match: Option<RequestMatchConfig>,
    /// In place of `match`: up to 64 alternatives of which one suffices.
    #[serde(default)]
    pub matches: Vec<RequestMatchConfig>,
    /// Up to 8 parts that together say whose limits these are. Without any, all requests share them.
    #[serde(default)]
    pub key: Vec<KeyPartConfig>,
    /// What happens to a request that lacks a part of the key.
    #[serde(default)]
    pub missing_key: MissingKey,
    /// 1 to 8 limits on the same key, taken all or none. A policy with `global` may do without.
    #[serde(default)]
    pub limits: Vec<LimitConfig>,
    /// Limits that the rate limit service keeps for all its askers together.
    pub global: Option<GlobalConfig>,
    /// Other numbers for some: by name, the units and bursts of each limit.
    #[serde(default)]
    pub tiers: BTreeMap<String, Vec<TierLimitConfig>>,
    /// The header that names a request's tier. It has to be one that clients cannot set.
    pub tier_header: Option<String>,
    /// Tiers of known keys; a key of several parts is written with `|` between them.
    #[serde(default)]
    pub tier_keys: BTreeMap<String, String>,
    /// What a request takes of every limit.
    #[serde(default)]
    pub cost: CostConfig,
    /// Corrects the cost by what the response says.
    pub settle: Option<SettleConfig>,
    /// Parts per 10,000 of the refusals that are carried out; the others are counted only. 0 is shadow mode.
    #[serde(default = "all")]
    pub enforced: u32,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum KeyPartConfig {
    /// A header's value; of a repeated one, all of them.
    Header(String),
    /// A query parameter's first value.
    QueryParameter(String),
    /// A cookie's first value.
    Cookie(String),
    /// The path, without its query.
    Path,
    /// The method.
    Method,
    /// The host, without port, in lower case.
    Host,
    /// The client's address, as the host trusts it.
    SourceAddress(SourceAddressConfig),
    /// An attribute of the host, as in `["connection", "requested_server_name"]`.
    Property(Vec<String>),
    /// Who the request comes from, by its credential; see `consumers`.
    Consumer,
    /// The same text for every request.
    Constant(String),
}

/// Who requests come from: several credentials may belong to one consumer.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ConsumersConfig {
    /// Where the credential stands; any part of a key but `consumer`.
    pub credential: KeyPartConfig,
    /// Up to 10,000 credentials and the consumers that they belong to. A request with another one has no consumer.
    pub names: BTreeMap<String, String>,
}

/// Credentials stand in no log.
impl std::fmt::Debug for ConsumersConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConsumersConfig({} credentials)", self.names.len())
    }
}

/// Which part of the client's address counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct SourceAddressConfig {
    /// Proxies before this one that add to `x-forwarded-for`: with 2, the address is the last but one in there. With 0 the
    /// host says what it is.
    pub trusted_hops: u32,
    /// Bits of an IPv4 address, 1 to 32.
    pub ipv4_bits: u32,
    /// Bits of an IPv6 address, 1 to 128. Whoever has one usually has 64 bits of them.
    pub ipv6_bits: u32,
}

impl Default for SourceAddressConfig {
    fn default() -> Self {
        Self { trusted_hops: 0, ipv4_bits: 32, ipv6_bits: 64 }
    }
}

/// What happens to a request that lacks a part of the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissingKey {
    /// The policy has no say.
    #[default]
    Skip,
    /// It is refused.
    Deny,
    /// All such requests share one key.
    Shared,
}

/// Where the state is kept. Its size is fixed: 8 keys a row, 64 bytes and 128 for each limit a row, in each policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct TableConfig {
    /// Rows of each policy that has a key, 1 to 65,536.
    pub rows: u32,
    /// What happens when all places of a row are in use.
    pub on_full: OnFull,
    /// Who shares the state.
    pub scope: Scope,
    /// What happens when the state cannot be changed because others are faster too often.
    pub on_contention: OnContention,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { rows: 4096, on_full: OnFull::Evict, scope: Scope::Process, on_contention: OnContention::Deny }
    }
}

/// What happens when all places of a row are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The key that forgets least by it makes room.
    Evict,
    /// A new key is refused.
    Deny,
}

/// Who shares the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All workers of the process, exactly.
    Process,
    /// Each worker has its own: cheaper, and the limits hold for each of them.
    Worker,
}

/// What happens when the state cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnContention {
    /// The request is refused with 503.
    Deny,
    /// The request passes.
    Allow,
}

/// What a refused client gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct AnswerConfig {
    /// 400 to 599.
    pub status: u16,
    /// More headers; values are templates.
    pub headers: Vec<HeaderValueConfig>,
    /// The body; without it, a problem document (RFC 9457) with the names of the limits.
    pub body: Option<String>,
}

impl Default for AnswerConfig {
    fn default() -> Self {
        Self { status: 429, headers: Vec::new(), body: None }
    }
}

/// Which headers tell clients what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResponseHeaders {
    /// `RateLimit` and `RateLimit-Policy`.
    #[default]
    Standard,
    /// Those, and `x-ratelimit-limit`, `-remaining` and `-reset`.
    Both,
    /// None; `retry-after` only on refusals.
    None,
}

fn all() -> u32 {
    10_000
}
