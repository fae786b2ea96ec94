//! The configuration as its author writes it.

use filter_kit::header_edits::{HeaderEditsConfig, HeaderValueConfig};
use filter_kit::matching::{MatchingConfig, RequestMatchConfig};
use filter_kit::rewrite::RewriteConfig;
use filter_kit::rule::{Named, lowest_priority};
use filter_kit::table::Order;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The header that asks for decisions, unless another is named.
pub(crate) const DEBUG_HEADER: &str = "x-sluice-debug";

/// Configuration of the header-router.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// Whose defaults apply.
    #[serde(default)]
    pub mode: Mode,
    /// How rules of one priority are ordered. The default is `specificity`, in mode `app_mesh` it is `length`.
    pub order: Option<Order>,
    /// How requests are looked at. In mode `app_mesh`, repeated headers are `joined`, whatever stands here.
    #[serde(default)]
    pub matching: MatchingConfig,
    /// Up to 10,000 rules, those of services included. The first in the order that takes a request decides.
    #[cfg_attr(feature = "schema", schemars(length(max = 10_000)))]
    pub rules: Vec<RuleConfig>,
    /// Second tables, for rules that pick a service.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 1000)))]
    pub services: Vec<ServiceConfig>,
    /// What happens to a request that no rule takes.
    pub default: DefaultConfig,
    /// Largest body in bytes that is waited for where rules look at it; a longer one is answered with 413.
    #[serde(default = "default_max_body_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16_777_216)))]
    pub max_body_bytes: usize,
    /// Writes `sluice_rule`, `sluice_target` and `sluice_original_path` for the access log. A host call each.
    #[serde(default)]
    pub log_fields: bool,
    /// Tells trusted clients why a request went where it went.
    pub debug: Option<DebugConfig>,
}

/// Whose defaults apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What is written down, and no more.
    #[default]
    Plain,
    /// App Mesh's: `path.prefix` is text, rules of `rules` that match it replace it by `/`, and the host becomes that of the
    /// service or target.
    AppMesh,
}

/// One rule. Exactly one of `targets`, `service`, `redirect` and `direct_response` says what happens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(extend("anyOf" = [
        {"required": ["targets"]}, {"required": ["service"]}, {"required": ["redirect"]}, {"required": ["direct_response"]}
    ]))
)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RuleConfig {
    /// Unique name of up to 128 letters, digits and `-_.:/`; the value of `x-sluice-route` and a metric label. In a
    /// service it stands behind the service's name and a slash.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.:/-]+$")))]
    pub name: String,
    /// 0 to 1000, lower first.
    #[serde(default = "lowest_priority")]
    #[cfg_attr(feature = "schema", schemars(range(max = 1000)))]
    pub priority: u16,
    /// Conditions; without any, the rule takes every request.
    pub r#match: Option<RequestMatchConfig>,
    /// In place of `match`: up to 64 alternatives of which one suffices. Each has its own place in the order.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub matches: Vec<RequestMatchConfig>,
    /// Where requests go; of several, one by weight.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub targets: Vec<TargetConfig>,
    /// With it, weights of `targets` are parts per 10,000, and what they leave goes here.
    pub fallback: Option<FallbackConfig>,
    /// What ties a client to a target while weights do not change. Without it, every request is drawn anew.
    pub sticky: Option<StickyConfig>,
    /// Name of the service whose rules decide.
    pub service: Option<String>,
    /// Sends the client elsewhere.
    pub redirect: Option<RedirectConfig>,
    /// Answers the client.
    pub direct_response: Option<DirectResponseConfig>,
    /// What becomes of path and host.
    #[serde(default)]
    pub rewrite: RewriteConfig,
    /// In mode `app_mesh`: the prefix stays.
    #[serde(default)]
    pub keep_prefix: bool,
    /// In mode `app_mesh`: the host stays.
    #[serde(default)]
    pub keep_host: bool,
    /// Edits of the request's headers.
    #[serde(default)]
    pub request_headers: HeaderEditsConfig,
    /// Edits of the response's headers.
    #[serde(default)]
    pub response_headers: HeaderEditsConfig,
    /// A cluster that gets copies of requests.
    pub mirror: Option<MirrorConfig>,
    /// Fields `sluice_tag_<name>` for the access log; the values are templates.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 16, "propertyNames" = {"pattern": "^[a-z0-9_]{1,64}$"})))]
    pub tags: BTreeMap<String, String>,
}

