//! How providers that speak like OpenAI differ from it.

use serde::Deserialize;

/// What a provider wants otherwise than OpenAI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {}
