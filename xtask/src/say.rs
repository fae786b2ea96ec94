//! Progress lines. They go to stderr, so that stdout carries answers only.

use std::fmt::Display;
use std::time::Duration;

/// Prints one line of progress.
pub fn say(line: impl Display) {
    eprintln!("sluice: {line}");
}

/// A duration as people read it: `0.3 s`, `41.2 s`, `3 min 5 s`.
pub fn seconds(time: Duration) -> String {
    if time.as_secs() < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// A count of bytes as people read it: `74 B`, `183.7 kB`, `1.2 MB` (powers of ten).
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{}.{} kB", count / 1_000, count % 1_000 / 100),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_short() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
        assert_eq!(bytes(74), "74 B");
        assert_eq!(bytes(183_790), "183.7 kB");
        assert_eq!(bytes(1_250_000), "1.2 MB");
    }
}
