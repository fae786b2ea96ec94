//! The host's clock: the machine's, or one that a test sets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where guests get the time from.
#[derive(Debug)]
pub struct Clock(Source);

#[derive(Debug)]
enum Source {
    Real { start: Instant },
    Settable { wall: AtomicU64, monotonic: AtomicU64 },
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Self {
        Self(Source::Real { start: Instant::now() })
    }

    /// A clock that stands still until it is advanced. `wall` is nanoseconds since 1970.
    pub fn settable(wall: u64) -> Self {
        Self(Source::Settable { wall: AtomicU64::new(wall), monotonic: AtomicU64::new(1_000_000_000) })
    }

    /// Moves a settable clock on; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Source::Settable { wall, monotonic } = &self.0 {
            wall.fetch_add(nanos(by), Ordering::SeqCst);
            monotonic.fetch_add(nanos(by), Ordering::SeqCst);
        }
    }

    /// Nanoseconds since 1970.
    pub fn wall(&self) -> u64 {
        match &self.0 {
            Source::Real { .. } => nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Source::Settable { wall, .. } => wall.load(Ordering::SeqCst),
        }
    }

    /// Nanoseconds since some moment before; never goes back.
    pub fn monotonic(&self) -> u64 {
        match &self.0 {
            Source::Real { start } => nanos(start.elapsed()).saturating_add(1_000_000_000),
            Source::Settable { monotonic, .. } => monotonic.load(Ordering::SeqCst),
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
