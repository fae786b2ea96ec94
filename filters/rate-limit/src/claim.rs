//! What one policy wants of one request, on a row of the table.

use crate::config::{Mode, OnFull};
use crate::limit::{Limit, Now, Verdict};
use crate::limiter::Price;
use crate::policy::Policy;
use crate::remote::{Remote, Said, Spent};
use crate::set::{self, Row, State};
use rate_limit_protocol::Entry;
use std::rc::Rc;

/// All that is needed to ask a policy's limits.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) policy: Rc<Policy>,
    /// The policy's, or those of a tier.
    pub(crate) limits: Rc<[Limit]>,
    pub(crate) row: String,
    pub(crate) fingerprint: u64,
    pub(crate) cost: u64,
    /// Whether that will still be so when the exchange is over.
    pub(crate) is_exact: bool,
    /// A refusal is carried out, and not only counted.
    pub(crate) is_enforced: bool,
    /// What the service calls the key.
    pub(crate) entries: Vec<Entry>,
}

/// What the limits of a claim say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of the policy's own limits, if they were asked.
    pub(crate) verdicts: Vec<Verdict>,
    /// There was no place for the key.
    pub(crate) is_full: bool,
    /// Another key had to make room.
    pub(crate) evicted: bool,
    /// The service has said no before, and for so many nanoseconds there is no use in asking.
    pub(crate) closed: Option<u64>,
    /// The service has to be asked for so many units.
    pub(crate) ask: Option<u64>,
    /// Units of a lease were spent on it.
    pub(crate) leased: bool,
    /// A lease that is running low: units to take in the background.
    pub(crate) refill: Option<u64>,
    /// Usage to report.
    pub(crate) report: Option<u64>,
    /// The service has said yes.
    pub(crate) granted: bool,
    /// When the policy's own limits were asked, if that was not at once.
    pub(crate) later: Option<Now>,
    /// Nobody could be asked, and the request passes for that.
    pub(crate) failed: bool,
}

impl Outcome {
    /// Whether nothing speaks against it so far.
    pub(crate) fn allowed(&self) -> bool {
        !self.is_full && self.closed.is_none() && self.verdicts.iter().all(|verdict| verdict.allowed)
    }

    fn full() -> Self {
        Self { is_full: true, ..Self::default() }
    }
}

impl Claim {
    fn mode(&self) -> Option<Mode> {
        self.policy.global.as_ref().map(|global| global.mode)
    }

    /// Whether only the service is asked.
    pub(crate) fn is_strict(&self) -> bool {
        self.mode() == Some(Mode::Strict)
    }

    /// Whether usage is told afterwards.
    pub(crate) fn reports(&self) -> bool {
        self.mode() == Some(Mode::Report)
    }

    /// How long a refusal of the service lasts if it does not tell.
    pub(crate) fn lasts(&self) -> u64 {
        self.policy.global.as_ref().map_or(0, |global| global.terms.lasts)
    }

    /// Takes this at first, in place of what the policy says. What is cut down to what fits becomes a debt when it is settled.
    pub(crate) fn set_price(&mut self, price: Price) {
        self.cost = match price {
            Price::Exact(units) => units.min(crate::bucket::MAX_UNITS),
            Price::Estimate(units) => self.limits.iter().filter_map(Limit::capacity).fold(units, u64::min),
        };
        self.is_exact = false;
    }

    /// The key's hash, cut short.
    pub(crate) fn short_key(&self) -> String {
        format!("{:08x}", self.fingerprint >> 32)
    }

    /// Takes what the request costs, given the row, of all of the policy's limits or of none; of a lease, if there is one. The second value is
    /// the row afterwards, if it changes.
    pub(crate) fn take(&self, bytes: Option<&[u8]>, now: Now) -> (Outcome, Option<Vec<u8>>) {
        let Some(global) = &self.policy.global else { return self.take_limits(bytes, now, |_| None) };
        match global.mode {
            Mode::Strict => (Outcome { ask: Some(self.cost), ..Outcome::default() }, None),
            Mode::Report => {
                let (mut closed, mut report) = (None, None);
                let (outcome, row) = self.take_limits(bytes, now, |remote| {
                    closed = remote.closed_for(now.monotonic);
                    if closed.is_none() {
                        report = remote.used(self.cost, global.report_units);
                    }
                    closed
                });
                let report = report.filter(|_| outcome.allowed());
                (Outcome { closed, report, ..outcome }, row)
            }
            Mode::Lease => {
                let mut row = Row::new(bytes, self.policy.states());
                let Some((way, mut states, evicted)) = self.entry(&row, now) else { return (Outcome::full(), None) };
                let mut remote = self.remote(&states);
                let outcome = match remote.spend(now.monotonic, self.cost, global.terms) {
                    Spent::Paid { refill } => Outcome { leased: true, refill, evicted, ..Outcome::default() },
                    Spent::Closed(wait) => return (Outcome { closed: Some(wait), ..Outcome::default() }, None),
                    Spent::Ask(units) => Outcome { ask: Some(units), evicted, ..Outcome::default() },
                };
                self.put(&mut states, remote);
                row.write(way, self.fingerprint, &states);
                (outcome, Some(row.into_bytes()))
            }
        }
    }

