//! Who the client is and how it came: `x-forwarded-*`, `:scheme`, the request's id and the port of its host, as Envoy
//! has them (measured on 1.40).

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use super::bootstrap::{HttpConnectionManager, StripPort};
use super::route::port_start;
use crate::{HeaderMap, Role, source_address_behind};

/// Beside what no client may set, what one may not set whose address is believed.
const AT_THE_EDGE: &[&str] = &[
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-original-host",
    "x-envoy-original-path",
];

/// Adds to a request head what the connection says.
pub(crate) fn complete(request: &mut HeaderMap, rules: &HttpConnectionManager, client: SocketAddr) {
    let is_edge = rules.use_remote_address;
    let believes_peer = is_edge && rules.xff_num_trusted_hops == 0;
    if is_edge {
        request.append(Role::Request, b"x-forwarded-for", plain(client.ip()).to_string().as_bytes());
        for name in AT_THE_EDGE {
            request.remove(name.as_bytes());
        }
    }
    if believes_peer || request.get(b"x-forwarded-proto").is_none() {
        request.replace("x-forwarded-proto", rules.scheme);
    }
    let scheme = match request.get(b"x-forwarded-proto") {
        Some(b"http") => "http",
        Some(b"https") => "https",
        _ => rules.scheme,
    };
    request.replace(":scheme", scheme);
    if is_edge {
        let source = source(request, rules, client);
        request.replace("x-envoy-external-address", without_port(&source));
    }
    let is_new = is_edge && !rules.preserve_external_request_id;
    if rules.generate_request_id && (is_new || request.get(b"x-request-id").is_none_or(<[u8]>::is_empty)) {
        request.replace("x-request-id", uuid());
    }
}

/// `source.address` of a request whose head is complete.
pub(crate) fn source(request: &HeaderMap, rules: &HttpConnectionManager, client: SocketAddr) -> String {
    let connection = client.to_string();
    if rules.use_remote_address && rules.xff_num_trusted_hops == 0 {
        return connection;
    }
    source_address_behind(request, rules.xff_num_trusted_hops, &connection)
}

/// The host, without its port where the rules say so.
pub(crate) fn strip_port(mut host: Vec<u8>, rule: StripPort, listener_port: u16) -> Vec<u8> {
    let Some(at) = port_start(&host).filter(|_| rule != StripPort::Never) else { return host };
    let port = host.get(at + 1..).and_then(|port| std::str::from_utf8(port).ok()?.parse::<u16>().ok());
    if port.is_some_and(|port| rule == StripPort::Any || port == listener_port) {
        host.truncate(at);
    }
    host
}

/// IPv4 addresses of IPv6 sockets as what they are.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn without_port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(ip, _)| ip.trim_start_matches('[').trim_end_matches(']'))
}

/// Sixteen random bytes as a version 4 UUID.
fn uuid() -> String {
    let bits = (u128::from(RandomState::new().hash_one(0)) << 64) | u128::from(RandomState::new().hash_one(1));
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> SocketAddr {
        "10.0.0.9:40000".parse().unwrap()
    }

    fn completed(rules: &HttpConnectionManager, headers: &[(&str, &str)]) -> (HeaderMap, String) {
        let mut request: HeaderMap = headers.iter().copied().collect();
        complete(&mut request, rules, client());
        let source = source(&request, rules, client());
        (request, source)
    }

    fn get(request: &HeaderMap, name: &str) -> String {
        request.get(name.as_bytes()).map_or("-".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn a_request_id_is_a_uuid() {
        let rules = HttpConnectionManager { generate_request_id: true, ..HttpConnectionManager::default() };
        let (request, _) = completed(&rules, &[]);
        let id = get(&request, "x-request-id");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!((lengths, &id[14..15]), (vec![8, 4, 4, 4, 12], "4"), "{id}");
        let (request, _) = completed(&HttpConnectionManager::default(), &[]);
        assert_eq!(get(&request, "x-request-id"), "-");
    }

    #[test]
    fn the_client_is_whom_the_rules_believe() {
        for (remote, hops, forwarded, source, external, to_upstream) in [
            (false, 0, "1.1.1.1, 2.2.2.2", "2.2.2.2:0", "-", "1.1.1.1, 2.2.2.2"),
            (false, 1, "1.1.1.1, 2.2.2.2", "1.1.1.1:0", "-", "1.1.1.1, 2.2.2.2"),
            (false, 1, "1.1.1.1", "10.0.0.9:40000", "-", "1.1.1.1"),
            (true, 0, "1.1.1.1", "10.0.0.9:40000", "10.0.0.9", "1.1.1.1,10.0.0.9"),
            (true, 0, "", "10.0.0.9:40000", "10.0.0.9", "10.0.0.9"),
            (true, 1, "1.1.1.1, 2.2.2.2", "2.2.2.2:0", "2.2.2.2", "1.1.1.1, 2.2.2.2,10.0.0.9"),
            (true, 1, "1.1.1.1, x", "10.0.0.9:40000", "10.0.0.9", "1.1.1.1, x,10.0.0.9"),
        ] {
            let rules = HttpConnectionManager {
                use_remote_address: remote,
                xff_num_trusted_hops: hops,
                ..HttpConnectionManager::default()
            };
            let (request, seen) = completed(&rules, &[("x-forwarded-for", forwarded)]);
            let seen = (seen, get(&request, "x-envoy-external-address"), get(&request, "x-forwarded-for"));
            assert_eq!(seen, (source.to_owned(), external.to_owned(), to_upstream.to_owned()), "{remote} {hops}");
        }
    }

    #[test]
    fn schemes_come_from_the_client_unless_its_address_is_believed() {
        let headers = [("x-forwarded-proto", "https"), ("x-envoy-original-path", "/x")];
        for (remote, hops, scheme, proto, path) in
            [(false, 0, "https", "https", "/x"), (true, 0, "http", "http", "-"), (true, 1, "https", "https", "-")]
        {
            let rules = HttpConnectionManager {
                use_remote_address: remote,
                xff_num_trusted_hops: hops,
                ..HttpConnectionManager::default()
            };
            let (request, _) = completed(&rules, &headers);
            let seen = [":scheme", "x-forwarded-proto", "x-envoy-original-path"].map(|name| get(&request, name));
            assert_eq!(seen, [scheme, proto, path], "{remote} {hops}");
        }
        let (request, _) = completed(&HttpConnectionManager::default(), &[("x-forwarded-proto", "ftp")]);
        assert_eq!([":scheme", "x-forwarded-proto"].map(|name| get(&request, name)), ["http", "ftp"]);
        let rules = HttpConnectionManager { scheme: "https", ..HttpConnectionManager::default() };
        let (request, _) = completed(&rules, &[]);
        assert_eq!([":scheme", "x-forwarded-proto"].map(|name| get(&request, name)), ["https", "https"]);
    }

    #[test]
    fn ports_are_stripped_as_in_envoy() {
        for (host, any, matching) in [
            ("a.test", "a.test", "a.test"),
            ("a.test:80", "a.test", "a.test:80"),
            ("a.test:8080", "a.test", "a.test"),
            ("[::1]:80", "[::1]", "[::1]:80"),
            ("[::1]", "[::1]", "[::1]"),
            ("a:b:80", "a:b", "a:b:80"),
            ("a.test:", "a.test:", "a.test:"),
        ] {
            let strip = |rule| String::from_utf8(strip_port(host.into(), rule, 8080)).unwrap();
            assert_eq!((strip(StripPort::Any).as_str(), strip(StripPort::Matching).as_str()), (any, matching));
            assert_eq!(strip(StripPort::Never), host);
        }
    }
}