/// A second table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ServiceConfig {
    /// Unique name, spelt as that of a rule.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.:/-]+$")))]
    pub name: String,
    /// In mode `app_mesh`: the host that requests get; the default is the name.
    #[serde(default)]
    pub host: String,
    /// Its rules; they see the request as the rule before has rewritten it, and must not pick a service again.
    pub rules: Vec<RuleConfig>,
    /// The answer to a request that none of them takes, 400 to 599.
    #[serde(default = "not_found")]
    #[cfg_attr(feature = "schema", schemars(range(min = 400, max = 599)))]
    pub no_rule_status: u16,
}

/// A cluster, or an answer, and its share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct TargetConfig {
    /// Name of a cluster of the host. Either this or `status`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[!-~]{1,255}$")))]
    pub cluster: Option<String>,
    /// Status of an answer in place of a cluster, 400 to 599: the share of a backend that is not there.
    #[cfg_attr(feature = "schema", schemars(range(min = 400, max = 599)))]
    pub status: Option<u16>,
    /// Share of the sum of the rule's weights, 0 to 1,000,000; with `fallback`, parts per 10,000. 0 is never chosen.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schemars(range(max = 1_000_000)))]
    pub weight: u32,
    /// The host that requests to this target get, port included, whatever `rewrite` says.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._:\[\]-]{1,255}$")))]
    pub host: Option<String>,
}

/// Where requests go that the weights leave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct FallbackConfig {
    /// Name of a cluster of the host.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[!-~]{1,255}$")))]
    pub cluster: String,
    /// As for a target.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[A-Za-z0-9._:\[\]-]{1,255}$")))]
    pub host: Option<String>,
}

/// What ties a client to a target. A request without it is drawn anew.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum StickyConfig {
    /// A header's value.
    Header(String),
    /// A cookie's value.
    Cookie(String),
    /// A query parameter's value.
    QueryParameter(String),
    /// The client's address, as the host trusts it.
    SourceAddress,
}

/// Sends the client elsewhere. What is not given stays as the client asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct RedirectConfig {
    /// `http` or `https`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^https?$")))]
    pub scheme: Option<String>,
    /// The host, without port; a template.
    pub host: Option<String>,
    /// The port. Without it, a new scheme or host has its default port. The default port of the scheme is left out.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub port: Option<u16>,
    /// The whole path; a template. The query stays.
    pub path: Option<String>,
    /// What stands in place of the prefix that the rule matched. The query stays.
    pub prefix: Option<String>,
    /// Leaves the query out.
    #[serde(default)]
    pub strip_query: bool,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [301, 302, 303, 307, 308])))]
    pub status: u16,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DirectResponseConfig {
    /// 200 to 599.
    #[cfg_attr(feature = "schema", schemars(range(min = 200, max = 599)))]
    pub status: u16,
    /// Headers; values are templates.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub headers: Vec<HeaderValueConfig>,
    /// The body, up to 64 KiB.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536)))]
    pub body: String,
}

/// A cluster that gets copies of requests. The filter only says so, in `x-sluice-mirror`; the host's route makes them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct MirrorConfig {
    /// Name of a cluster of the host.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[!-~]{1,255}$")))]
    pub cluster: String,
    /// Parts per 10,000 of the requests, 1 to 10,000.
    #[serde(default = "all")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000)))]
    pub share: u32,
}

/// Tells trusted clients why a request went where it went, in the response header `x-sluice-decision`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DebugConfig {
    /// The request header that asks for it. It does not go on to the upstream.
    #[serde(default = "debug_header")]
    pub header: String,
    /// The value that the header has to have, 16 to 256 bytes.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[!-~]{16,256}$")))]
    pub secret: String,
}

/// What happens to a request that no rule takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum DefaultConfig {
    /// It goes on without decision headers; the host's route table decides.
    Continue,
    /// It goes to this cluster.
    Target(DefaultTargetConfig),
    /// It is answered with this status, 400 to 599.
    Status(#[cfg_attr(feature = "schema", schemars(range(min = 400, max = 599)))] u16),
}

/// The cluster of last resort.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DefaultTargetConfig {
    /// Name of a cluster of the host.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[!-~]{1,255}$")))]
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

impl std::fmt::Debug for DebugConfig {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugConfig").field("header", &self.header).finish_non_exhaustive()
    }
}

fn one() -> u32 {
    1
}

fn all() -> u32 {
    10_000
}

fn found() -> u16 {
    302
}

fn not_found() -> u16 {
    404
}

fn default_max_body_bytes() -> usize {
    64 * 1024
}

fn debug_header() -> String {
    DEBUG_HEADER.to_owned()
}
