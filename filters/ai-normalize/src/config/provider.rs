//! Providers.

use ai_translate::CapabilityChanges;
use ai_translate::provider::openai::Quirks;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ProviderConfig {
    /// Unique name of up to 64 letters, digits and `-_.`; a metric label.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub name: String,
    /// How it speaks: `openai`, `azure`, `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `mistral`, ...; the README lists all.
    pub dialect: String,
    /// Envoy cluster, told in `x-sluice-cluster`.
    pub cluster: String,
    /// The host it is asked by (`:authority`); without it, the client's stays.
    pub host: Option<String>,
    /// What stands before the dialect's path: empty, or with a slash at its begin and none at its end.
    #[serde(default)]
    pub path_prefix: String,
    /// Paths in place of the dialect's. `{model}` is the model, `{NAME}` one of `variables`, each as one encoded segment.
    #[serde(default)]
    pub paths: Paths,
    /// What paths name: `project` and `location` for Vertex, `api_version` for Azure..
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How it knows who asks.
    #[serde(default)]
    pub auth: Auth,
    /// Up to 32 further request headers. No secrets: configurations can be read.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub headers: BTreeMap<String, String>,
    /// Where a provider that speaks like OpenAI differs from what is known of its dialect.
    pub quirks: Option<Quirks>,
    /// Where its models differ from what is known of its dialect.
    #[serde(default)]
    pub capabilities: CapabilityChanges,
}

/// Paths in place of a dialect's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Paths {
    /// For whole answers.
    pub chat: Option<String>,
    /// For streams; without it, `chat`.
    pub stream: Option<String>,
    /// For vectors.
    pub embeddings: Option<String>,
    /// For numbers of tokens.
    pub count_tokens: Option<String>,
}

/// How a provider knows who asks. What a client sent to say who it is never goes on, unless told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// By nothing here: it wants nothing, or Envoy sees to it behind this filter (`aws_request_signing`, `credential_injector`).
    #[default]
    None,
    /// `authorization: Bearer KEY`
    Bearer(KeySource),
    /// A header of its own.
    Header {
        /// Its name: `x-api-key`, `api-key`, `x-goog-api-key`..
        name: String,
        /// Its value.
        key: KeySource,
    },
    /// By what the client sent, which goes on as it is.
    Client,
}

/// Where a key comes from; never from the configuration, which can be read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// From this environment variable of the VM (`vm_config.environment_variables`).
    Env(String),
    /// From this request header, which Envoy sets before this filter (`credential_injector`, SDS) and which does not go on under this name.
    Header(String),
}
