//! Windows: a budget for a stretch of time, all of it at once.

use time::Date;

/// How time is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Division {
    /// Stretches of this many nanoseconds since 1970.
    Epoch(u64),
    /// A stretch of this many nanoseconds from the first use on.
    FirstUse(u64),
    /// Days, this many seconds east of UTC.
    Day(i32),
    /// Months, this many seconds east of UTC.
    Month(i32),
}

/// A budget and its division of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Units in one stretch.
    pub units: u64,
    /// How time is divided.
    pub division: Division,
}

/// What has been used of a stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// Units used.
    pub units: u64,
}

/// What a window says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may pass.
    pub allowed: bool,
    /// The stretch afterwards; unchanged for a refused request.
    pub used: Used,
    /// Units left afterwards.
    pub remaining: u64,
    /// Nanoseconds until the next stretch.
    pub reset: u64,
    /// Whether the cost would fit into an unused stretch.
    pub possible: bool,
}

const SECOND: u64 = 1_000_000_000;
const DAY: i64 = 86_400;

impl Window {
    /// Takes `cost` units at `now`, in nanoseconds since 1970, if they are there. A clock that goes back to an earlier
    /// stretch stays in the later one.
    pub fn take(&self, used: Option<Used>, now: u64, cost: u64) -> Verdict {
        let (start, end) = self.stretch(used, now);
        let before = used.filter(|used| used.start == start).map_or(0, |used| used.units);
        let wanted = before.saturating_add(cost);
        let allowed = wanted <= self.units;
        let after = if allowed { wanted } else { before };
        let used = if allowed { Used { start, units: after } } else { used.unwrap_or_default() };
        let remaining = self.units.saturating_sub(after);
        Verdict { allowed, used, remaining, reset: end.saturating_sub(now), possible: cost <= self.units }
    }

    /// Corrects the stretch that a request was admitted in; one that is over stays as it was.
    pub fn settle(&self, used: Option<Used>, admitted: u64, more: i64) -> Option<Used> {
        let used = used.filter(|used| used.start == admitted)?;
        Some(Used { units: used.units.saturating_add_signed(more), ..used })
    }

    /// Whether a stretch is over at `now`: it says nothing that a new one does not.
    pub fn is_over(&self, used: Used, now: u64) -> bool {
        self.stretch(Some(used), now).0 != used.start || used.units == 0
    }

    /// Beginning and end of the stretch that counts now.
    fn stretch(&self, used: Option<Used>, now: u64) -> (u64, u64) {
        // an unused slot is all zeros; none that is in use began in 1970
        let last = used.map_or(0, |used| used.start);
        let now = now.max(last);
        match self.division {
            Division::Epoch(length) => {
                let start = now - now % length.max(1);
                (start, start.saturating_add(length))
            }
            Division::FirstUse(length) => {
                let start = if last > 0 && now - last < length { last } else { now };
                (start, start.saturating_add(length))
            }
            Division::Day(east) => {
                let day = local(now, east).div_euclid(DAY);
                (instant(day * DAY, east), instant((day + 1) * DAY, east))
            }
            Division::Month(east) => {
                let (first, next) = month_around(local(now, east).div_euclid(DAY));
                (instant(first * DAY, east), instant(next * DAY, east))
            }
        }
    }
}

/// Seconds since 1970 on a clock `east` of UTC.
fn local(now: u64, east: i32) -> i64 {
    i64::try_from(now / SECOND).unwrap_or(i64::MAX / 2) + i64::from(east)
}

/// The instant at which such a clock shows this many seconds.
fn instant(seconds: i64, east: i32) -> u64 {
    u64::try_from(seconds - i64::from(east)).unwrap_or(0).saturating_mul(SECOND)
}

/// Julian day of 1970-01-01.
const EPOCH_DAY: i64 = 2_440_588;

/// First day, since 1970, of the month that a day lies in, and of the next.
fn month_around(day: i64) -> (i64, i64) {
    let number = i32::try_from(day + EPOCH_DAY).unwrap_or(i32::MAX);
    let Ok(date) = Date::from_julian_day(number) else { return (day, day + 31) };
    let first = day - i64::from(date.day()) + 1;
    (first, first + i64::from(date.month().length(date.year())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> u64 {
        seconds * SECOND
    }

    #[test]
    fn an_epoch_window_starts_anew_on_the_hour() {
        let window = Window { units: 2, division: Division::Epoch(seconds(3600)) };
        let first = window.take(None, seconds(3600 + 10), 2);
        assert_eq!((first.allowed, first.remaining, first.reset), (true, 0, seconds(3590)));
        let second = window.take(Some(first.used), seconds(7199), 1);
        assert_eq!((second.allowed, second.reset, second.used), (false, seconds(1), first.used));
        assert!(window.take(Some(first.used), seconds(7200), 1).allowed);
        assert!(!window.take(None, 0, 3).possible);
    }

    #[test]
    fn a_first_use_window_starts_with_its_first_request() {
        let window = Window { units: 1, division: Division::FirstUse(seconds(60)) };
        let first = window.take(None, seconds(100), 1);
        assert_eq!((first.used.start, first.reset), (seconds(100), seconds(60)));
        assert!(!window.take(Some(first.used), seconds(159), 1).allowed);
        assert_eq!(window.take(Some(first.used), seconds(160), 1).used.start, seconds(160));
    }

    #[test]
    fn days_and_months_follow_the_calendar_of_an_offset() {
        // 2024-02-29T23:30:00Z
        let now = seconds(1_709_249_400);
        let reset = |division| Window { units: 1, division }.take(None, now, 1).reset / SECOND;
        assert_eq!(reset(Division::Day(0)), 1800);
        assert_eq!(reset(Division::Day(3600)), 23 * 3600 + 1800);
        assert_eq!(reset(Division::Month(0)), 1800);
        assert_eq!(reset(Division::Month(3600)), 31 * 86_400 - 1800);
        assert_eq!(reset(Division::Month(-5 * 3600)), 1800 + 5 * 3600);
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window_again() {
        let window = Window { units: 1, division: Division::Epoch(seconds(60)) };
        let used = window.take(None, seconds(120), 1).used;
        assert!(!window.take(Some(used), seconds(119), 1).allowed);
        assert!(!window.is_over(used, seconds(119)));
        assert!(window.is_over(used, seconds(180)));
    }

    #[test]
    fn a_correction_belongs_to_the_window_that_admitted() {
        let window = Window { units: 10, division: Division::Epoch(seconds(60)) };
        let used = window.take(None, seconds(60), 5).used;
        assert_eq!(window.settle(Some(used), seconds(60), 7), Some(Used { start: seconds(60), units: 12 }));
        assert_eq!(window.settle(Some(used), seconds(60), -9), Some(Used { start: seconds(60), units: 0 }));
        assert_eq!(window.settle(Some(used), 0, 7), None);
    }

    proptest! {
        #[test]
        fn months_are_those_of_a_naive_calendar(day in 0i64..200_000) {
            let (mut year, mut month, mut first) = (1970, 1, 0);
            loop {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let length = match month { 2 => 28 + i64::from(leap), 4 | 6 | 9 | 11 => 30, _ => 31 };
                if day < first + length {
                    break;
                }
                first += length;
                (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            }
            let next = month_around(day).1;
            prop_assert_eq!(month_around(day).0, first);
            prop_assert!(day < next && next - first <= 31);
        }
    }
}
