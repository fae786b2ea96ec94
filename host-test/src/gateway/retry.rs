//! Whether a request is tried again, and after which pause: Envoy's rules (measured on 1.40). Data in, decisions out.

use std::time::Duration;

use super::bootstrap::{BackOff, RetryOn, RetryPolicy};
use super::words::Failure;
use crate::HeaderMap;

/// Request headers by which filters say something to the router; no upstream sees them.
const TO_THE_ROUTER: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
];

/// How long a request may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the end of the request to that of the response.
    pub(crate) whole: Option<Duration>,
    /// Each attempt, up to the head of its response.
    pub(crate) each: Option<Duration>,
}

/// What may still be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retries {
    on: RetryOn,
    statuses: Vec<u16>,
    left: u32,
    bound: Duration,
    max: Duration,
}

/// What becomes of an attempt that brought no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its outcome is the client's.
    Final,
    /// It would have been tried again, but too often is too often.
    Exhausted,
    /// Once more after this pause.
    Again(Duration),
}

impl Timeouts {
    /// What the route says, unless the request's headers say otherwise.
    pub(crate) fn new(route: Duration, policy: Option<&RetryPolicy>, request: &HeaderMap) -> Self {
        let whole = millis(request, b"x-envoy-upstream-rq-timeout-ms").unwrap_or(route);
        let each = millis(request, b"x-envoy-upstream-rq-per-try-timeout-ms")
            .or(policy.map(|policy| policy.per_try_timeout))
            .filter(|each| !each.is_zero() && (whole.is_zero() || *each < whole));
        Self { whole: Some(whole).filter(|whole| !whole.is_zero()), each }
    }

    /// What `x-envoy-expected-rq-timeout-ms` says to an attempt that begins when so much time has passed.
    pub(crate) fn expected(&self, passed: Duration) -> Option<u128> {
        let left = self.whole.map(|whole| whole.saturating_sub(passed).max(Duration::from_millis(1)));
        let expected = match (left, self.each) {
            (Some(left), Some(each)) => Some(left.min(each)),
            (left, each) => left.or(each),
        };
        expected.map(|expected| expected.as_millis()).filter(|expected| *expected > 0)
    }
}

impl Retries {
    /// What the route's policy and the request's headers allow; nothing if nothing.
    pub(crate) fn new(policy: Option<&RetryPolicy>, request: &HeaderMap) -> Option<Self> {
        let words = |name: &[u8]| {
            let list = request.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
            list.split(',').map(str::trim)
        };
        let mut on = policy.map_or(RetryOn::NEVER, |policy| policy.on);
        on = words(b"x-envoy-retry-on").filter_map(RetryOn::http).fold(on, RetryOn::and);
        on = words(b"x-envoy-retry-grpc-on").filter_map(RetryOn::grpc).fold(on, RetryOn::and);
        if on == RetryOn::NEVER {
            return None;
        }
        let mut statuses = policy.map(|policy| policy.statuses.clone()).unwrap_or_default();
        statuses.extend(words(b"x-envoy-retriable-status-codes").filter_map(|status| status.parse::<u16>().ok()));
        let left = number(request, b"x-envoy-max-retries").and_then(|left| u32::try_from(left).ok());
        let back_off = policy.map_or(BackOff::default(), |policy| policy.back_off);
        let left = left.unwrap_or_else(|| policy.map_or(1, |policy| policy.retries));
        Some(Self { on, statuses, left, bound: back_off.base, max: back_off.max })
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self, status: u16, response: &http::HeaderMap, random: u64) -> Verdict {
        let wanted = self.wants_answer(status, response);
        self.decide(wanted, random)
    }

    /// No answer has come.
    pub(crate) fn failed(&mut self, failure: Failure, random: u64) -> Verdict {
        let wanted = match failure {
            Failure::NoHost | Failure::Tls => false,
            _ if self.on.has(RetryOn::SERVER_ERROR.and(RetryOn::GATEWAY_ERROR).and(RetryOn::RESET)) => true,
            Failure::Connect | Failure::ConnectTimeout => {
                self.on.has(RetryOn::CONNECT_FAILURE.and(RetryOn::BEFORE_REQUEST))
            }
            Failure::StreamRefused => self.on.has(RetryOn::REFUSED_STREAM),
            Failure::Ended | Failure::NotHttp | Failure::Reset => false,
        };
        self.decide(wanted, random)
    }

