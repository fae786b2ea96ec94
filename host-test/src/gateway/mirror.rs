//! Copies of requests (`request_mirror_policies`): sent beside the request, their answers thrown away.

/// The host of a copy: Envoy marks it with `-shadow`, before the port if there is one.
pub(crate) fn shadow_host(host: &[u8]) -> Vec<u8> {
    let bracket = host.iter().rposition(|byte| *byte == b']');
    let colon = host.iter().rposition(|byte| *byte == b':').filter(|colon| bracket.is_none_or(|at| at < *colon));
    let port = |at: &usize| {
        let digits = host.get(at + 1..).unwrap_or_default();
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    let (name, port) = host.split_at(colon.filter(port).unwrap_or(host.len()));
    [name, b"-shadow", port].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_before_the_port() {
        for (host, expected) in [
            ("a.test", "a.test-shadow"),
            ("a.test:8080", "a.test-shadow:8080"),
            ("[::1]:8080", "[::1]-shadow:8080"),
            ("[::1]", "[::1]-shadow"),
            ("a:", "a:-shadow"),
            ("a:b", "a:b-shadow"),
        ] {
            assert_eq!(String::from_utf8_lossy(&shadow_host(host.as_bytes())), expected);
        }
    }
}
