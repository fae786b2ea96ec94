//! What can be seen of an exchange from outside.

use std::collections::BTreeMap;

/// Everything that a case can look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// What an upstream got, and which; nothing if the request got to none.
    pub upstream: Option<(String, Message)>,
    /// What another one got as a copy.
    pub mirror: Option<(String, Message)>,
    /// What the client got.
    pub client: Message,
    /// The response was cut off.
    pub reset: bool,
    /// By how much counters grew; those that did not are left out.
    pub counters: BTreeMap<String, u64>,
    /// The fields for the access log that the case looks at, as far as they are set.
    pub log: BTreeMap<String, Vec<u8>>,
    /// The calls that the rate limit service got.
    pub service: Vec<rate_limit_service::Call>,
}

impl Observation {
    /// A field for the access log as logs show it: `-` for one that is not set.
    pub fn log_field(&self, name: &str) -> &[u8] {
        self.log.get(name).map_or(b"-", Vec::as_slice)
    }
}

/// A request or response on the wire. Pseudo headers stand among the headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// In order; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// In order.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// What is wrong with the framing, if anything.
    pub framing: Option<String>,
}

impl Message {
    /// All values of a name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The first value of a name.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }
}

/// What an exchange cost in this host; the same on every machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Host calls by name.
    pub host_calls: BTreeMap<String, u64>,
    /// Instructions, about.
    pub fuel: u64,
}

/// The outcome of one case in one runner.
#[derive(Debug, Clone)]
pub enum Seen {
    /// It ran.
    Ran(Box<Observation>, Option<Cost>),
    /// It needs something that this runner does not have.
    Skipped(String),
    /// The chain did not start, or the runner failed.
    Failed(String),
}
