//! The service itself: requests and times in, answers out.

use crate::call::{Call, hits};
use crate::config::{Config, Fault, Header, InvalidConfig, Statuses};
use crate::counts::{Counts, Full, Key, until_reset};
use crate::fault::Faults;
use crate::limits::{self, Limit};
use rate_limit_protocol::{self as protocol, Code, CurrentLimit, Descriptor, Message, Request, Response, Status};
use std::time::Duration;

/// Most calls that are kept for tests; later ones are forgotten.
const MAX_CALLS: usize = 10_000;

/// gRPC statuses.
const UNKNOWN: u32 = 2;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;

/// A service with its counts.
#[derive(Debug, Clone)]
pub struct Service {
    config: Config,
    faults: Faults,
    counts: Counts,
    calls: Vec<Call>,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How long it takes.
    pub after: Duration,
    /// What comes then.
    pub outcome: Outcome,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a message, encoded; or with bytes that are none.
    Reply(Vec<u8>),
    /// With another gRPC status than 0.
    Failed {
        /// The status.
        code: u32,
        /// What goes with it.
        message: String,
    },
    /// Not at all.
    Hang,
    /// With the connection.
    Drop,
}

impl Outcome {
    fn failed(code: u32, message: &str) -> Self {
        Self::Failed { code, message: message.to_owned() }
    }
}

/// A descriptor whose hits are counted.
struct Counted {
    status: Status,
    /// What they count against, and what was there before; `None` without a limit.
    before: Option<(Key, u64)>,
}

impl Service {
    /// A service that has counted nothing yet.
    ///
    /// # Errors
    /// If the configuration cannot be meant.
    pub fn new(config: Config) -> Result<Self, InvalidConfig> {
        config.check()?;
        let faults = Faults::new(&config.faults);
        Ok(Self { config, faults, counts: Counts::default(), calls: Vec::new() })
    }

    /// What came in so far, in order; of more than 10,000 calls the first ones.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Whether nobody listens.
    pub fn is_gone(&self) -> bool {
        self.config.gone
    }

    /// Answers an encoded `RateLimitRequest`; `now` is the time since 1970.
    pub fn answer(&mut self, request: &[u8], now: Duration) -> Answer {
        let at_once = |outcome| Answer { after: Duration::ZERO, outcome };
        let request = match Request::decode(request) {
            Ok(request) => request,
            Err(error) => return at_once(Outcome::failed(INTERNAL, &format!("not a RateLimitRequest: {error}"))),
        };
        if self.calls.len() < MAX_CALLS {
            self.calls.push(Call::new(&request));
        }
        match self.faults.next(&request) {
            None => at_once(self.decide(&request, now)),
            Some(Fault::DelayMs(by)) => {
                Answer { after: Duration::from_millis(by), outcome: self.decide(&request, now) }
            }
            Some(Fault::Hang) => at_once(Outcome::Hang),
            Some(Fault::Error { code, message }) => at_once(Outcome::Failed { code, message }),
            // a field of a type that does not exist
            Some(Fault::Garbage) => at_once(Outcome::Reply(b"\x0f no message".to_vec())),
            Some(Fault::Empty) => at_once(Outcome::Reply(Vec::new())),
            Some(Fault::Drop) => at_once(Outcome::Drop),
        }
    }

    fn decide(&mut self, request: &Request, now: Duration) -> Outcome {
        if request.domain.is_empty() {
            return Outcome::failed(UNKNOWN, "rate limit domain must not be empty");
        }
        if request.descriptors.is_empty() {
            return Outcome::failed(UNKNOWN, "rate limit descriptor list must not be empty");
        }
        let mut counted = Vec::new();
        for descriptor in &request.descriptors {
            match self.count(request, descriptor, now) {
                Ok(one) => counted.push(one),
                Err(Full) => return Outcome::failed(RESOURCE_EXHAUSTED, "too many counts"),
            }
        }
        let over = counted.iter().any(|one| one.status.code() == Code::OverLimit);
        if over && self.config.check_first {
            counted.iter_mut().rev().for_each(|one| self.undo(one, now));
        }
        let statuses = counted.into_iter().map(|one| one.status);
        let response = Response {
            overall_code: if over { Code::OverLimit } else { Code::Ok }.into(),
            statuses: if self.config.statuses == Statuses::Full { statuses.collect() } else { Vec::new() },
            response_headers_to_add: self.config.response_headers.iter().map(header).collect(),
            request_headers_to_add: self.config.request_headers.iter().map(header).collect(),
            raw_body: if over { self.config.raw_body.clone().into_bytes() } else { Vec::new() },
        };
        Outcome::Reply(response.encode_to_vec())
    }

    /// Adds first and compares after.
    fn count(&mut self, request: &Request, descriptor: &Descriptor, now: Duration) -> Result<Counted, Full> {
        let ok = Status { code: Code::Ok.into(), ..Status::default() };
        let (requests_per_unit, unit, name, shadow) = match limits::find(&self.config, &request.domain, descriptor) {
            Limit::None => return Ok(Counted { status: ok, before: None }),
            Limit::Unlimited => {
                return Ok(Counted { status: Status { limit_remaining: u32::MAX, ..ok }, before: None });
            }
            Limit::Counted { requests_per_unit, unit, name, shadow } => (requests_per_unit, unit, name, shadow),
        };
        let hits = match self.config.ignore_descriptor_hits {
            true => u64::from(request.hits_addend.max(1)),
            false => hits(descriptor, request.hits_addend),
        };
        let key = Key::new(&request.domain, descriptor, unit);
        let before = self.counts.get(&key, now);
        let gives_back = descriptor.is_negative_hits && !self.config.ignore_descriptor_hits;
        let after = if gives_back { before.saturating_sub(hits) } else { before.saturating_add(hits) };
        self.counts.set(key.clone(), now, after)?;
        let over = after > u64::from(requests_per_unit) && !shadow;
        let reset = i64::try_from(until_reset(unit, now)).unwrap_or(i64::MAX);
        let status = Status {
            code: if over { Code::OverLimit } else { Code::Ok }.into(),
            current_limit: Some(CurrentLimit { requests_per_unit, unit: unit.into(), name }),
            limit_remaining: remaining(requests_per_unit, after),
            duration_until_reset: Some(protocol::Duration { seconds: reset, nanos: 0 }),
        };
        Ok(Counted { status, before: Some((key, before)) })
    }

    /// Takes back what a descriptor has counted.
    fn undo(&mut self, counted: &mut Counted, now: Duration) {
        let Some((key, before)) = counted.before.take() else { return };
        if let Some(limit) = &counted.status.current_limit {
            counted.status.limit_remaining = remaining(limit.requests_per_unit, before);
        }
        // the key is there, so it finds room
        let _ = self.counts.set(key, now, before);
    }
}

fn remaining(limit: u32, hits: u64) -> u32 {
    u32::try_from(u64::from(limit).saturating_sub(hits)).unwrap_or(u32::MAX)
}

fn header(header: &Header) -> protocol::Header {
    let Header { key, value, raw } = header;
    let (value, raw_value) = match raw {
        true => (String::new(), value.clone().into_bytes()),
        false => (value.clone(), Vec::new()),
    };
    protocol::Header { key: key.clone(), value, raw_value }
}