    /// The time of the attempt is over.
    pub(crate) fn timed_out(&mut self, random: u64) -> Verdict {
        self.failed(Failure::Reset, random)
    }

    fn wants_answer(&self, status: u16, response: &http::HeaderMap) -> bool {
        if response.contains_key("x-envoy-ratelimited") && !self.on.has(RetryOn::RATE_LIMITED) {
            return false;
        }
        let grpc = response.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
        let grpc = match grpc {
            Some(1) => RetryOn::CANCELLED,
            Some(4) => RetryOn::DEADLINE_EXCEEDED,
            Some(8) => RetryOn::RESOURCE_EXHAUSTED,
            Some(13) => RetryOn::INTERNAL,
            Some(14) => RetryOn::UNAVAILABLE,
            _ => RetryOn::NEVER,
        };
        let limited = response.contains_key("x-envoy-ratelimited");
        (limited && self.on.has(RetryOn::RATE_LIMITED))
            || ((500..600).contains(&status) && self.on.has(RetryOn::SERVER_ERROR))
            || (matches!(status, 502..=504) && self.on.has(RetryOn::GATEWAY_ERROR))
            || (status == 409 && self.on.has(RetryOn::CONFLICT))
            || (self.statuses.contains(&status) && self.on.has(RetryOn::STATUSES))
            || self.on.has(grpc)
    }

    fn decide(&mut self, wanted: bool, random: u64) -> Verdict {
        if !wanted {
            return Verdict::Final;
        }
        let Some(left) = self.left.checked_sub(1) else { return Verdict::Exhausted };
        self.left = left;
        let bound = u64::try_from(self.bound.as_millis()).unwrap_or(u64::MAX);
        self.bound = (self.bound * 2).min(self.max);
        Verdict::Again(Duration::from_millis(random.checked_rem(bound).unwrap_or(0)))
    }
}

/// Takes out what was said to the router alone.
pub(crate) fn forget(request: &mut HeaderMap) {
    for name in TO_THE_ROUTER {
        request.remove(name.as_bytes());
    }
}

fn number(request: &HeaderMap, name: &[u8]) -> Option<u64> {
    std::str::from_utf8(request.get(name)?).ok()?.parse().ok()
}

