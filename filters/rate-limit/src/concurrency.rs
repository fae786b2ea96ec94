//! Requests in flight, counted by leases that end by themselves: an end that nobody sees, because a worker has died, costs a place for
//! as long as a lease, and not for ever.
//!
//! Leases are not kept one by one but counted in six slots of time, by when they end. So the state has one size whatever the
//! limit is: a lease lasts at least as long as it should, and at most a fifth longer.

/// How many requests may be in flight, and how long one of them counts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// 1 to 65,535.
    max: u16,
    /// Nanoseconds of a slot.
    width: u64,
}

/// Largest number of requests in flight.
pub const MAX_CONCURRENT: u64 = 65_535;
/// Shortest and longest lease in milliseconds: a second, and a day.
pub const LEASES_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

const SLOTS: u32 = 6;
const MILLISECOND: u64 = 1_000_000;

/// Leases by when they end, packed: the lowest 32 bits of the first number tell the first slot, and six counts of 16 bits
/// follow.
pub type Leases = (u64, u64);

/// What is said of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may pass.
    pub allowed: bool,
    /// The leases afterwards.
    pub leases: Leases,
    /// How many more would pass.
    pub remaining: u64,
}

impl Concurrency {
    /// A limit, if its numbers are within their bounds.
    pub fn new(max: u64, lease_ms: u64) -> Option<Self> {
        let max = u16::try_from(max).ok().filter(|max| *max > 0)?;
        let lease = LEASES_MS.contains(&lease_ms).then(|| lease_ms * MILLISECOND)?;
        Some(Self { max, width: lease.div_ceil(u64::from(SLOTS - 1)) })
    }

    /// How many may be in flight.
    pub fn max(&self) -> u64 {
        self.max.into()
    }

    /// The same with another number.
    pub fn with(&self, max: u64) -> Option<Self> {
        Some(Self { max: u16::try_from(max).ok().filter(|max| *max > 0)?, ..*self })
    }

    /// Takes a lease at `now`, in nanoseconds, if there is one.
    pub fn take(&self, leases: Leases, now: u64) -> Verdict {
        let mut slots = self.at(leases, now);
        let used = slots.used();
        let allowed = used < u32::from(self.max);
        if allowed && let Some(count) = self.ends_in(&mut slots, now) {
            *count = count.saturating_add(1);
        }
        let remaining = u32::from(self.max).saturating_sub(used + u32::from(allowed));
        Verdict { allowed, leases: if allowed { slots.pack() } else { leases }, remaining: remaining.into() }
    }

    /// How many more would pass at `now`.
    pub fn remaining(&self, leases: Leases, now: u64) -> u64 {
        u32::from(self.max).saturating_sub(self.at(leases, now).used()).into()
    }

    /// Gives back a lease that was taken at `taken`.
    pub fn release(&self, leases: Leases, taken: u64, now: u64) -> Leases {
        let mut slots = self.at(leases, now);
        // one that is over gives nothing back any more
        if let Some(count) = self.ends_in(&mut slots, taken) {
            *count = count.saturating_sub(1);
        }
        slots.pack()
    }

