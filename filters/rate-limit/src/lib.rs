//! Limits requests by any key, exactly over all workers, in memory of a fixed size.

pub mod bucket;
mod config;
mod explain;
mod filter;
mod headers;
mod judge;
pub mod key;
pub mod limit;
mod policy;
pub mod set;
pub mod window;

pub use config::{
    AnswerConfig, CalendarConfig, Config, CostConfig, CostHeaderConfig, KeyPartConfig, LimitConfig, MissingKey,
    OnContention, OnFull, PolicyConfig, ResponseHeaders, Scope, SourceAddressConfig, TableConfig, TierLimitConfig,
    WindowConfig,
};
pub use explain::{Explanation, Wanted};
pub use filter::{RateLimit, RateLimitStream};
pub use judge::{Judgement, Left};

#[cfg(test)]
mod tests;
