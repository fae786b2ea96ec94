//! Pure building blocks of the Sluice filters.
//!
//! Everything here is data in, data out: no host calls, no clock, no globals. A filter implements [`Filter`] and
//! [`Stream`]; the shell (inside a proxy-wasm host) or a native runner (tests, the `sluice` command) drives them.

pub mod address;
pub mod body;
pub mod callout;
pub mod chunk;
pub mod config;
pub mod env;
pub mod explain;
pub mod filter;
pub mod flow;
pub mod head;
pub mod header_edits;
pub mod lint;
pub mod matching;
pub mod metrics;
pub mod pattern;
pub mod protobuf_struct;
pub mod rewrite;
pub mod rule;
pub mod table;
pub mod template;

pub use body::Body;
pub use callout::{Answer, Callout};
pub use chunk::Chunk;
pub use config::ConfigError;
pub use env::{Contended, Env, FixedEnv};
pub use filter::{Filter, Stream};
pub use flow::{Flow, Reply};
pub use head::{Head, InvalidHeader};
pub use metrics::{CounterId, MetricTable};
