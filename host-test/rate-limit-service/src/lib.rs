//! A rate limit service for tests and demonstrations: `envoy.service.ratelimit.v3.RateLimitService` with counts in memory, and failures on
//! demand. It counts as [envoyproxy/ratelimit](https://github.com/envoyproxy/ratelimit) does, and can be told to do what
//! [Limitador](https://github.com/Kuadrant/limitador) does otherwise.
//!
//! [`Service`] is pure: bytes of a request and a time in, an [`Answer`] out. [`Server`] serves one on the loopback.

mod call;
mod codec;
mod config;
mod counts;
mod fault;
mod limits;
mod server;
mod service;

pub use call::{Call, Hits};
pub use config::{Config, Descriptor, Domain, Fault, FaultUse, Header, InvalidConfig, RateLimit, Statuses, Unit};
pub use server::{Clock, Server, reserve};
pub use service::{Answer, Outcome, Service};