fn millis(request: &HeaderMap, name: &[u8]) -> Option<Duration> {
    number(request, name).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(on: RetryOn) -> RetryPolicy {
        RetryPolicy {
            on,
            statuses: vec![418],
            retries: 2,
            per_try_timeout: Duration::from_millis(300),
            back_off: BackOff { base: Duration::from_millis(10), max: Duration::from_millis(15) },
        }
    }

    fn request(headers: &[(&str, &str)]) -> HeaderMap {
        headers.iter().copied().collect()
    }

    fn again(on: RetryOn, try_it: impl FnOnce(&mut Retries) -> Verdict) -> bool {
        let mut retries = Retries::new(Some(&policy(on)), &request(&[])).unwrap();
        matches!(try_it(&mut retries), Verdict::Again(_))
    }

    #[test]
    fn answers_are_tried_again_as_in_envoy() {
        for (on, status, header, expected) in [
            (RetryOn::SERVER_ERROR, 500, None, true),
            (RetryOn::SERVER_ERROR, 499, None, false),
            (RetryOn::GATEWAY_ERROR, 500, None, false),
            (RetryOn::GATEWAY_ERROR, 502, None, true),
            (RetryOn::CONFLICT, 409, None, true),
            (RetryOn::CONFLICT, 404, None, false),
            (RetryOn::STATUSES, 418, None, true),
            (RetryOn::STATUSES, 500, None, false),
            (RetryOn::RESET, 418, None, false),
            (RetryOn::SERVER_ERROR, 503, Some(("x-envoy-ratelimited", "true")), false),
            (RetryOn::RATE_LIMITED, 429, Some(("x-envoy-ratelimited", "true")), true),
            (RetryOn::UNAVAILABLE, 200, Some(("grpc-status", "14")), true),
            (RetryOn::UNAVAILABLE, 200, Some(("grpc-status", "5")), false),
            (RetryOn::CANCELLED, 200, Some(("grpc-status", "1")), true),
        ] {
            let mut headers = http::HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, http::HeaderValue::from_static(value));
            }
            assert_eq!(
                again(on, |retries| retries.answered(status, &headers, 0)),
                expected,
                "{on:?} {status} {header:?}"
            );
        }
    }

    #[test]
    fn failures_are_tried_again_as_in_envoy() {
        for (on, failure, expected) in [
            (RetryOn::SERVER_ERROR, Failure::Ended, true),
            (RetryOn::GATEWAY_ERROR, Failure::ConnectTimeout, true),
            (RetryOn::RESET, Failure::Reset, true),
            (RetryOn::RESET, Failure::NoHost, false),
            (RetryOn::CONNECT_FAILURE, Failure::Connect, true),
            (RetryOn::CONNECT_FAILURE, Failure::Ended, false),
            (RetryOn::BEFORE_REQUEST, Failure::Connect, true),
            (RetryOn::BEFORE_REQUEST, Failure::Ended, false),
            (RetryOn::REFUSED_STREAM, Failure::StreamRefused, true),
            (RetryOn::REFUSED_STREAM, Failure::Connect, false),
            (RetryOn::STATUSES, Failure::Connect, false),
        ] {
            assert_eq!(again(on, |retries| retries.failed(failure, 0)), expected, "{on:?} {failure:?}");
        }
        assert!(again(RetryOn::RESET, |retries| retries.timed_out(0)));
        assert!(!again(RetryOn::CONNECT_FAILURE, |retries| retries.timed_out(0)));
    }

    #[test]
    fn pauses_are_drawn_below_a_bound_that_doubles() {
        let mut retries =
            Retries::new(Some(&policy(RetryOn::RESET)), &request(&[("x-envoy-max-retries", "3")])).unwrap();
        let mut pause = || retries.failed(Failure::Ended, 14);
        let again = |millis| Verdict::Again(Duration::from_millis(millis));
        assert_eq!([pause(), pause(), pause(), pause()], [again(4), again(14), again(14), Verdict::Exhausted]);
    }

    #[test]
    fn headers_of_the_request_add_to_the_policy() {
        let headers = request(&[
            ("x-envoy-retry-on", "foo, retriable-status-codes"),
            ("x-envoy-retry-grpc-on", "internal"),
            ("x-envoy-retriable-status-codes", "404,x"),
            ("x-envoy-max-retries", "many"),
        ]);
        let retries = Retries::new(Some(&policy(RetryOn::RESET)), &headers).unwrap();
        assert!(
            retries.on.has(RetryOn::RESET) && retries.on.has(RetryOn::STATUSES) && retries.on.has(RetryOn::INTERNAL)
        );
        assert_eq!((retries.left, retries.statuses.as_slice()), (2, &[418, 404][..]));
        let retries = Retries::new(None, &headers).unwrap();
        assert_eq!((retries.left, retries.bound), (1, Duration::from_millis(25)));
        assert_eq!(Retries::new(None, &request(&[("x-envoy-retry-on", "foo"), ("x-envoy-max-retries", "1")])), None);
        assert_eq!(Retries::new(Some(&policy(RetryOn::NEVER)), &request(&[])), None);
    }

    #[test]
    fn an_attempt_ends_before_the_whole() {
        let timeouts = |headers: &[(&str, &str)]| {
            let it = Timeouts::new(Duration::from_secs(15), Some(&policy(RetryOn::RESET)), &request(headers));
            (it.whole.map(|time| time.as_millis()), it.each.map(|time| time.as_millis()))
        };
        let (whole, each) = ("x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms");
        assert_eq!(timeouts(&[]), (Some(15_000), Some(300)));
        assert_eq!(timeouts(&[(whole, "700"), (each, "200")]), (Some(700), Some(200)));
        assert_eq!(timeouts(&[(whole, "300")]), (Some(300), None));
        assert_eq!(timeouts(&[(whole, "0")]), (None, Some(300)));
        assert_eq!(timeouts(&[(whole, "x"), (each, "0")]), (Some(15_000), None));
        let timeouts = Timeouts { whole: Some(Duration::from_millis(700)), each: Some(Duration::from_millis(300)) };
        assert_eq!(
            [0, 600, 900].map(|ms| timeouts.expected(Duration::from_millis(ms))),
            [Some(300), Some(100), Some(1)]
        );
        assert_eq!(Timeouts::default().expected(Duration::ZERO), None);
    }
}
