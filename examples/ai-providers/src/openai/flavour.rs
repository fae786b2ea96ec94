//! What differs between the servers that speak this dialect.

use crate::reply::{Refused, Reply};
use crate::shape::{Fault, Rules, Shape};
use serde_json::Value;

/// When a stream tells what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// In a chunk of its own without choices, if that was asked for.
    Asked,
    /// On the chunk with the finish reason, always.
    OnFinish,
    /// As `x_groq.usage` on the chunk with the finish reason; in a chunk of its own too, if that was asked for.
    Groq,
}

/// Where an answer tells what the model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// Nowhere: only its tokens are counted.
    Hidden,
    /// In this member beside the content.
    Member(&'static str),
    /// In a part of the content.
    Part,
}

/// A server.
#[derive(Debug)]
pub struct Flavour {
    /// What a chat request may look like.
    pub chat: &'static Shape,
    /// How strictly that is meant.
    pub rules: Rules,
    /// How it tells that a request does not look like that.
    pub fault: fn(&Fault) -> Reply,
    /// How it tells other problems: status, message, parameter, code.
    pub problem: fn(u16, &str, Option<&str>, Option<&str>) -> Reply,
    /// What it checks besides.
    pub check: fn(&Flavour, &Value) -> Result<(), Refused>,
    /// The id of a tool call, by its number.
    pub tool_id: fn(usize) -> String,
    /// When a stream tells what it cost.
    pub stream_usage: StreamUsage,
    /// Where it tells what the model thinks.
    pub reasoning: Reasoning,
    /// Whether a request asks the model to think.
    pub thinks: fn(&Value) -> bool,
    /// Whether each chunk repeats the role.
    pub role_everywhere: bool,
    /// Whether there are notes of a content filter, and a first chunk with nothing else.
    pub filter_notes: bool,
    /// Whether the usage tells hits and misses of the cache by themselves.
    pub cache_hits: bool,
    /// Whether comments keep the stream alive before its first event.
    pub keep_alive: bool,
    /// Whether a stream tells calls whole, with the finish reason.
    pub whole_calls: bool,
    /// Whether a list of embeddings has an id.
    pub embeddings_id: bool,
    /// A finish reason that nobody has heard of.
    pub unknown_finish: &'static str,
    /// The headers of all its answers.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Flavour {
    /// A problem as an error.
    pub fn refuse<T>(&self, status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Result<T, Refused> {
        Err(Box::new((self.problem)(status, message, param, code)))
    }

    /// With the headers that all its answers have.
    pub fn finish(&self, mut reply: Reply) -> Reply {
        reply.headers.extend(self.headers.iter().map(|&(name, value)| (name, value.to_owned())));
        reply
    }
}
