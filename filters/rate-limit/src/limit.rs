//! One limit: a bucket, a window or a number of requests in flight, as two numbers in a row of the table.

use crate::bucket::{FullAt, MAX_PERIOD, MAX_UNITS, Quota};
use crate::concurrency::{Concurrency, LEASES_MS, MAX_CONCURRENT};
use crate::config::{LimitConfig, WindowConfig};
use crate::set::State;
use crate::window::{Division, Used, Window};
use filter_kit::ConfigError;
use std::fmt;

/// A compiled limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Fills steadily.
    Bucket(Quota),
    /// All at once.
    Window(Window),
    /// Requests in flight. One counts for one, whatever it costs.
    Concurrency(Concurrency),
}

/// The two clocks, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub monotonic: u64,
    /// Since 1970.
    pub wall: u64,
}

/// What a limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may pass.
    pub allowed: bool,
    /// The state afterwards; unchanged for a refused request.
    pub state: State,
    /// Units left afterwards.
    pub remaining: u64,
    /// Nanoseconds until this cost would be allowed; `None` if it never will be.
    pub retry_after: Option<u64>,
    /// Nanoseconds until there is more; 0 for a concurrency limit, which cannot know.
    pub reset: u64,
}

/// Milliseconds that a request in flight counts at most, unless said otherwise.
const LEASE_MS: u64 = 300_000;
const MILLISECOND: u64 = 1_000_000;

impl Limit {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path from the limit on.
    pub fn new(config: &LimitConfig) -> Result<Self, ConfigError> {
        if config.concurrent > 0 || config.lease_ms > 0 {
            return concurrency(config);
        }
        units(config.units, "units")?;
        match (&config.window, config.per_ms) {
            (None, 0) | (Some(_), 1..) => {
                let why = "expected one of \"per_ms\", \"window\" and \"concurrent\"";
                Err(ConfigError::new("", why))
            }
            (None, per_ms) => {
                let period = period(per_ms, "per_ms")?;
                let burst = if config.burst == 0 { config.units } else { units(config.burst, "burst")? };
                let quota = Quota::new(config.units, period, burst);
                quota.map(Self::Bucket).ok_or_else(|| ConfigError::new("", "expected smaller numbers"))
            }
            (Some(_), 0) if config.burst > 0 => {
                Err(ConfigError::new("burst", "expected it together with \"per_ms\": a window has no burst"))
            }
            (Some(window), 0) => {
                let division = division(window).map_err(|error| error.within("window"))?;
                Ok(Self::Window(Window { units: config.units, division }))
            }
        }
    }

    /// The same with other numbers.
    ///
    /// # Errors
    /// With a path from the tier's entry on.
    pub fn with(&self, new_units: u64, new_burst: u64) -> Result<Self, ConfigError> {
        units(new_units, "units")?;
        match self {
            Self::Concurrency(_) if new_burst > 0 => {
                Err(ConfigError::new("burst", "expected none: what is in flight has no burst"))
            }
            Self::Concurrency(limit) => {
                let why = || format!("expected 1 to {MAX_CONCURRENT}, found {new_units}");
                limit.with(new_units).map(Self::Concurrency).ok_or_else(|| ConfigError::new("units", why()))
            }
            Self::Bucket(quota) => {
                let burst = if new_burst == 0 { new_units } else { units(new_burst, "burst")? };
                let quota = Quota::new(new_units, quota.period(), burst);
                quota.map(Self::Bucket).ok_or_else(|| ConfigError::new("", "expected smaller numbers"))
            }
            Self::Window(_) if new_burst > 0 => Err(ConfigError::new("burst", "expected none: a window has no burst")),
            Self::Window(window) => Ok(Self::Window(Window { units: new_units, ..*window })),
        }
    }

    /// Units that a period or window brings.
    pub fn units(&self) -> u64 {
        match self {
            Self::Bucket(quota) => quota.units(),
            Self::Window(window) => window.units,
            Self::Concurrency(limit) => limit.max(),
        }
    }

    /// The most that one request can take; `None` where it takes one place, whatever it costs.
    pub fn capacity(&self) -> Option<u64> {
        match self {
            Self::Bucket(quota) => Some(quota.burst()),
            Self::Window(window) => Some(window.units),
            Self::Concurrency(_) => None,
        }
    }

