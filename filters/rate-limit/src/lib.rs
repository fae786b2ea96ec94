//! Limits requests by any key, exactly over all workers, in memory of a fixed size.

mod answer;
pub mod bucket;
mod claim;
pub mod concurrency;
mod config;
mod explain;
mod filter;
mod global;
mod headers;
mod judge;
pub mod key;
pub mod limit;
mod limiter;
mod lint;
mod policy;
pub mod remote;
mod reservation;
pub mod set;
pub mod window;

pub use config::{
    AnswerConfig, BodyBytesConfig, CalendarConfig, Config, ConsumersConfig, CostConfig, CostHeaderConfig, GlobalConfig,
    KeyPartConfig, LeaseConfig, LimitConfig, MissingCost, MissingKey, Mode, OnContention, OnError, OnFull,
    PolicyConfig, ReportConfig, ResponseHeaders, Scope, ServiceConfig, SettleConfig, SourceAddressConfig, TableConfig,
    TierLimitConfig, WindowConfig,
};
pub use explain::{Explanation, Wanted, WantedLimit};
pub use filter::{Passed, RateLimit, RateLimitStream, Reserved};
pub use judge::{Judgement, Left};
pub use limiter::Asking;
pub use lint::{cluster, lint};
pub use reservation::Reservation;

#[cfg(test)]
mod tests;
