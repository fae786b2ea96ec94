//! Scenarios: what the upstream, the client and the counters see of a chain of filters, written once and run three
//! times: by the pure filters, by the `.wasm` files in this host, and by the `.wasm` files in a real Envoy.

mod access_log;
mod bless;
mod bootstrap;
mod check;
mod connection;
mod envoy;
mod exchange;
mod format;
mod native;
mod native_chain;
mod observe;
mod refusals;
mod routing;
mod run;
mod service;
mod settled;
mod text;
mod upstreams;
mod wasm;
mod wire;

pub use bless::bless;
pub use check::Difference;
pub use format::{Case, Scenario, Text};
pub use observe::{Cost, Message, Observation, Seen};
pub use run::{Report, Runner, Runners};
