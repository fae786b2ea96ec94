//! The replay: one filter, one clock, and whatever is under way.

use super::MILLISECOND;
use super::service::Service;
use crate::request::Request;
use crate::requests::Settlement;
use filter_kit::env::Store;
use filter_kit::{Answer, Filter, FixedEnv};
use rate_limit::{Judgement, RateLimit, Reservation};
use std::collections::{BTreeMap, HashMap};

/// A replay.
#[derive(Debug)]
pub struct Run {
    filter: RateLimit,
    service: Option<Service>,
    store: Store,
    /// Time of the last line.
    now: u64,
    calls: u64,
    /// Requests that end at a time, with a number of their own.
    ends: BTreeMap<(u64, u64), Flight>,
    /// Requests that a settlement may come for.
    named: HashMap<String, Flight>,
}

/// An admitted request.
#[derive(Debug)]
struct Flight {
    reservation: Option<Reservation>,
    size: Option<u64>,
}

/// Most requests that wait for a settlement.
const MAX_NAMED: usize = 100_000;

impl Run {
    /// A replay that begins with full limits.
    pub fn new(filter: RateLimit, service: Option<Service>) -> Self {
        let (store, ends, named) = (Store::default(), BTreeMap::new(), HashMap::new());
        Self { filter, service, store, now: 0, calls: 0, ends, named }
    }

    /// Calls of the service so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Decides on a request; its time, and what comes of it.
    ///
    /// # Errors
    /// If it has no time, or one before that of the line before it.
    pub fn request(&mut self, line: u64, request: &Request) -> Result<(u64, Judgement), String> {
        let at = request.at.ok_or("missing field \"t_ms\", or \"start_time\" as in 2026-01-31T00:00:00Z")?;
        self.go_to(at)?;
        let id = request.replay.id.as_ref();
        if id.is_some_and(|id| self.named.contains_key(id)) {
            return Err("id: a request of this name is waiting for its settlement already".to_owned());
        }
        if id.is_some() && self.named.len() >= MAX_NAMED {
            return Err(format!("id: {MAX_NAMED} requests are waiting for their settlements already"));
        }
        let mut env = self.env(line, at);
        if let Some(address) = request.source_address {
            env = env.with_source_address(address);
        }
        let Self { filter, service, calls, .. } = self;
        let (judgement, reservation) = filter.judge(&request.head, request.replay.cost, &env, &mut |callout| {
            *calls += 1;
            service.as_mut().map_or(Answer::UNAVAILABLE, |service| service.answer(callout, at))
        });
        self.deliver(&env, at);
        if judgement.allowed {
            let body = request.body.as_ref().and_then(|body| u64::try_from(body.len()).ok());
            let flight = Flight { reservation, size: request.replay.size.or(body) };
            match id {
                Some(id) => drop(self.named.insert(id.clone(), flight)),
                None => drop(self.ends.insert((at + request.replay.duration.unwrap_or(0), line), flight)),
            }
        }
        Ok((at, judgement))
    }

    /// Settles a request.
    ///
    /// # Errors
    /// If there is none of this name that waits, or the time goes back.
    pub fn settle(&mut self, line: u64, Settlement { at, id, cost }: &Settlement) -> Result<(), String> {
        self.go_to(*at)?;
        let flight = self.named.remove(id);
        let flight =
            flight.ok_or_else(|| format!("settles: no admitted request has the id {id:?} and waits for it"))?;
        let env = self.env(line, *at);
        if let Some(mut reservation) = flight.reservation {
            reservation.settle(*cost, &env);
            reservation.end(&env);
        }
        self.deliver(&env, *at);
        Ok(())
    }

    /// Ends what ends until then.
    fn go_to(&mut self, at: u64) -> Result<(), String> {
        if at < self.now {
            let (at, now) = (at / MILLISECOND, self.now / MILLISECOND);
            return Err(format!("expected times in order, found {at} ms after {now} ms"));
        }
        self.now = at;
        while let Some(entry) = self.ends.first_entry().filter(|entry| entry.key().0 <= at) {
            let ((ended, line), flight) = entry.remove_entry();
            let Some(reservation) = flight.reservation else { continue };
            let mut env = self.env(line, ended);
            if let Some(size) = flight.size {
                env = env.with_property(&["request", "size"], &size.to_le_bytes());
            }
            reservation.end(&env);
            self.deliver(&env, ended);
        }
        Ok(())
    }

    fn env(&self, line: u64, at: u64) -> FixedEnv {
        let env = FixedEnv::new(line.wrapping_mul(0x9e37_79b9_7f4a_7c15)).with_store(Store::clone(&self.store));
        // one clock for both: a process that has run since the beginning
        env.set_clocks(at + 1, at + 1);
        env
    }

    /// Answers what nobody waits for.
    fn deliver(&mut self, env: &FixedEnv, at: u64) {
        for (callout, tag) in env.take_calls() {
            self.calls += 1;
            let answer = self.service.as_mut().map_or(Answer::UNAVAILABLE, |service| service.answer(&callout, at));
            self.filter.on_answer(tag, answer, env);
        }
    }
}