    /// What is counted, if it is not requests or units of a cost: a quota unit of the `RateLimit` fields.
    pub fn quota_unit(&self) -> Option<&'static str> {
        matches!(self, Self::Concurrency(_)).then_some("concurrent-requests")
    }

    /// The period in whole seconds, if it is one.
    pub fn seconds(&self) -> Option<u64> {
        let nanos = match self {
            Self::Bucket(quota) => quota.period(),
            Self::Window(window) => match window.division {
                Division::Epoch(length) | Division::FirstUse(length) => length,
                Division::Day(_) => 86_400_000_000_000,
                Division::Month(_) => return None,
            },
            Self::Concurrency(_) => return None,
        };
        (nanos % 1_000_000_000 == 0).then_some(nanos / 1_000_000_000)
    }

    /// Takes `cost` units, if they are there.
    pub fn take(&self, state: State, now: Now, cost: u64) -> Verdict {
        match self {
            Self::Bucket(quota) => {
                let verdict = quota.take(full_at(state), now.monotonic, cost);
                Verdict {
                    allowed: verdict.allowed,
                    state: if verdict.allowed { (verdict.full_at.nanos, verdict.full_at.fraction) } else { state },
                    remaining: verdict.remaining,
                    retry_after: verdict.retry_after,
                    reset: verdict.next_unit,
                }
            }
            Self::Window(window) => {
                let verdict = window.take(used(state), now.wall, cost);
                Verdict {
                    allowed: verdict.allowed,
                    state: if verdict.allowed { (verdict.used.start, verdict.used.units) } else { state },
                    remaining: verdict.remaining,
                    retry_after: match (verdict.allowed, verdict.possible) {
                        (true, _) => Some(0),
                        (false, possible) => possible.then_some(verdict.reset),
                    },
                    reset: verdict.reset,
                }
            }
            Self::Concurrency(limit) => {
                let verdict = limit.take(state, now.monotonic);
                Verdict {
                    allowed: verdict.allowed,
                    state: verdict.leases,
                    remaining: verdict.remaining,
                    retry_after: verdict.allowed.then_some(0),
                    reset: 0,
                }
            }
        }
    }

    /// What [`Limit::take`] would say of a request that takes nothing.
    pub fn look(&self, state: State, now: Now) -> Verdict {
        match self {
            Self::Concurrency(limit) => Verdict {
                allowed: true,
                state,
                remaining: limit.remaining(state, now.monotonic),
                retry_after: Some(0),
                reset: 0,
            },
            _ => Verdict { state, ..self.take(state, now, 0) },
        }
    }

    /// Corrects what a request has taken by the units that it has cost more, or less. `admitted` is the state right after it took
    /// them. A window that is over stays as it was; one whose state has been lost since is kept anew.
    pub fn settle(&self, state: State, now: Now, admitted: State, more: i64) -> State {
        match self {
            Self::Bucket(quota) => {
                let full_at = quota.settle(full_at(state), now.monotonic, more);
                (full_at.nanos, full_at.fraction)
            }
            Self::Window(window) => {
                let (start, _) = admitted;
                let lost = state.0 < start;
                let before = if lost { Some(Used { start, units: 0 }) } else { used(state) };
                let settled =
                    window.settle(before, start, more).filter(|used| !lost || !window.is_over(*used, now.wall));
                settled.map_or(state, |used| (used.start, used.units))
            }
            Self::Concurrency(_) => state,
        }
    }

    /// The request is not in flight any more. `taken` is when it was admitted.
    pub fn release(&self, state: State, taken: Now, now: Now) -> State {
        match self {
            Self::Concurrency(limit) => limit.release(state, taken.monotonic, now.monotonic),
            Self::Bucket(_) | Self::Window(_) => state,
        }
    }

    /// Whether a state says nothing that an unused one does not.
    pub fn is_idle(&self, state: State, now: Now) -> bool {
        match self {
            Self::Bucket(_) => full_at(state).is_none_or(|full_at| Quota::is_full(full_at, now.monotonic)),
            Self::Window(window) => used(state).is_none_or(|used| window.is_over(used, now.wall)),
            Self::Concurrency(limit) => limit.is_idle(state, now.monotonic),
        }
    }

    /// Nanoseconds until a state is idle.
    pub fn idle_after(&self, state: State, now: Now) -> u64 {
        match self {
            Self::Bucket(_) => state.0.saturating_sub(now.monotonic),
            Self::Window(_) if self.is_idle(state, now) => 0,
            Self::Window(window) => window.take(used(state), now.wall, 0).reset,
            Self::Concurrency(limit) => limit.idle_after(state, now.monotonic),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |nanos: u64| match nanos {
            nanos if nanos % 1_000_000_000 == 0 => format!("{} s", nanos / 1_000_000_000),
            nanos => format!("{} ms", nanos / MILLISECOND),
        };
        match self {
            Self::Bucket(quota) => {
                write!(f, "{} per {}, burst {}", quota.units(), time(quota.period()), quota.burst())
            }
            Self::Window(window) => match window.division {
                Division::Epoch(length) => write!(f, "{} in {}", window.units, time(length)),
                Division::FirstUse(length) => write!(f, "{} in {} from the first use on", window.units, time(length)),
                Division::Day(east) => write!(f, "{} a day, UTC{:+} min", window.units, east / 60),
                Division::Month(east) => write!(f, "{} a month, UTC{:+} min", window.units, east / 60),
            },
            Self::Concurrency(limit) => write!(f, "{} in flight", limit.max()),
        }
    }
}

