//! OpenAI, and providers that speak like it.

mod quirks;

pub use quirks::Quirks;
