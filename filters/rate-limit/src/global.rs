//! Limits that a service keeps: what it is asked, and what its answers mean.

use crate::config::{GlobalConfig, Mode, OnError, ServiceConfig};
use crate::key::{Key, digest};
use crate::limit::Limit;
use crate::remote::{Said, Terms};
use filter_kit::{Answer, Callout, ConfigError};
use rate_limit_protocol::{
    Code, Descriptor, Duration, Entry, METHOD, Message, Override, Request, Response, SERVICE, Status, Unit,
};
use std::borrow::Cow;

/// How a policy uses the service.
#[derive(Debug, Clone)]
pub(crate) struct Global {
    pub(crate) mode: Mode,
    pub(crate) on_error: OnError,
    pub(crate) terms: Terms,
    pub(crate) report_units: u64,
    /// Whom to ask.
    service: ServiceConfig,
    descriptor: Vec<String>,
    sends_limit: bool,
    hash_values: bool,
}

/// A question about one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) entries: &'a [Entry],
    /// The policy's limit, to be sent along if the policy says so.
    pub(crate) limits: &'a [Limit],
    pub(crate) global: &'a Global,
    pub(crate) units: u64,
}

const MAX_NAME: usize = 256;
/// Longest value that a service is given as it is.
const MAX_VALUE: usize = 256;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const LASTS_MS: std::ops::RangeInclusive<u64> = 1..=86_400_000;
const MAX_UNITS_AT_ONCE: u64 = 1_000_000;

/// Checks the service itself.
pub(crate) fn check(service: &ServiceConfig) -> Result<(), ConfigError> {
    for (at, name) in [("cluster", &service.cluster), ("domain", &service.domain)] {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(ConfigError::new(at, format!("expected 1 to {MAX_NAME} characters, found {}", name.len())));
        }
    }
    if !(1..=60_000).contains(&service.timeout_ms) {
        return Err(ConfigError::new("timeout_ms", format!("expected 1 to 60000, found {}", service.timeout_ms)));
    }
    if !(400..=599).contains(&service.error_status) {
        return Err(ConfigError::new("error_status", format!("expected 400 to 599, found {}", service.error_status)));
    }
    Ok(())
}

impl Global {
    /// Checks and compiles, for a key of so many parts.
    pub(crate) fn new(
        config: GlobalConfig,
        service: &ServiceConfig,
        parts: usize,
        limits: &[Limit],
    ) -> Result<Self, ConfigError> {
        if parts == 0 || config.descriptor.len() != parts {
            let found = config.descriptor.len();
            let why = format!("expected a name for each part of the key, of which there are {parts}, found {found}");
            return Err(ConfigError::new("descriptor", why));
        }
        let long = config.descriptor.iter().position(|name| name.is_empty() || name.len() > MAX_NAME);
        if let Some(index) = long {
            let why = format!("expected 1 to {MAX_NAME} characters");
            return Err(ConfigError::new(format!("descriptor[{index}]"), why));
        }
        let (mode, on_error) = (config.mode, config.on_error);
        if config.lease.is_some() && mode != Mode::Lease {
            return Err(ConfigError::new("lease", "expected it with `mode: lease` only"));
        }
        if config.report.is_some() && mode != Mode::Report {
            return Err(ConfigError::new("report", "expected it with `mode: report` only"));
        }
        if mode == Mode::Report && on_error != OnError::Open {
            return Err(ConfigError::new(
                "on_error",
                "expected none: with `mode: report` no request waits for the service",
            ));
        }
        match (mode == Mode::Report || on_error == OnError::Local, config.send_limit, limits.len()) {
            (true, _, 0) => {
                let why = "expected `limits` of the policy: they decide with `mode: report` and `on_error: local`";
                return Err(ConfigError::new("", why));
            }
            (false, false, 1..) => {
                let why = "expected no `limits` of the policy: with `on_error: open` and `closed` nobody asks them. A policy of its own may \
                           have them beside this one";
                return Err(ConfigError::new("", why));
            }
            _ => {}
        }
        if config.send_limit && to_send(limits).is_none() {
            let why = "expected one limit of the policy, of up to 4294967295 units in a second, minute, hour or day";
            return Err(ConfigError::new("send_limit", why));
        }
        let lease = config.lease.unwrap_or_default();
        let report = config.report.unwrap_or_default();
        for (at, units, least) in [("lease", lease.units, 2), ("report", report.units, 1)] {
            if !(least..=MAX_UNITS_AT_ONCE).contains(&units) {
                let why = format!("expected {least} to {MAX_UNITS_AT_ONCE}, found {units}");
                return Err(ConfigError::new(format!("{at}.units"), why));
            }
        }
        for (at, ms) in [("lease", lease.lasts_ms), ("report", report.lasts_ms)] {
            if !LASTS_MS.contains(&ms) {
                let why = format!("expected {} to {}, found {ms}", LASTS_MS.start(), LASTS_MS.end());
                return Err(ConfigError::new(format!("{at}.lasts_ms"), why));
            }
        }
        let lasts_ms = if mode == Mode::Report { report.lasts_ms } else { lease.lasts_ms };
        Ok(Self {
            mode,
            on_error,
            terms: Terms {
                size: lease.units,
                lasts: lasts_ms * MILLISECOND,
                // a call ends with its timeout; then a little for the answer to be seen
                patience: service.timeout_ms * MILLISECOND + SECOND,
            },
            report_units: report.units,
            service: service.clone(),
            descriptor: config.descriptor,
            sends_limit: config.send_limit,
            hash_values: config.hash_values,
        })
    }

