//! What is known here of a limit that a service keeps: a lease of units taken in advance, or usage not reported yet; and until
//! when there is no use in asking.
//!
//! Four numbers in a row of the table, so that all workers spend the same lease and report usage once.

use crate::set::State;

/// How many places of an entry it takes.
pub const STATES: usize = 2;

/// The state for one key. All zeros is unused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remote {
    /// Lease: units that may be spent here. Report: units used and not told yet.
    pub units: u64,
    /// Lease: how many to take next time; 0 is as many as configured.
    pub next: u64,
    /// When all of it is void: the end of the service's window. Nanoseconds, monotonic.
    pub until: u64,
    /// Until when somebody else is asking, in milliseconds, and whether the service has said no.
    flags: u64,
}

/// The highest bit of the flags: the service has said no.
const CLOSED: u64 = 1 << 63;
const MILLISECOND: u64 = 1_000_000;

/// What a lease says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It pays for it. `refill` says how much to take in the background, if it is running low.
    Paid {
        /// Units to ask for.
        refill: Option<u64>,
    },
    /// The service has said no, for so many nanoseconds.
    Closed(u64),
    /// The service has to be asked for this many.
    Ask(u64),
}

/// What the service said to a question for `asked` units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Whether they were granted.
    pub granted: bool,
    /// Units that it was asked for.
    pub asked: u64,
    /// How many are left there, if it told.
    pub remaining: Option<u64>,
    /// Nanoseconds until its window ends, if it told.
    pub reset: Option<u64>,
}

/// How a lease is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Units to take at once.
    pub size: u64,
    /// Nanoseconds that a lease lasts, and a refusal, where the service does not tell when its window ends.
    pub lasts: u64,
    /// Nanoseconds after which somebody who asks is thought to have got lost.
    pub patience: u64,
}

impl Remote {
    /// From an entry of the table.
    pub fn unpack(states: &[State]) -> Self {
        let state = |at: usize| states.get(at).copied().unwrap_or_default();
        let ((units, next), (until, flags)) = (state(0), state(1));
        Self { units, next, until, flags }
    }

    /// For the table.
    pub fn pack(&self) -> [State; STATES] {
        [(self.units, self.next), (self.until, self.flags)]
    }

    /// Nanoseconds for which no use is to be made of the service, since it has said no.
    pub fn closed_for(&self, now: u64) -> Option<u64> {
        (self.flags & CLOSED != 0).then(|| self.until.saturating_sub(now)).filter(|left| *left > 0)
    }

    /// Takes `cost` units of the lease at `now`, or says what to do.
    pub fn spend(&mut self, now: u64, cost: u64, terms: Terms) -> Spent {
        if now >= self.until {
            self.flags &= !CLOSED;
            self.units = 0;
        }
        let size = if self.next == 0 { terms.size } else { self.next.min(terms.size) };
        if now < self.until && self.units >= cost {
            self.units -= cost;
            let low = self.units.saturating_mul(4) < size && self.closed_for(now).is_none() && !self.is_asking(now);
            if low {
                self.ask(now, terms);
            }
            return Spent::Paid { refill: low.then_some(size) };
        }
        if let Some(left) = self.closed_for(now) {
            return Spent::Closed(left);
        }
        if self.is_asking(now) {
            // one lease at a time: who comes meanwhile pays for itself
            return Spent::Ask(cost);
        }
        self.ask(now, terms);
        Spent::Ask(size.max(cost))
    }

    /// The service has answered, and `cost` of what was asked for is spent already. `true` if the request has to ask once more, for
    /// its cost only: a whole lease was too much, which says nothing of less.
    pub fn answered(&mut self, now: u64, cost: u64, said: Said, terms: Terms) -> bool {
        let lease = said.asked > cost;
        if lease {
            self.flags &= CLOSED;
        }
        let until = now.saturating_add(said.reset.unwrap_or(terms.lasts));
        if !said.granted {
            if lease {
                // the service may have more than nothing
                self.next = (said.asked / 2).max(1);
                return cost > 0;
            }
            self.close(until);
            return false;
        }
        if now >= self.until {
            self.units = 0;
            self.flags &= !CLOSED;
        }
        if lease {
            self.units = self.units.saturating_add(said.asked - cost);
            self.until = until;
        }
        // towards the end of the service's window in smaller steps, so that little of it stays with whoever does not need it
        self.next = said.remaining.map_or(terms.size, |left| (left / 2).clamp(1, terms.size));
        false
    }

    /// Nobody is asking any more.
    pub fn failed(&mut self) {
        self.flags &= CLOSED;
    }

    /// The service has said no until then.
    pub fn close(&mut self, until: u64) {
        self.until = until;
        self.flags |= CLOSED;
    }

    /// Notes usage to report; how much to report now, if it has become enough.
    pub fn used(&mut self, units: u64, enough: u64) -> Option<u64> {
        self.units = self.units.saturating_add(units).min(crate::bucket::MAX_UNITS);
        (self.units > 0 && self.units >= enough).then(|| std::mem::take(&mut self.units))
    }

    /// Nanoseconds until it says nothing that an unused one does not. Unreported usage is given up with the refusal, or at once.
    pub fn idle_after(&self, now: u64) -> u64 {
        self.until.max(self.asking_until()).saturating_sub(now)
    }

    fn is_asking(&self, now: u64) -> bool {
        self.asking_until() > now
    }

    fn asking_until(&self) -> u64 {
        (self.flags & !CLOSED).saturating_mul(MILLISECOND)
    }

