//! One AI API in, many model providers out.
//!
//! A request in the dialect of OpenAI or Anthropic is looked up in a table of models, translated for the provider that the table names, and sent to
//! its cluster; the answer, whole or as a stream, comes back in the dialect of the client. What dialects say is
//! `ai-translate`'s business; this filter knows paths, models, providers, keys and headers.

mod answer;
mod auth;
mod config;
mod endpoint;
mod explain;
mod filter;
mod list;
mod metrics;
mod models;
mod request;

pub use config::{Auth, Config, KeySource, ModelConfig, Others, Paths, ProviderConfig, Unsupported};
pub use explain::{Explanation, clusters};
pub use filter::{AiNormalize, AiStream};
