//! Requests, answers and streams of AI APIs, from one dialect into another.
//!
//! A [`client::Client`] reads what clients of its dialect send and writes what they get; a [`provider::Provider`] writes what providers of its
//! dialect get and reads what they send. Both meet in [`ir`], and neither names the other: [`translate`] brings
//! them together. Where client and provider speak the same dialect, a request is forwarded with changes to single spans.
//!
//! Everything here is data in, data out: no host, no clock, no secrets.

pub mod capability;
pub mod client;
pub mod content;
pub mod context;
pub mod ids;
pub mod ir;
pub mod provider;
pub mod report;
pub mod stream;
pub mod target;
pub mod translate;

pub use capability::{Capabilities, CapabilityChanges};
pub use context::{Context, Hints, ModelName};
pub use report::{Note, Report};
pub use stream::{Item, StreamPipe};
pub use target::{Outgoing, Target};
pub use translate::{Answer, Answering, Operation, Translated};
