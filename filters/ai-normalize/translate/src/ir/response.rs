//! An answer.

use crate::ir::Part;
use span_json::{Text, Value};

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Response<'a> {
    /// The provider's name for it.
    pub id: Option<Text<'a>>,
    /// The model that the provider says it was.
    pub model: Option<Text<'a>>,
    /// Seconds since 1970.
    pub created: Option<u64>,
    /// One for each answer asked for; in the order of their indexes.
    pub choices: Vec<Choice<'a>>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// What the provider says of its tier.
    pub service_tier: Option<Text<'a>>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Choice<'a> {
    /// From 0 on.
    pub index: u32,
    /// Texts, thoughts, calls of tools, refusals, in the provider's order.
    pub parts: Vec<Part<'a>>,
    /// Why it ends.
    pub finish: Finish,
    /// The text that ended it.
    pub stop_sequence: Option<Text<'a>>,
    /// In OpenAI's shape.
    pub logprobs: Option<Value<'a>>,
}

/// Why an answer ends. What outranks what: see [`Finish::with_calls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// At a text that the client gave.
    StopSequence,
    /// It was too long.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// A filter took it away.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider could not read what its model wrote (a malformed call, for one): there is no whole answer.
    Malformed,
    /// For a reason that is not known here.
    Unknown,
}

impl Finish {
    /// The reason when there are calls of tools: they outrank a plain end, and truncation outranks them.
    #[must_use]
    pub fn with_calls(self, has_calls: bool) -> Self {
        match self {
            Self::Stop | Self::Unknown if has_calls => Self::ToolCalls,
            other => other,
        }
    }
}

/// Tokens. Each total includes its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the request, with those read from and written to a cache.
    pub input: u64,
    /// Of these, read from a cache.
    pub cached: u64,
    /// Of these, written to a cache.
    pub cache_write: u64,
    /// Of the answer, with those thought.
    pub output: u64,
    /// Of these, thought.
    pub reasoning: u64,
}

impl Usage {
    /// Of both.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
