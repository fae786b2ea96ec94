//! What requests cost.

use filter_kit::config::unsigned;
use serde::Deserialize;

/// What a request takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum CostConfig {
    /// The same always, 1 to 2^40 - 1.
    Constant(
        #[serde(deserialize_with = "unsigned")]
        #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
        u64,
    ),
    /// What a header says.
    Header(CostHeaderConfig),
    /// By the size of the body.
    BodyBytes(BodyBytesConfig),
}

impl Default for CostConfig {
    fn default() -> Self {
        Self::Constant(1)
    }
}

/// A header that states a cost.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct CostHeaderConfig {
    /// Its name. It has to be one that clients cannot set to their own good.
    pub name: String,
    /// The cost where it is absent or no whole number.
    #[serde(default = "one", deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub otherwise: u64,
}

/// A cost by the size of the request's body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct BodyBytesConfig {
    /// Bytes for which one unit is taken, at least 1; a part of them counts in full.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub per: u64,
    /// Units taken at first where the head does not tell the size; corrected when the exchange is over.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub otherwise: u64,
}

impl Default for BodyBytesConfig {
    fn default() -> Self {
        Self { per: 1, otherwise: 0 }
    }
}

/// Where the response states what the request has really cost. What was taken in advance is corrected by the difference: a debt that later
/// requests wait for, or a refund.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct SettleConfig {
    /// A response header with a whole number of units.
    pub header: String,
    /// What happens if it is absent or no whole number, or if there is no response.
    #[serde(default)]
    pub missing: MissingCost,
    /// Takes the header out of the response.
    #[serde(default)]
    pub remove: bool,
}

/// What becomes of what was taken if the response states no cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissingCost {
    /// It stays taken.
    #[default]
    Keep,
    /// All of it is given back.
    Refund,
    /// It is given back if there is no response, or one with a status of 400 or above.
    RefundOnError,
}

fn one() -> u64 {
    1
}
