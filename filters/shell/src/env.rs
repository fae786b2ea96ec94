//! The world as filters see it, on host calls.

use crate::call;
use crate::raw::{self, Clock, Metric, Status};
use filter_kit::env::{MAX_TRIES, Step};
use filter_kit::{Callout, Contended, CounterId, Env, MetricTable, address};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;

/// Counters and random numbers of one configuration.
pub(crate) struct HostEnv {
    /// Host ids, in the order of the filter's table.
    counters: Vec<Option<u32>>,
    random: Cell<u64>,
    /// An attempt was asked for, and there was none: this is no upstream filter, and will never be one.
    is_downstream: Cell<bool>,
    /// Tags of the calls that no exchange waits for, by the host's number.
    calls: RefCell<HashMap<u32, u64>>,
}

/// Most calls under way that no exchange waits for. Each has a timeout.
const MAX_CALLS: usize = 1024;

impl HostEnv {
    /// Defines the counters at the host. One that the host refuses is told once in its log and not counted.
    pub(crate) fn new(metrics: &MetricTable) -> Self {
        let define = |name: &String| {
            let id = raw::define_metric(Metric::Counter, name);
            id.inspect_err(|status| call::log_error(&format!("metric {name}: refused with status {}", status.0))).ok()
        };
        let counters = metrics.names().iter().map(define).collect();
        Self { counters, random: Cell::new(raw::random()), is_downstream: Cell::new(false), calls: RefCell::default() }
    }
}

impl HostEnv {
    /// Takes the tag of a call that has ended.
    pub(crate) fn take_call(&self, token: u32) -> Option<u64> {
        self.calls.borrow_mut().remove(&token)
    }
}

impl Env for HostEnv {
    /// SplitMix64 (Steele, Lea, Flood 2014) from a seed of the host: a draw costs no crossing.
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn count(&self, counter: CounterId, step: u64) {
        let index = usize::try_from(counter.0).unwrap_or(usize::MAX);
        let (Some(Some(id)), Ok(step)) = (self.counters.get(index), i64::try_from(step)) else { return };
        if step > 0 {
            // nobody to tell: a counter that the host has lost must not cost the request
            let _ = raw::increment(*id, step);
        }
    }

    fn source_address(&self) -> Option<IpAddr> {
        address::parse(&raw::property("source\0address").ok()?)
    }

    fn destination_port(&self) -> Option<u16> {
        call::number("destination\0port")?.try_into().ok()
    }

    fn upstream_attempt(&self) -> Option<u64> {
        if self.is_downstream.get() {
            return None;
        }
        let attempt = call::number("upstream\0request_attempt_count");
        // a downstream filter may be told 0
        self.is_downstream.set(attempt.is_none_or(|attempt| attempt == 0));
        attempt
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        raw::property(&path.join("\0")).ok()
    }

    /// What the host passes on; the one place that reads it.
    #[allow(clippy::disallowed_methods)]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn monotonic(&self) -> u64 {
        raw::clock(Clock::Monotonic)
    }

    fn wall(&self) -> u64 {
        raw::clock(Clock::Wall)
    }

    fn update(&self, key: &str, step: &mut Step<'_>) -> Result<(), Contended> {
        for _ in 0..MAX_TRIES {
            let (value, number) = match raw::shared_data(key) {
                Ok((value, number)) => (Some(value), number),
                // no entry has this number: the host makes one, unless somebody else has meanwhile
                Err(Status(1)) => (None, u32::MAX),
                Err(_) => return Err(Contended),
            };
            let Some(new) = step(value.as_deref()) else { return Ok(()) };
            match raw::set_shared_data(key, &new, number) {
                Ok(()) => return Ok(()),
                Err(Status(8)) => {}
                Err(_) => return Err(Contended),
            }
        }
        Err(Contended)
    }

    fn call(&self, callout: &Callout, tag: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        if calls.len() >= MAX_CALLS {
            return false;
        }
        let token = call::ask(callout).ok();
        calls.extend(token.map(|token| (token, tag)));
        token.is_some()
    }

    fn set_log_field(&self, name: &str, value: &[u8]) {
        // a host without such fields misses only that
        let _ = raw::set_property(name, value);
    }

    fn log_error(&self, text: &str) {
        call::log_error(text);
    }
}
