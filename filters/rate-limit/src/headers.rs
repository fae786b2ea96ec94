//! What clients are told. The only place that writes `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10), since
//! their letters may change once more.

use crate::config::ResponseHeaders;
use filter_kit::Head;
use std::borrow::Cow;

/// What one limit said, for headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// Units that a period or window brings.
    pub(crate) units: u64,
    /// The period, if it is whole seconds.
    pub(crate) seconds: Option<u64>,
    /// What is counted, if it is not requests or units of a cost.
    pub(crate) quota_unit: Option<&'static str>,
    pub(crate) remaining: u64,
    /// Nanoseconds until there is more, if that is known.
    pub(crate) reset: Option<u64>,
}

const SECOND: u64 = 1_000_000_000;

/// Headers of a response. `wait` is what a refused client has to wait, in nanoseconds.
pub(crate) fn headers(told: &[Told], which: ResponseHeaders, wait: Option<u64>) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut headers: Vec<(Cow<'static, str>, Vec<u8>)> = Vec::with_capacity(4);
    let mut add = |name: &'static str, value: Vec<u8>| headers.push((Cow::Borrowed(name), value));
    if let Some(wait) = wait {
        add("retry-after", number(wait.div_ceil(SECOND)));
    }
    if which == ResponseHeaders::None || told.is_empty() {
        return headers;
    }
    add("ratelimit-policy", list(told, push_policy));
    add("ratelimit", list(told, push_left));
    // of several limits, the one that will refuse first
    let reset = |told: &Told| told.reset.unwrap_or(0);
    let tightest = told.iter().min_by_key(|told| (told.remaining, u64::MAX - reset(told)));
    if let Some(told) = tightest.filter(|_| which == ResponseHeaders::Both) {
        add("x-ratelimit-limit", number(told.units));
        add("x-ratelimit-remaining", number(told.remaining));
        add("x-ratelimit-reset", number(reset(told).div_ceil(SECOND)));
    }
    headers
}

/// Writes headers into a response. `RateLimit` fields of the upstream, about limits of its own, stay.
pub(crate) fn write(headers: &[(Cow<'static, str>, Vec<u8>)], head: &mut Head) {
    for (name, value) in headers {
        // made of digits and checked names; a service's own may be anything, and what is no header stays out
        let _ = if is_list(name) { head.add(name, value) } else { head.set(name, value) };
    }
}

/// Whether writing headers takes a look at those that are there.
pub(crate) fn reads(headers: &[(Cow<'static, str>, Vec<u8>)]) -> bool {
    !headers.iter().all(|(name, _)| is_list(name))
}

/// A list may stand in several fields: an upstream's own is one of them.
fn is_list(name: &str) -> bool {
    name.starts_with("ratelimit")
}

/// One item for each limit. Written piece by piece: this runs for every request.
fn list(told: &[Told], push: fn(&mut Vec<u8>, &Told)) -> Vec<u8> {
    let mut text = Vec::with_capacity(32 * told.len());
    for (index, told) in told.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(b", ");
        }
        push(&mut text, told);
    }
    text
}

fn push_policy(text: &mut Vec<u8>, told: &Told) {
    push_quoted(text, &told.name);
    push_parameter(text, b";q=", told.units);
    if let Some(unit) = told.quota_unit {
        text.extend_from_slice(b";qu=");
        push_quoted(text, unit);
    }
    // `w` is a positive number of whole seconds
    if let Some(seconds) = told.seconds.filter(|seconds| *seconds > 0) {
        push_parameter(text, b";w=", seconds);
    }
}

fn push_left(text: &mut Vec<u8>, told: &Told) {
    push_quoted(text, &told.name);
    push_parameter(text, b";r=", told.remaining);
    if let Some(reset) = told.reset {
        push_parameter(text, b";t=", reset.div_ceil(SECOND));
    }
}

fn push_parameter(text: &mut Vec<u8>, name: &[u8], value: u64) {
    text.extend_from_slice(name);
    push_number(text, value);
}

fn number(value: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(20);
    push_number(&mut text, value);
    text
}

/// Appends a number in decimal digits.
pub(crate) fn push_number(text: &mut Vec<u8>, value: u64) {
    let start = text.len();
    let mut rest = value;
    loop {
        text.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}

/// Whether a header from elsewhere may be sent.
pub(crate) fn is_valid(name: &str, value: &[u8]) -> bool {
    filter_kit::head::is_header_name(name) && filter_kit::head::is_header_value(value)
}

/// Appends a string of structured fields (RFC 9651).
fn push_quoted(text: &mut Vec<u8>, name: &str) {
    text.push(b'"');
    for byte in name.bytes() {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, units: u64, period_ms: u64, remaining: u64, reset: u64) -> Told {
        let seconds = period_ms.is_multiple_of(1000).then_some(period_ms / 1000);
        Told { name: name.to_owned(), units, seconds, quota_unit: None, remaining, reset: Some(reset) }
    }

    fn text(told: &[Told], which: ResponseHeaders, wait: Option<u64>) -> Vec<String> {
        let shown = |(name, value): (Cow<'static, str>, Vec<u8>)| format!("{name}: {}", value.escape_ascii());
        headers(told, which, wait).into_iter().map(shown).collect()
    }

    #[test]
    fn every_limit_is_told_and_the_tightest_in_the_old_form() {
        let all = [told("a", 20, 60_000, 3, 2_500_000_000), told("b \"x\"", 10, 1_500, 1, 1)];
        assert_eq!(
            text(&all, ResponseHeaders::Both, Some(1_000_000_001)),
            [
                "retry-after: 2",
                r#"ratelimit-policy: \"a\";q=20;w=60, \"b \\\"x\\\"\";q=10"#,
                r#"ratelimit: \"a\";r=3;t=3, \"b \\\"x\\\"\";r=1;t=1"#,
                "x-ratelimit-limit: 10",
                "x-ratelimit-remaining: 1",
                "x-ratelimit-reset: 1",
            ]
        );
        assert_eq!(text(&all, ResponseHeaders::None, Some(5)), ["retry-after: 1"]);
        assert_eq!(text(&[], ResponseHeaders::Standard, None), [""; 0]);
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for value in [0, 7, 10, 409, u64::MAX] {
            assert_eq!(number(value), value.to_string().into_bytes());
        }
    }

    #[test]
    fn an_upstreams_own_fields_stay() {
        let mut head = Head::from_fields([("ratelimit", "\"up\";r=1")]);
        write(&headers(&[told("a", 1, 1000, 0, 0)], ResponseHeaders::Standard, None), &mut head);
        assert_eq!(head.get_all("ratelimit").collect::<Vec<_>>(), [&b"\"up\";r=1"[..], b"\"a\";r=0;t=0"]);
        assert_eq!(head.get("ratelimit-policy").unwrap(), b"\"a\";q=1;w=1");
    }
}
