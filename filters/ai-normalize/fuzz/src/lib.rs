//! Fuzz targets: each takes any bytes and panics if what it tests breaks a promise.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken promise is told by a panic")]

pub mod exchange;
mod input;
mod targets;

pub use input::Input;
pub use targets::TARGETS;

/// What can be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Executes one input.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes that a change may put in.
    pub dictionary: &'static [&'static [u8]],
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