    /// Takes of the policy's own limits, though the service should have been asked.
    pub(crate) fn fall_back(&self, bytes: Option<&[u8]>, now: Now) -> (Outcome, Option<Vec<u8>>) {
        self.take_limits(bytes, now, |_| None)
    }

    /// `also` has a say with what is known of the service's limit; what it returns refuses the request.
    fn take_limits(
        &self,
        bytes: Option<&[u8]>,
        now: Now,
        also: impl FnOnce(&mut Remote) -> Option<u64>,
    ) -> (Outcome, Option<Vec<u8>>) {
        let mut row = Row::new(bytes, self.policy.states());
        let Some((way, mut states, evicted)) = self.entry(&row, now) else { return (Outcome::full(), None) };
        let verdicts: Vec<Verdict> =
            self.limits.iter().zip(&states).map(|(limit, state)| limit.take(*state, now, self.cost)).collect();
        let outcome = Outcome { verdicts, ..Outcome::default() };
        let mut remote = self.remote(&states);
        if also(&mut remote).is_some() || !outcome.allowed() {
            // what would have been left, had nothing been taken
            let looked = self.limits.iter().zip(&states).zip(&outcome.verdicts);
            let verdicts = looked.map(|((limit, state), verdict)| match verdict.allowed {
                true => limit.look(*state, now),
                false => *verdict,
            });
            return (Outcome { verdicts: verdicts.collect(), ..outcome }, None);
        }
        for (state, verdict) in states.iter_mut().zip(&outcome.verdicts) {
            *state = verdict.state;
        }
        self.put(&mut states, remote);
        row.write(way, self.fingerprint, &states);
        (Outcome { evicted, ..outcome }, Some(row.into_bytes()))
    }

    /// Gives back all that the request has taken. The row afterwards, if the entry is still there.
    pub(crate) fn give_back(&self, bytes: Option<&[u8]>, outcome: &Outcome, now: Now) -> Option<Vec<u8>> {
        self.edit(bytes, |states| {
            let cost = -i64::try_from(self.cost).unwrap_or(i64::MAX);
            for ((limit, state), verdict) in self.limits.iter().zip(states.iter_mut()).zip(&outcome.verdicts) {
                *state = limit.settle(limit.release(*state, now, now), now, verdict.state, cost);
            }
            let mut remote = self.remote(states);
            match self.mode() {
                None | Some(Mode::Strict) => return,
                Some(Mode::Report) => {
                    let left = remote.units.saturating_add(outcome.report.unwrap_or(0));
                    remote.units = left.saturating_sub(self.cost);
                }
                Some(Mode::Lease) => {
                    if outcome.leased {
                        remote.units = remote.units.saturating_add(self.cost);
                    }
                    if outcome.ask.or(outcome.refill).is_some() {
                        remote.failed();
                    }
                }
            }
            self.put(states, remote);
        })
    }

    /// Corrects what the request has taken by the units that it has cost more or less. `admitted` are the states right after it took
    /// them. `report` is what it leaves for the service to be told: units of the service's limit that are missing here.
    pub(crate) fn settle(
        &self,
        bytes: Option<&[u8]>,
        admitted: &[State],
        more: i64,
        now: Now,
        report: &mut Option<u64>,
    ) -> Option<Vec<u8>> {
        let mut row = Row::new(bytes, self.policy.states());
        // a debt is kept, though nobody had to know of the key meanwhile
        let (way, mut states, _) = self.entry(&row, now)?;
        for ((limit, state), admitted) in self.limits.iter().zip(states.iter_mut()).zip(admitted) {
            *state = limit.settle(*state, now, *admitted, more);
        }
        let mut remote = self.remote(&states);
        let units = more.unsigned_abs();
        // in place of a service that was away; it knows nothing of the request, and no lease has paid for it
        let has_fallen_back = !admitted.is_empty() && !self.reports();
        *report = match (self.policy.global.as_ref(), more > 0) {
            _ if has_fallen_back => None,
            (Some(global), true) if global.mode == Mode::Report => remote.used(units, global.report_units),
            (Some(global), false) if global.mode == Mode::Report => {
                remote.units = remote.units.saturating_sub(units);
                None
            }
            (Some(global), false) if global.mode == Mode::Lease => {
                if now.monotonic < remote.until {
                    remote.units = remote.units.saturating_add(units);
                }
                None
            }
            (Some(_), true) => Some(units),
            _ => None,
        };
        self.put(&mut states, remote);
        row.write(way, self.fingerprint, &states);
        Some(row.into_bytes())
    }

