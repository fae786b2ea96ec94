//! The bucket: GCRA (ITU-T I.371) in exact integers.
//!
//! A bucket is one instant: when it will be full again. It is kept as a fraction whose denominator is the number of units a
//! period brings, so that nothing is ever rounded: neither is a request lost, nor one admitted that should not be.

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Units that a period brings, 1 to 2^40 - 1.
    units: u64,
    /// The period in nanoseconds, 1 to 2^52 - 1.
    period: u64,
    /// Units that fit, 1 to 2^40 - 1.
    burst: u64,
}

/// Largest number of units, burst and cost.
pub const MAX_UNITS: u64 = (1 << 40) - 1;
/// Longest period in nanoseconds: 52 days.
pub const MAX_PERIOD: u64 = (1 << 52) - 1;

/// When a bucket is full again: `nanos + fraction / units`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FullAt {
    /// Whole nanoseconds of the clock.
    pub nanos: u64,
    /// What comes on top, in parts of the quota's units.
    pub fraction: u64,
}

/// What a bucket says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may pass.
    pub allowed: bool,
    /// The bucket afterwards; unchanged for a refused request.
    pub full_at: FullAt,
    /// Whole units left afterwards.
    pub remaining: u64,
    /// Nanoseconds until this cost would be allowed; 0 for an allowed request. `None` if it never will be, because it is
    /// larger than the burst.
    pub retry_after: Option<u64>,
    /// Nanoseconds until the next whole unit; 0 for a full bucket.
    pub next_unit: u64,
    /// Nanoseconds until the bucket is full.
    pub full_after: u64,
}

impl Quota {
    /// A quota, if its numbers are within their limits.
    pub fn new(units: u64, period: u64, burst: u64) -> Option<Self> {
        let fits = |number: u64, most: u64| (1..=most).contains(&number);
        let good = fits(units, MAX_UNITS) && fits(period, MAX_PERIOD) && fits(burst, MAX_UNITS);
        good.then_some(Self { units, period, burst })
    }

    /// Units that a period brings.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// The period in nanoseconds.
    pub fn period(&self) -> u64 {
        self.period
    }

    /// Units that fit.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// Takes `cost` units at `now`, if they are there. A bucket that has never been used is full: `None`. A clock that goes
    /// back adds nothing.
    pub fn take(&self, full_at: Option<FullAt>, now: u64, cost: u64) -> Verdict {
        let n = self.scaled(now);
        let state = self.state(full_at, n);
        let wanted = state.saturating_add(u128::from(cost) * u128::from(self.period));
        let room = self.room();
        let possible = cost <= self.burst;
        let allowed = possible && wanted - n <= room;
        let after = if allowed { wanted } else { state };
        let used = after - n;
        let remaining = narrow(room.saturating_sub(used) / u128::from(self.period));
        let missing = (u128::from(remaining) + 1) * u128::from(self.period);
        let next_unit = if used == 0 { 0 } else { self.time((missing + used).saturating_sub(room)) };
        let retry_after =
            if allowed { Some(0) } else { possible.then(|| self.time((wanted - n).saturating_sub(room))) };
        let full_at = if allowed { self.unscaled(after) } else { full_at.unwrap_or_default() };
        Verdict { allowed, full_at, remaining, retry_after, next_unit, full_after: self.time(used) }
    }

    /// What [`Quota::take`] says when nothing is taken.
    pub fn look(&self, full_at: Option<FullAt>, now: u64) -> Verdict {
        let verdict = self.take(full_at, now, 0);
        Verdict { full_at: full_at.unwrap_or_default(), ..verdict }
    }

    /// Corrects a bucket by what a request has cost more, or less, than was taken for it. It may go into debt, which the next
    /// request waits for; a refund never makes it more than full.
    pub fn settle(&self, full_at: Option<FullAt>, now: u64, more: i64) -> FullAt {
        let n = self.scaled(now);
        let state = self.state(full_at, n);
        let change = u128::from(more.unsigned_abs()) * u128::from(self.period);
        let state = if more >= 0 { state.saturating_add(change) } else { state.saturating_sub(change) };
        self.unscaled(state.max(n))
    }

