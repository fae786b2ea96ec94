//! Addresses as hosts write them.

use std::net::{IpAddr, Ipv6Addr};

/// Reads the address in `192.0.2.1:5`, `[2001:db8::1]:5` or either of them without a port; IPv4 within IPv6 comes out as
/// IPv4. `None` for anything else, as the path of a Unix socket.
pub fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return (port.is_empty() || is_port(port.strip_prefix(':')?)).then(|| v6(address)).flatten();
    }
    match text.split_once(':') {
        // a second colon: IPv6 without a port
        Some((_, rest)) if rest.contains(':') => v6(text),
        Some((address, port)) if is_port(port) => address.parse().ok().map(IpAddr::V4),
        Some(_) => None,
        None => text.parse().ok().map(IpAddr::V4),
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// A zone, which says by which interface, is cut off (RFC 4007, section 11).
fn v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        for (text, expected) in [
            ("192.0.2.1:5", Some("192.0.2.1")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:0", Some("192.0.2.1")),
            ("[::1]:65535", Some("::1")),
            ("[::1]", Some("::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[fe80::1%eth0]:5", Some("fe80::1")),
            ("[::ffff:192.0.2.1]:5", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("", None),
            (":5", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:+5", None),
            ("192.0.2", None),
            ("192.0.2.01", None),
            ("[192.0.2.1]:5", None),
            ("[::1]5", None),
            ("[::1", None),
            ("::1]:5", None),
            ("/run/socket", None),
            ("host.test:80", None),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
        assert_eq!(parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(address: IpAddr, port: u16) {
            let text = std::net::SocketAddr::new(address, port).to_string();
            prop_assert_eq!(parse(text.as_bytes()), Some(address.to_canonical()));
            prop_assert_eq!(parse(address.to_string().as_bytes()), Some(address.to_canonical()));
        }

        #[test]
        fn any_text_is_read_or_not(text in "[0-9a-f:.%\\[\\]]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
