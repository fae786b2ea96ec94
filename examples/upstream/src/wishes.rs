//! What a request may wish for in its query: a slow answer, or errors.

/// Longest delay: half a minute.
const MAX_DELAY_MS: u64 = 30_000;

/// What the answer is to be like.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `delay_ms=300`: how long the answer waits.
    pub delay_ms: u64,
    /// `fail=2`: how many attempts of a request are answered with 503.
    pub failures: u32,
}

impl Wishes {
    /// Reads a query. What is no number is no wish.
    pub fn read(query: &str) -> Self {
        let mut wishes = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "delay_ms" => wishes.delay_ms = value.parse().unwrap_or(0).min(MAX_DELAY_MS),
                "fail" => wishes.failures = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_may_wish_for_a_delay_and_for_errors() {
        for (query, delay_ms, failures) in [
            ("", 0, 0),
            ("a=1&delay_ms=300&fail=2", 300, 2),
            ("delay_ms=999999", 30_000, 0),
            ("delay_ms=soon&fail=-1", 0, 0),
            ("fail", 0, 0),
        ] {
            assert_eq!(Wishes::read(query), Wishes { delay_ms, failures }, "{query}");
        }
    }
}
