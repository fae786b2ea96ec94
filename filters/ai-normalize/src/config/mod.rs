//! Configuration.

mod provider;

pub use provider::{Auth, KeySource, Paths, ProviderConfig};

use ai_translate::{CapabilityChanges, ModelName};
use filter_kit::ConfigError;
use filter_kit::head::is_header_name;
use serde::Deserialize;

/// Configuration of ai-normalize.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// What stands before `/v1/chat/completions` and the other paths of clients; empty, or with a slash at its begin and none at its end.
    #[serde(default)]
    pub path_prefix: String,
    /// 1 to 100 providers.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub providers: Vec<ProviderConfig>,
    /// 1 to 1,000 models. Exact names and aliases come before prefixes, longer prefixes before shorter ones.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1000)))]
    pub models: Vec<ModelConfig>,
    /// Name of the model for requests that name none, or none of the table's. Without it they are answered with 400 and 404.
    pub default_model: Option<String>,
    /// What becomes of parameters that a provider has nothing like.
    #[serde(default)]
    pub unsupported: Unsupported,
    /// Which model an answer says it is from.
    #[serde(default)]
    pub model_name: ModelName,
    /// The request is held until its body is there, so that the model in the body decides where it goes. The host has to be set up for
    /// it (`allow_on_headers_stop_iteration: true`). Without it the model comes from `model_header` or the path, and whether a stream is
    /// wanted from `accept: text/event-stream` where the provider's path depends on it.
    #[serde(default = "yes")]
    pub hold: bool,
    /// A request header that names the model, in place of the body's member.
    pub model_header: Option<String>,
    /// A request header that names the provider; the model then is sent as the client names it, unless the table has it for this
    /// provider.
    pub provider_header: Option<String>,
    /// What becomes of requests that are not for an AI API.
    #[serde(default)]
    pub others: Others,
    /// Longest request body in bytes; a longer one is answered with 413. The host has to keep more than this.
    #[serde(default = "default_max_request_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 268_435_456)))]
    pub max_request_bytes: usize,
    /// Longest answer in bytes that is no stream; a longer one is answered with 502.
    #[serde(default = "default_max_response_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 268_435_456)))]
    pub max_response_bytes: usize,
    /// Tells the access log about provider, models and tokens (`sluice_ai_*`); some host calls a request.
    #[serde(default)]
    pub log_fields: bool,
    /// Most bytes of requests that one worker waits for at a time; beyond them it answers 503.
    #[serde(default = "default_max_inflight_bytes")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_u64)))]
    pub max_inflight_bytes: u64,
}

/// A model that clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ModelConfig {
    /// What clients ask for; also its name in metrics and logs. Up to 128 letters, digits and `-_.:/@`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128)))]
    pub name: String,
    /// All models whose name begins with `name`, not only that one.
    #[serde(default)]
    pub prefix: bool,
    /// Up to 32 other names for it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub aliases: Vec<String>,
    /// Name of a provider.
    pub provider: String,
    /// What the provider calls it; without it, what the client asked for.
    pub model: Option<String>,
    /// Where it differs from what its provider's models can do.
    #[serde(default)]
    pub capabilities: CapabilityChanges,
    /// In place of `unsupported` of the whole filter.
    pub unsupported: Option<Unsupported>,
}

/// What becomes of parameters that a provider has nothing like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unsupported {
    /// They are dropped, and named in the response header `x-sluice-ai-dropped`.
    #[default]
    Lenient,
    /// The request is answered with 400 that names the parameter.
    Strict,
}

/// What becomes of requests that are not for an AI API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// They go on as they are.
    #[default]
    Pass,
    /// They are answered with 404.
    Refuse,
}

/// A header's name in lower case, as it is on the wire.
pub(crate) fn check_header(at: &str, name: &str) -> Result<(), ConfigError> {
    if is_header_name(name) && !name.starts_with(':') && !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(ConfigError::new(at, format!("expected the lower-case name of a header, found \"{name}\"")))
}

fn yes() -> bool {
    true
}

/// Below what Envoy keeps by default (1 MiB), so that the answer is ours.
fn default_max_request_bytes() -> usize {
    1_000_000
}

fn default_max_response_bytes() -> usize {
    1_000_000
}

fn default_max_inflight_bytes() -> u64 {
    64 << 20
}