    /// Whether a bucket is full at `now`: it says nothing that a new one does not.
    pub fn is_full(full_at: FullAt, now: u64) -> bool {
        full_at.nanos < now || full_at.nanos == now && full_at.fraction == 0
    }

    fn state(&self, full_at: Option<FullAt>, n: u128) -> u128 {
        let Some(FullAt { nanos, fraction }) = full_at else { return n };
        // the quota has changed since: what is left of a nanosecond is dropped
        let fraction = if fraction < self.units { fraction } else { 0 };
        (self.scaled(nanos) + u128::from(fraction)).max(n)
    }

    /// An instant times the units.
    fn scaled(&self, nanos: u64) -> u128 {
        u128::from(nanos) * u128::from(self.units)
    }

    fn unscaled(&self, state: u128) -> FullAt {
        let units = u128::from(self.units);
        FullAt { nanos: narrow(state / units), fraction: narrow(state % units) }
    }

    /// A scaled stretch in nanoseconds, rounded up.
    fn time(&self, scaled: u128) -> u64 {
        narrow(scaled.div_ceil(u128::from(self.units)))
    }

    /// What the burst is worth, scaled.
    fn room(&self) -> u128 {
        u128::from(self.burst) * u128::from(self.period)
    }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn quota(units: u64, period: u64, burst: u64) -> Quota {
        Quota::new(units, period, burst).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_one_for_each_interval() {
        let three = quota(3, SECOND, 3);
        let mut state = None;
        let mut passed = Vec::new();
        for now in (0..=2 * SECOND).step_by(100_000_000) {
            let verdict = three.take(state, now, 1);
            if verdict.allowed {
                state = Some(verdict.full_at);
                passed.push(now / 100_000_000);
            }
        }
        // at 0 only one request asks; the bucket keeps filling meanwhile
        assert_eq!(passed, [0, 1, 2, 4, 7, 10, 14, 17, 20]);
    }

    #[test]
    fn thirds_of_a_second_are_not_rounded() {
        let three = quota(3, SECOND, 1);
        let first = three.take(None, 0, 1);
        assert_eq!(first.full_at, FullAt { nanos: 333_333_333, fraction: 1 });
        assert_eq!(three.take(Some(first.full_at), 333_333_333, 1).retry_after, Some(1));
        let mut state = first.full_at;
        for now in [333_333_334, 666_666_668, 1_000_000_002] {
            let verdict = three.take(Some(state), now, 1);
            assert!(verdict.allowed, "{now}");
            state = verdict.full_at;
        }
    }

    #[test]
    fn what_is_left_and_how_long_to_wait() {
        let twenty = quota(20, 60 * SECOND, 20);
        let mut state = None;
        for left in (0..20).rev() {
            let verdict = twenty.take(state, 5, 1);
            assert_eq!((verdict.allowed, verdict.remaining), (true, left));
            state = Some(verdict.full_at);
        }
        let refused = twenty.take(state, 5 + SECOND, 1);
        assert_eq!((refused.allowed, refused.remaining), (false, 0));
        assert_eq!((refused.retry_after, refused.next_unit), (Some(2 * SECOND), 2 * SECOND));
        assert_eq!(refused.full_after, 59 * SECOND);
        assert_eq!(refused.full_at, state.unwrap());
        assert_eq!(twenty.take(state, 5 + SECOND, 5).retry_after, Some(14 * SECOND));
        assert_eq!(twenty.take(state, 5 + SECOND, 21).retry_after, None);
    }

    #[test]
    fn debt_is_waited_for_and_refunds_are_capped() {
        let ten = quota(10, SECOND, 10);
        let state = ten.take(None, 0, 4).full_at;
        let in_debt = ten.settle(Some(state), 0, 16);
        assert_eq!(ten.take(Some(in_debt), 0, 1).retry_after, Some(1_100_000_000));
        assert_eq!(ten.look(Some(in_debt), 0).remaining, 0);
        let refunded = ten.settle(Some(state), 0, -1000);
        assert_eq!(ten.look(Some(refunded), 0).remaining, 10);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let ten = quota(10, SECOND, 10);
        let state = ten.take(None, SECOND, 10).full_at;
        assert!(!ten.take(Some(state), 0, 1).allowed);
    }

    #[test]
    fn the_largest_numbers_fit() {
        let largest = quota(MAX_UNITS, MAX_PERIOD, MAX_UNITS);
        let verdict = largest.take(None, u64::MAX / 2, MAX_UNITS);
        assert!(verdict.allowed);
        assert!(!largest.take(Some(verdict.full_at), u64::MAX / 2, 1).allowed);
        let settled = largest.settle(Some(verdict.full_at), u64::MAX / 2, i64::MAX);
        assert!(!largest.take(Some(settled), u64::MAX / 2, 1).allowed);
        for (units, period, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (MAX_UNITS + 1, 1, 1), (1, MAX_PERIOD + 1, 1)] {
            assert_eq!(Quota::new(units, period, burst), None);
        }
    }

    prop_compose! {
        fn quotas()(units in 1..2000u64, period in 1..2_000_000u64, burst in 1..50u64) -> Quota {
            quota(units, period, burst)
        }
    }

    proptest! {
        #[test]
        fn no_stretch_admits_more_than_burst_and_rate(
            quota in quotas(), steps in proptest::collection::vec((0..5000u64, 1..6u64), 1..80),
        ) {
            let (mut now, mut state, mut admitted) = (0, None, Vec::new());
            for (wait, cost) in steps {
                now += wait;
                let verdict = quota.take(state, now, cost);
                if verdict.allowed {
                    state = Some(verdict.full_at);
                    admitted.push((now, cost));
                } else if let Some(wait) = verdict.retry_after {
                    // exactly as long as it says, and not a nanosecond less
                    prop_assert!(quota.take(state, now + wait, cost).allowed);
                    prop_assert!(!quota.take(state, now + wait - 1, cost).allowed);
                }
            }
            for (index, (start, _)) in admitted.iter().enumerate() {
                let mut sum = 0u128;
                for (end, cost) in &admitted[index..] {
                    sum += u128::from(*cost);
                    // sum <= burst + units * time / period, without a division
                    let bound = u128::from(quota.burst * quota.period) + u128::from(end - start) * u128::from(quota.units);
                    prop_assert!(sum * u128::from(quota.period) <= bound);
                }
            }
        }

        #[test]
        fn it_is_the_bucket_that_fills_by_fractions(
            quota in quotas(), steps in proptest::collection::vec((0..5000u64, 1..6u64), 1..80),
        ) {
            // the model: a level in parts of 1 / period, full at the beginning
            let full = u128::from(quota.burst) * u128::from(quota.period);
            let (mut level, mut now, mut state) = (full, 0u64, None);
            for (wait, cost) in steps {
                now += wait;
                level = (level + u128::from(wait) * u128::from(quota.units)).min(full);
                let price = u128::from(cost) * u128::from(quota.period);
                let verdict = quota.take(state, now, cost);
                prop_assert_eq!(verdict.allowed, price <= level);
                if verdict.allowed {
                    level -= price;
                    state = Some(verdict.full_at);
                }
                prop_assert_eq!(u128::from(verdict.remaining), level / u128::from(quota.period));
            }
        }

        #[test]
        fn a_correction_and_its_opposite_leave_a_used_bucket_as_it_was(
            quota in quotas(), used in 1..50u64, now in 0..1_000_000u64, more in 0..1000i64,
        ) {
            let state = quota.settle(None, now, i64::try_from(used).unwrap());
            let there = quota.settle(Some(state), now, more);
            prop_assert_eq!(quota.settle(Some(there), now, -more), state);
        }
    }
}
