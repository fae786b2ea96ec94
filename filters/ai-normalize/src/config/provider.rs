//! Providers.

use ai_translate::CapabilityChanges;
use ai_translate::provider::openai::Quirks;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Paths {
    /// For whole answers.
    pub chat: Option<String>,
    /// For streams; without it, `chat`.
    pub stream: Option<String>,
    /// For responses, where the provider has them and the client speaks them.
    pub responses: Option<String>,
    /// For vectors.
    pub embeddings: Option<String>,
    /// For numbers of tokens.
    pub count_tokens: Option<String>,
}

/// How a provider knows who asks. What a client sent to say who it is never goes on, unless told.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "snake_case"))]
pub enum KeySource {
    /// From this environment variable of the VM (`vm_config.environment_variables`).
    Env(String),
    /// From this request header, which Envoy sets before this filter (`credential_injector`, SDS) and which does not go on under this name.
    Header(String),
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = KeySource;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`{env: NAME}` or `{header: NAME}`")
            }

            // a key that stands here by mistake is not repeated in the error
            fn visit_str<E: de::Error>(self, _: &str) -> Result<KeySource, E> {
                Err(E::custom("expected `{env: NAME}` or `{header: NAME}`; a key cannot stand in a configuration"))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<KeySource, M::Error> {
                let wanted = || de::Error::custom("expected either `env` or `header`");
                let source = match map.next_entry::<String, String>()? {
                    Some((kind, name)) if kind == "env" => KeySource::Env(name),
                    Some((kind, name)) if kind == "header" => KeySource::Header(name),
                    _ => return Err(wanted()),
                };
                match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(source),
                    Some(_) => Err(wanted()),
                }
            }
        }

        source.deserialize_any(Reader)
    }
}
