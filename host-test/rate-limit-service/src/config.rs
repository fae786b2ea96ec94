//! What the service is told to do.

use rate_limit_protocol as protocol;
use serde::Deserialize;
use std::fmt;

/// Limits, and how to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Config {
    /// Sets of limits by name; requests for any other have no limit.
    pub domains: Vec<Domain>,
    /// What is told of each descriptor.
    pub statuses: Statuses,
    /// Counts only if no descriptor is over its limit then, as Limitador does. Otherwise all are counted first and compared
    /// afterwards, so that refused hits count.
    pub check_first: bool,
    /// Counts the hits of the request for every descriptor, as Limitador does.
    pub ignore_descriptor_hits: bool,
    /// For the client's response.
    pub response_headers: Vec<Header>,
    /// For the request on its way on.
    pub request_headers: Vec<Header>,
    /// Body of refusals.
    pub raw_body: String,
    /// Failures; the first one that concerns a call happens.
    pub faults: Vec<FaultUse>,
    /// Nobody listens: there is an address, and whoever connects to it is refused. Everything else is without meaning then.
    pub gone: bool,
}

/// A set of limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Domain {
    /// Its name in requests.
    pub domain: String,
    /// The tree of limits.
    #[serde(default)]
    pub descriptors: Vec<Descriptor>,
}

/// An entry of a request's descriptor, and what may follow it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Descriptor {
    /// The entry's key.
    pub key: String,
    /// The entry's value; without one, any value that no sibling names, and each with a count of its own.
    #[serde(default)]
    pub value: Option<String>,
    /// Limit of descriptors that end here.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Counts, but does not refuse.
    #[serde(default)]
    pub shadow_mode: bool,
    /// Further entries.
    #[serde(default)]
    pub descriptors: Vec<Descriptor>,
}

/// So many hits in each unit of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RateLimit {
    /// The hits.
    pub requests_per_unit: u32,
    /// The unit.
    pub unit: Unit,
    /// Any number of hits; the rest is without meaning then.
    pub unlimited: bool,
    /// What it is called in answers.
    pub name: String,
}

/// A unit of time. Windows begin at multiples of it since 1970, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    #[default]
    Hour,
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

impl From<Unit> for protocol::Unit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Second => Self::Second,
            Unit::Minute => Self::Minute,
            Unit::Hour => Self::Hour,
            Unit::Day => Self::Day,
            Unit::Week => Self::Week,
            Unit::Month => Self::Month,
            Unit::Year => Self::Year,
        }
    }
}

/// What is told of each descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statuses {
    /// Everything.
    #[default]
    Full,
    /// Nothing, as Limitador does.
    None,
}

/// A header to add.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Header {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
    /// The value is sent as bytes (`raw_value`).
    #[serde(default)]
    pub raw: bool,
}

/// A failure, and the calls that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct FaultUse {
    /// Those with an entry of this value; without one, all.
    #[serde(default)]
    pub value: Option<String>,
    /// So many of them are served well before.
    #[serde(default)]
    pub skip: u64,
    /// So many of them fail; without a number, all from there on.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens to them.
    pub fault: Fault,
}

/// A failure. Only a late answer counts its hits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Fault {
    /// The answer comes later, by so many milliseconds.
    DelayMs(u64),
    /// No answer ever comes.
    Hang,
    /// A gRPC status in place of a message.
    Error {
        /// 1 to 16.
        code: u32,
        /// What goes with it.
        #[serde(default)]
        message: String,
    },
    /// Bytes that are no message.
    Garbage,
    /// A message of no bytes: a code that says nothing.
    Empty,
    /// The connection ends.
    Drop,
}

/// A configuration that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    /// Where, as in `faults[0].fault`.
    pub at: String,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

impl std::error::Error for InvalidConfig {}

impl Config {
    /// Finds the first thing that cannot be meant.
    ///
    /// # Errors
    /// With its place.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let invalid = |at: String, why| Err(InvalidConfig { at, why });
        for (index, domain) in self.domains.iter().enumerate() {
            let at = format!("domains[{index}]");
            if domain.domain.is_empty() {
                return invalid(format!("{at}.domain"), "expected a name");
            }
            if self.domains.iter().take(index).any(|before| before.domain == domain.domain) {
                return invalid(format!("{at}.domain"), "expected names that differ");
            }
            check_tree(&at, &domain.descriptors)?;
        }
        for (index, each) in self.faults.iter().enumerate() {
            if matches!(each.fault, Fault::Error { code, .. } if !(1..=16).contains(&code)) {
                return invalid(format!("faults[{index}].fault.error.code"), "expected a gRPC status from 1 to 16");
            }
        }
        Ok(())
    }
}

fn check_tree(at: &str, descriptors: &[Descriptor]) -> Result<(), InvalidConfig> {
    for (index, each) in descriptors.iter().enumerate() {
        let at = format!("{at}.descriptors[{index}]");
        if each.key.is_empty() {
            return Err(InvalidConfig { at: format!("{at}.key"), why: "expected a name" });
        }
        if descriptors.iter().take(index).any(|before| (&before.key, &before.value) == (&each.key, &each.value)) {
            return Err(InvalidConfig { at, why: "expected entries that differ" });
        }
        check_tree(&at, &each.descriptors)?;
    }
    Ok(())
}
