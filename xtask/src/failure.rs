//! The one error type: a sentence for the person at the terminal.

use std::fmt::{self, Display};

/// Why a command stopped, in words that say what to do next.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(String);

/// What every fallible step returns.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when an operation failed.
pub trait During<T> {
    /// Puts `what()` and a colon in front of the cause.
    fn during<S: Display>(self, what: impl FnOnce() -> S) -> Outcome<T>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during<S: Display>(self, what: impl FnOnce() -> S) -> Outcome<T> {
        self.map_err(|cause| Failure(format!("{}: {cause}", what())))
    }
}