fn full_at(state: State) -> Option<FullAt> {
    (state != (0, 0)).then_some(FullAt { nanos: state.0, fraction: state.1 })
}

fn used(state: State) -> Option<Used> {
    (state != (0, 0)).then_some(Used { start: state.0, units: state.1 })
}

fn units(units: u64, at: &str) -> Result<u64, ConfigError> {
    if (1..=MAX_UNITS).contains(&units) {
        return Ok(units);
    }
    Err(ConfigError::new(at, format!("expected 1 to {MAX_UNITS}, found {units}")))
}

fn concurrency(config: &LimitConfig) -> Result<Limit, ConfigError> {
    if config.units > 0 || config.per_ms > 0 || config.burst > 0 || config.window.is_some() {
        let why = "expected \"concurrent\" without \"units\", \"per_ms\", \"burst\" and \"window\"";
        return Err(ConfigError::new("", why));
    }
    if !(1..=MAX_CONCURRENT).contains(&config.concurrent) {
        let why = format!("expected 1 to {MAX_CONCURRENT}, found {}", config.concurrent);
        return Err(ConfigError::new("concurrent", why));
    }
    let lease_ms = if config.lease_ms == 0 { LEASE_MS } else { config.lease_ms };
    let limit = Concurrency::new(config.concurrent, lease_ms).ok_or_else(|| {
        let why = format!("expected {} to {}, found {lease_ms}", LEASES_MS.start(), LEASES_MS.end());
        ConfigError::new("lease_ms", why)
    })?;
    Ok(Limit::Concurrency(limit))
}

fn period(ms: u64, at: &str) -> Result<u64, ConfigError> {
    match ms.checked_mul(MILLISECOND) {
        Some(period @ 1..=MAX_PERIOD) => Ok(period),
        _ => Err(ConfigError::new(at, format!("expected 1 to {}, found {ms}", MAX_PERIOD / MILLISECOND))),
    }
}

fn division(config: &WindowConfig) -> Result<Division, ConfigError> {
    let east = |minutes: i32| {
        if (-1080..=1080).contains(&minutes) {
            return Ok(minutes * 60);
        }
        Err(ConfigError::new("utc_offset_minutes", format!("expected -1080 to 1080, found {minutes}")))
    };
    match config {
        WindowConfig::EpochMs(ms) => period(*ms, "epoch_ms").map(Division::Epoch),
        WindowConfig::FirstUseMs(ms) => period(*ms, "first_use_ms").map(Division::FirstUse),
        WindowConfig::Day(day) => east(day.utc_offset_minutes).map(Division::Day).map_err(|error| error.within("day")),
        WindowConfig::Month(month) => {
            east(month.utc_offset_minutes).map(Division::Month).map_err(|error| error.within("month"))
        }
    }
}
