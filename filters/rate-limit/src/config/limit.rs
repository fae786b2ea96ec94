//! Limits.

use filter_kit::config::unsigned;
use serde::Deserialize;

/// One limit. With `per_ms` it is a bucket that fills steadily; with `window` a budget for a stretch of time; with `concurrent` a
/// number of requests in flight.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct LimitConfig {
    /// Its name in `RateLimit` headers; the default is the policy's, with the limit's number behind it if there are several.
    pub name: Option<String>,
    /// Units that a period or window brings, 1 to 2^40 - 1.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub units: u64,
    /// The period in milliseconds, up to 52 days.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub per_ms: u64,
    /// Units that a bucket holds, 1 to 2^40 - 1; the default is `units`.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub burst: u64,
    /// The stretch of time.
    pub window: Option<WindowConfig>,
    /// Requests in flight, 1 to 65,535, in place of units. A request counts for one, whatever its cost.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub concurrent: u64,
    /// Milliseconds after which a request whose end nobody has seen does not count any more, 1,000 to 86,400,000. Longer than any
    /// request takes; the default is 300,000.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub lease_ms: u64,
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum WindowConfig {
    /// Stretches of this many milliseconds since 1970, as the rate limit service of Envoy has them.
    EpochMs(
        #[serde(deserialize_with = "unsigned")]
        #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
        u64,
    ),
    /// This many milliseconds from the first request on.
    FirstUseMs(
        #[serde(deserialize_with = "unsigned")]
        #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
        u64,
    ),
    /// A day of the calendar.
    Day(CalendarConfig),
    /// A month of the calendar.
    Month(CalendarConfig),
}

/// Where the calendar is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct CalendarConfig {
    /// Minutes east of UTC, -1080 to 1080.
    pub utc_offset_minutes: i32,
}

/// A limit's numbers in a tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct TierLimitConfig {
    /// As in the limit; for one of `concurrent` requests, their number.
    #[serde(deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub units: u64,
    /// As in the limit.
    #[serde(default, deserialize_with = "unsigned")]
    #[cfg_attr(feature = "schema", schemars(with = "filter_kit::config::NumberOrText"))]
    pub burst: u64,
}