    /// What the service calls a key. Values are text there, of a length that a store can bear; others are told by a hash.
    pub(crate) fn entries(&self, key: &Key, parts: &[Cow<'_, [u8]>]) -> Vec<Entry> {
        let named = self.descriptor.iter().enumerate();
        let entry = |(index, name): (usize, &String)| {
            // a request that shares the key of all that have none
            let part = parts.get(index).map(Cow::as_ref).unwrap_or_default();
            let text = key.text(index, part).filter(|text| text.len() <= MAX_VALUE && !self.hash_values);
            Entry { key: name.clone(), value: text.map_or_else(|| digest(part), Cow::into_owned) }
        };
        named.map(entry).collect()
    }

    /// The cluster to ask.
    pub(crate) fn cluster(&self) -> &str {
        &self.service.cluster
    }

    /// Whom it asks, and how, for people. Values stand in none of it.
    pub(crate) fn describe(&self) -> String {
        let ServiceConfig { cluster, domain, .. } = &self.service;
        let names = self.descriptor.join(", ");
        let how = match self.mode {
            Mode::Strict => "each request".to_owned(),
            Mode::Lease => format!("leases of {}", self.terms.size),
            Mode::Report => format!("told of {} at a time", self.report_units),
        };
        let on_error = match self.on_error {
            OnError::Open => "open",
            OnError::Closed => "closed",
            OnError::Local => "local",
        };
        format!("{cluster}, domain {domain}, descriptor ({names}): {how}; on error {on_error}")
    }

    /// Whether the service takes units back.
    pub(crate) fn refunds(&self) -> bool {
        self.service.refunds
    }

    /// Status of the answer if nobody can be asked.
    pub(crate) fn error_status(&self) -> u16 {
        self.service.error_status
    }
}

/// The call that asks all questions; they are of one service.
pub(crate) fn callout(questions: &[Question<'_>], gives_back: bool) -> Option<Callout> {
    let service = &questions.first()?.global.service;
    let most = questions.iter().map(|question| question.units).max().unwrap_or(1);
    // what all services understand, wherever it will do
    let same = most > 0 && questions.iter().all(|question| question.units == most);
    let descriptor = |question: &Question<'_>| Descriptor {
        entries: question.entries.to_vec(),
        limit: to_send(question.limits).filter(|_| question.global.sends_limit),
        hits_addend: (!same || gives_back).then_some(question.units),
        is_negative_hits: gives_back,
    };
    let request = Request {
        domain: service.domain.clone(),
        descriptors: questions.iter().map(descriptor).collect(),
        hits_addend: u32::try_from(most.max(1)).unwrap_or(u32::MAX),
    };
    Some(Callout {
        cluster: service.cluster.clone(),
        service: SERVICE,
        method: METHOD,
        message: request.encode_to_vec(),
        timeout_ms: u32::try_from(service.timeout_ms).unwrap_or(60_000),
    })
}

/// The limit in the service's terms.
fn to_send(limits: &[Limit]) -> Option<Override> {
    let [limit] = limits else { return None };
    let unit = match limit.seconds()? {
        1 => Unit::Second,
        60 => Unit::Minute,
        3_600 => Unit::Hour,
        86_400 => Unit::Day,
        _ => return None,
    };
    Some(Override { requests_per_unit: u32::try_from(limit.units()).ok()?, unit: unit.into() })
}

/// What the service said, to each question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    pub(crate) said: Vec<Said>,
    /// The limits it told of: units, and seconds of their window.
    pub(crate) limits: Vec<Option<(u64, u64)>>,
    pub(crate) response_headers: Vec<(String, Vec<u8>)>,
    pub(crate) request_headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Most headers that a service may add.
const MAX_HEADERS: usize = 64;

/// Reads an answer to questions for these units; `None` if it says nothing that can be understood. `wall` is when it came.
pub(crate) fn read(answer: &Answer, asked: &[u64], wall: u64) -> Option<Reading> {
    let Answer::Message(bytes) = answer else { return None };
    let response = Response::decode(bytes.as_slice()).ok()?;
    let overall = match response.overall_code() {
        Code::Unknown => return None,
        Code::Ok => true,
        Code::OverLimit => false,
    };
    // a service need not tell about each; one that tells of others than were asked tells nothing
    let statuses = if response.statuses.len() == asked.len() { response.statuses.as_slice() } else { &[] };
    let blames = statuses.iter().any(|status| status.code() == Code::OverLimit);
    let said = asked.iter().enumerate().map(|(index, asked)| {
        let status = statuses.get(index);
        Said {
            granted: overall || blames && status.is_some_and(|status| status.code() != Code::OverLimit),
            asked: *asked,
            // of a descriptor without a limit it tells nothing
            remaining: status
                .filter(|status| status.current_limit.is_some())
                .map(|status| status.limit_remaining.into()),
            reset: status.and_then(|status| reset(status.duration_until_reset.as_ref()?, wall)),
        }
    });
    let limit = |status: Option<&Status>| {
        let limit = status?.current_limit.as_ref()?;
        let seconds = limit.unit().seconds();
        (seconds > 0).then_some((u64::from(limit.requests_per_unit), seconds))
    };
    let headers = |headers: &[rate_limit_protocol::Header]| {
        let each = headers.iter().take(MAX_HEADERS).map(|header| {
            let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
            (header.key.to_ascii_lowercase(), value.to_vec())
        });
        each.filter(|(name, _)| may_be_added(name)).collect()
    };
    Some(Reading {
        said: said.collect(),
        limits: (0..asked.len()).map(|index| limit(statuses.get(index))).collect(),
        response_headers: headers(&response.response_headers_to_add),
        request_headers: headers(&response.request_headers_to_add),
        body: response.raw_body,
    })
}

/// What would make another message of the one it is added to stays out.
fn may_be_added(name: &str) -> bool {
    !name.starts_with(':')
        && !matches!(
            name,
            "host" | "content-length" | "transfer-encoding" | "connection" | "upgrade" | "te" | "trailer"
        )
}

/// Nanoseconds until the window ends. Whole seconds are counted from the beginning of the second in which the service looked at its clock.
fn reset(told: &Duration, wall: u64) -> Option<u64> {
    let seconds = u64::try_from(told.seconds).ok()?;
    let nanos = u64::try_from(told.nanos).ok()?.min(SECOND - 1);
    let told = seconds.checked_mul(SECOND)?.checked_add(nanos)?;
    Some(if nanos == 0 { told.saturating_sub(wall % SECOND) } else { told })
}