    fn ask(&mut self, now: u64, terms: Terms) {
        self.flags = self.flags & CLOSED | (now.saturating_add(terms.patience).div_ceil(MILLISECOND) & !CLOSED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms = Terms { size: 10, lasts: 1_000_000_000, patience: 200_000_000 };
    const MS: u64 = 1_000_000;

    fn yes(asked: u64, remaining: u64) -> Said {
        Said { granted: true, asked, remaining: Some(remaining), reset: Some(60_000 * MS) }
    }

    #[test]
    fn a_lease_is_asked_for_once_spent_here_and_filled_up_in_time() {
        let mut remote = Remote::default();
        assert_eq!(remote.spend(MS, 1, TERMS), Spent::Ask(10));
        assert_eq!(remote.spend(MS, 1, TERMS), Spent::Ask(1), "while somebody asks for a lease");
        assert!(!remote.answered(2 * MS, 1, yes(1, 99), TERMS));
        assert!(!remote.answered(2 * MS, 1, yes(10, 89), TERMS));
        for left in (2..9).rev() {
            let refill = (left == 2).then_some(10);
            assert_eq!(remote.spend(3 * MS, 1, TERMS), Spent::Paid { refill }, "{left}");
            assert_eq!(remote.units, left);
        }
        assert_eq!(remote.spend(3 * MS, 1, TERMS), Spent::Paid { refill: None }, "asked already");
        assert!(!remote.answered(4 * MS, 0, yes(10, 79), TERMS));
        assert_eq!(remote.units, 11);
        assert_eq!(remote.spend(60_004 * MS, 1, TERMS), Spent::Ask(10), "the service's window is over");
    }

    #[test]
    fn who_asks_and_never_hears_does_not_stand_in_the_way_for_ever() {
        let mut remote = Remote::default();
        assert_eq!(remote.spend(MS, 1, TERMS), Spent::Ask(10));
        assert_eq!(remote.spend(200 * MS, 1, TERMS), Spent::Ask(1));
        assert_eq!(remote.spend(201 * MS, 1, TERMS), Spent::Ask(10));
        remote.failed();
        assert_eq!(remote.spend(201 * MS, 1, TERMS), Spent::Ask(10));
    }

    #[test]
    fn a_refused_lease_is_tried_smaller_and_a_refused_request_closes() {
        let mut remote = Remote::default();
        let no = |asked| Said { granted: false, asked, remaining: Some(0), reset: Some(500 * MS) };
        remote.spend(MS, 1, TERMS);
        assert!(remote.answered(2 * MS, 1, no(10), TERMS), "the request asks for itself");
        assert!(!remote.answered(3 * MS, 1, no(1), TERMS));
        assert_eq!(remote.spend(4 * MS, 1, TERMS), Spent::Closed(499 * MS));
        assert_eq!(remote.closed_for(503 * MS), None);
        assert_eq!(remote.spend(503 * MS, 1, TERMS), Spent::Ask(5));
        assert!(!remote.answered(503 * MS, 1, Said { reset: None, ..no(1) }, TERMS));
        assert_eq!(remote.closed_for(503 * MS), Some(1000 * MS), "it does not tell");
    }

    #[test]
    fn a_lease_is_spent_to_its_end_when_no_more_is_to_be_had() {
        let mut remote = Remote::default();
        remote.spend(MS, 1, TERMS);
        remote.answered(MS, 1, yes(10, 1), TERMS);
        for _ in 0..7 {
            remote.spend(MS, 1, TERMS);
        }
        assert_eq!((remote.units, remote.next), (2, 1));
        assert!(!remote.answered(MS, 0, Said { granted: false, asked: 1, remaining: Some(0), reset: None }, TERMS));
        assert_eq!(remote.spend(MS, 1, TERMS), Spent::Paid { refill: None });
        assert_eq!(remote.spend(MS, 1, TERMS), Spent::Paid { refill: Some(1) });
    }

    #[test]
    fn usage_is_reported_when_it_is_enough() {
        let mut remote = Remote::default();
        assert_eq!([1, 3, 2, 9].map(|units| remote.used(units, 5)), [None, None, Some(6), Some(9)]);
        assert_eq!(Remote::unpack(&remote.pack()), remote);
        remote.close(7);
        assert_eq!(Remote::unpack(&remote.pack()), remote);
    }

    proptest! {
        /// Whatever the order of answers, no more is spent than the service has granted.
        #[test]
        fn never_more_than_granted(steps in prop::collection::vec((0u8..3, 1u64..4, any::<bool>()), 1..200)) {
            let mut remote = Remote::default();
            let (mut limit, mut passed, mut waiting) = (100u64, 0u64, Vec::new());
            let mut now = MS;
            for (step, cost, first) in steps {
                now += MS;
                if step < 2 {
                    match remote.spend(now, cost, TERMS) {
                        Spent::Paid { refill } => {
                            passed += cost;
                            waiting.extend(refill.map(|asked| (asked, 0)));
                        }
                        Spent::Closed(_) => {}
                        Spent::Ask(asked) => waiting.push((asked, cost)),
                    }
                } else if !waiting.is_empty() {
                    let (asked, cost) = if first { waiting.remove(0) } else { waiting.pop().unwrap() };
                    let granted = limit >= asked;
                    limit -= if granted { asked } else { 0 };
                    let said = Said { granted, asked, remaining: Some(limit), reset: Some(3600 * 1000 * MS) };
                    if remote.answered(now, cost, said, TERMS) {
                        waiting.push((cost, cost));
                    }
                    passed += if granted { cost } else { 0 };
                }
                prop_assert!(passed <= 100, "{passed}");
            }
        }
    }
}