    /// The request is not in flight any more.
    pub(crate) fn release(&self, bytes: Option<&[u8]>, taken: Now, now: Now) -> Option<Vec<u8>> {
        self.edit(bytes, |states| {
            for (limit, state) in self.limits.iter().zip(states) {
                *state = limit.release(*state, taken, now);
            }
        })
    }

    /// The service has answered a question for the lease. `true` if the request has to ask once more.
    pub(crate) fn answered(
        &self,
        bytes: Option<&[u8]>,
        cost: u64,
        said: Option<Said>,
        now: Now,
    ) -> (bool, Option<Vec<u8>>) {
        let Some(global) = &self.policy.global else { return (false, None) };
        let mut again = false;
        let row = self.edit(bytes, |states| {
            let mut remote = self.remote(states);
            match said {
                Some(said) => again = remote.answered(now.monotonic, cost, said, global.terms),
                None => remote.failed(),
            }
            self.put(states, remote);
        });
        (again, row)
    }

    /// The service has answered a report of this many units, or has not heard it.
    pub(crate) fn reported(&self, bytes: Option<&[u8]>, units: u64, said: Option<Said>, now: Now) -> Option<Vec<u8>> {
        let global = self.policy.global.as_ref()?;
        if said.is_some_and(|said| said.granted) {
            return None;
        }
        self.edit(bytes, |states| {
            let mut remote = self.remote(states);
            match said {
                Some(said) => {
                    let lasts = said.reset.unwrap_or(global.terms.lasts);
                    remote.close(now.monotonic.saturating_add(lasts));
                }
                // told with the key's next requests
                None => drop(remote.used(units, u64::MAX)),
            }
            self.put(states, remote);
        })
    }

    /// Changes the states of an entry that is there.
    fn edit(&self, bytes: Option<&[u8]>, change: impl FnOnce(&mut [State])) -> Option<Vec<u8>> {
        let mut row = Row::new(bytes, self.policy.states());
        let set::Place::Found(way) = row.find(self.fingerprint, |_| false) else { return None };
        let mut states = row.states(way);
        change(&mut states);
        row.write(way, self.fingerprint, &states);
        Some(row.into_bytes())
    }

    fn remote(&self, states: &[State]) -> Remote {
        Remote::unpack(states.get(self.limits.len()..).unwrap_or_default())
    }

    fn put(&self, states: &mut [State], remote: Remote) {
        states.iter_mut().skip(self.limits.len()).zip(remote.pack()).for_each(|(place, state)| *place = state);
    }

    /// The way, its states, and whether another entry has to make room.
    fn entry(&self, row: &Row, now: Now) -> Option<(usize, Vec<State>, bool)> {
        let unused = || vec![(0, 0); self.policy.states()];
        let idle_after = |states: &[State]| {
            let limits = self.policy.limits.iter().zip(states).map(|(limit, state)| limit.idle_after(*state, now));
            limits.chain([self.remote(states).idle_after(now.monotonic)]).max()
        };
        let is_idle = |states: &[State]| {
            let mut limits = self.policy.limits.iter().zip(states);
            limits.all(|(limit, state)| limit.is_idle(*state, now))
                && self.remote(states).idle_after(now.monotonic) == 0
        };
        match row.find(self.fingerprint, is_idle) {
            set::Place::Found(way) => Some((way, row.states(way), false)),
            set::Place::Free(way) => Some((way, unused(), false)),
            set::Place::Full if self.policy.on_full == OnFull::Deny => None,
            set::Place::Full => {
                // whoever is soonest as good as new loses least
                (0..set::WAYS).min_by_key(|way| idle_after(&row.states(*way))).map(|way| (way, unused(), true))
            }
        }
    }
}
