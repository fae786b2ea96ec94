//! A proxy-wasm host that behaves like Envoy 1.40: it runs the shipped `.wasm` files without Envoy, in tests and in the
//! embedded gateway. The core does no input and output: bytes go in, [`Effect`]s come out, time is the [`Clock`]'s.

mod abi;
mod attributes;
mod chain;
mod clock;
mod context;
mod effect;
mod fleet;
mod grpc;
mod grpc_service;
mod guest;
mod header_edits;
mod headers;
mod host;
mod imports;
mod metrics;
mod module;
mod outlet;
mod pairs;
mod plugin;
mod properties;
mod protobuf;
mod report;
mod shared;
mod stream;
mod stream_data;
mod value;
mod vm;
mod worker;

pub mod gateway;
pub mod scenario;

pub use abi::{LogLevel, Status};
pub use attributes::{Attributes, RouteInfo, RouteResolver, source_address, source_address_behind};
pub use clock::Clock;
pub use effect::{Answer, Callout, CalloutToken, Effect, LocalReply, ResetReason, StreamId};
pub use fleet::StartError;
pub use grpc::{GrpcAnswer, GrpcCallout};
pub use header_edits::{HeaderEdit, HeaderEdits, WhenThere};
pub use headers::{HeaderMap, Role};
pub use host::{DEFAULT_FUEL, Host, LogRecord, LogSink};
pub use metrics::{Metric, Metrics};
pub use module::{LoadError, Module};
pub use placed_yaml as yaml;
pub use plugin::{FailurePolicy, PluginConfig};
pub use report::{Meter, Misuse, TrapReport};
pub use shared::SharedData;
pub use value::Value;
pub use worker::{Closed, Worker};