    /// The count of those leases that end with one taken at `taken`.
    fn ends_in<'a>(&self, slots: &'a mut Slots, taken: u64) -> Option<&'a mut u16> {
        let index = self.slot(taken).wrapping_add(SLOTS - 1).wrapping_sub(slots.first);
        usize::try_from(index).ok().and_then(|index| slots.counts.get_mut(index))
    }

    /// Whether nothing is in flight at `now`.
    pub fn is_idle(&self, leases: Leases, now: u64) -> bool {
        self.at(leases, now).used() == 0
    }

    /// Nanoseconds until the last lease has ended by itself.
    pub fn idle_after(&self, leases: Leases, now: u64) -> u64 {
        let slots = self.at(leases, now);
        let last = slots.counts.iter().rposition(|count| *count > 0).and_then(|last| u64::try_from(last).ok());
        last.map_or(0, |last| (last + 1).saturating_mul(self.width).saturating_sub(now % self.width.max(1)))
    }

    /// The slot of an instant. It begins anew after 27 years of the shortest lease.
    fn slot(&self, now: u64) -> u32 {
        u32::try_from((now / self.width.max(1)) & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// The leases that count at `now`.
    fn at(&self, leases: Leases, now: u64) -> Slots {
        let slots = Slots::unpack(leases);
        let now = self.slot(now);
        // another worker may have looked at the clock a moment later and been here first; what is further ahead than any lease are leases
        // of another length, and those begin anew
        let behind = slots.first.wrapping_sub(now);
        let first = if (1..SLOTS).contains(&behind) { slots.first } else { now };
        let mut counts = [0; SLOTS as usize];
        if let Ok(gone) = usize::try_from(first.wrapping_sub(slots.first)) {
            counts.iter_mut().zip(slots.counts.iter().skip(gone)).for_each(|(place, count)| *place = *count);
        }
        Slots { first, counts }
    }
}

/// The same, unpacked.
#[derive(Debug, Clone, Copy)]
struct Slots {
    /// What is in flight here ends with this slot of time.
    first: u32,
    counts: [u16; SLOTS as usize],
}

impl Slots {
    fn unpack((first, second): Leases) -> Self {
        let count = |number: u64, at: u32| u16::try_from(number >> at & 0xffff).unwrap_or(0);
        let counts = [
            count(first, 32),
            count(first, 48),
            count(second, 0),
            count(second, 16),
            count(second, 32),
            count(second, 48),
        ];
        Self { first: u32::try_from(first & u64::from(u32::MAX)).unwrap_or(0), counts }
    }

    fn pack(self) -> Leases {
        let [a, b, c, d, e, f] = self.counts.map(u64::from);
        (u64::from(self.first) | a << 32 | b << 48, c | d << 16 | e << 32 | f << 48)
    }

    fn used(&self) -> u32 {
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn ten() -> Concurrency {
        Concurrency::new(10, 60_000).unwrap()
    }

    #[test]
    fn as_many_as_may_be_and_one_more_when_one_ends() {
        let limit = ten();
        let mut leases = (0, 0);
        for left in (0..10).rev() {
            let verdict = limit.take(leases, 5 * SECOND);
            assert_eq!((verdict.allowed, verdict.remaining), (true, left));
            leases = verdict.leases;
        }
        assert_eq!(limit.take(leases, 6 * SECOND), Verdict { allowed: false, leases, remaining: 0 });
        leases = limit.release(leases, 5 * SECOND, 20 * SECOND);
        assert!(limit.take(leases, 20 * SECOND).allowed);
        assert_eq!(limit.remaining(leases, 20 * SECOND), 1);
    }

    #[test]
    fn a_lease_ends_by_itself_not_before_its_time_and_at_most_a_fifth_later() {
        let limit = Concurrency::new(1, 60_000).unwrap();
        for taken in [0, 1, 11 * SECOND, 12 * SECOND - 1, 12 * SECOND, 1_000_003 * SECOND] {
            let leases = limit.take((0, 0), taken).leases;
            assert!(!limit.take(leases, taken + 60 * SECOND - 1).allowed, "{taken}");
            assert!(limit.take(leases, taken + 72 * SECOND).allowed, "{taken}");
            assert!(limit.is_idle(leases, taken + limit.idle_after(leases, taken)), "{taken}");
            assert!(!limit.is_idle(leases, taken + limit.idle_after(leases, taken) - 1), "{taken}");
            // its end comes too late to give back anything
            let other = limit.take(leases, taken + 72 * SECOND).leases;
            assert!(!limit.take(limit.release(other, taken, taken + 73 * SECOND), taken + 73 * SECOND).allowed);
        }
    }

    #[test]
    fn a_worker_whose_clock_was_read_a_moment_earlier_forgets_nothing() {
        let limit = Concurrency::new(3, 60_000).unwrap();
        let (before, behind) = (12 * SECOND - 1, 12 * SECOND);
        let leases = limit.take((0, 0), behind).leases;
        let leases = limit.take(leases, before).leases;
        assert_eq!(limit.remaining(leases, before), 1);
        assert_eq!(limit.remaining(leases, behind), 1);
        // each ends where it began, in whatever order
        let one = limit.release(leases, before, behind);
        assert_eq!((limit.remaining(one, behind), limit.remaining(one, before + 60 * SECOND)), (2, 2));
        assert_eq!(limit.remaining(limit.release(one, behind, before), behind), 3);
        assert_eq!(limit.remaining(limit.release(leases, behind, before), behind), 2);
        // much later than any lease there is: these are of another length
        let far = limit.take((0, 0), 1_000_000 * SECOND).leases;
        assert_eq!(limit.remaining(far, SECOND), 3);
    }

    #[test]
    fn numbers_out_of_bounds_are_none() {
        assert!(Concurrency::new(0, 1000).is_none() && Concurrency::new(65_536, 1000).is_none());
        assert!(Concurrency::new(1, 999).is_none() && Concurrency::new(1, 86_400_001).is_none());
        assert_eq!(ten().with(3).map(|limit| limit.max()), Some(3));
    }

    proptest! {
        /// Against a list of leases.
        #[test]
        fn it_is_a_set_of_leases(steps in prop::collection::vec((any::<bool>(), 0u64..20 * SECOND), 1..200), max in 1u64..20) {
            let limit = Concurrency::new(max, 60_000).unwrap();
            let (mut leases, mut now, mut flying) = ((0, 0), 0u64, Vec::new());
            for (takes, wait) in steps {
                now += wait;
                let width = limit.width;
                flying.retain(|taken: &u64| taken / width + 6 > now / width);
                prop_assert_eq!(limit.remaining(leases, now), max.saturating_sub(flying.len() as u64));
                if takes {
                    let verdict = limit.take(leases, now);
                    prop_assert_eq!(verdict.allowed, (flying.len() as u64) < max);
                    if verdict.allowed {
                        flying.push(now);
                    }
                    leases = verdict.leases;
                } else if !flying.is_empty() {
                    let taken = flying.remove(0);
                    leases = limit.release(leases, taken, now);
                }
            }
        }
    }
}
