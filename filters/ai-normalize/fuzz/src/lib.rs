//! Fuzz targets: each takes any bytes and panics if what it tests breaks a promise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken promise is told by a panic")]

pub mod exchange;
mod input;
mod targets;

pub use fuzz_engine::Target;
pub use input::Input;
pub use targets::TARGETS;
