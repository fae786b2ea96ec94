//! Message heads between hyper's types and the host's, with the changes that Envoy's connection manager makes.

use std::net::SocketAddr;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Version};

use super::bootstrap::HttpConnectionManager;
use super::forwarded;
use crate::{HeaderMap, Role};

/// The methods that Envoy's HTTP/1 parser knows; any other is answered 400.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "M-SEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// Headers that only Envoy itself may set; removed from what clients send.
const INTERNAL: &[&str] = &[
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
];

/// Headers that belong to one connection.
const HOP_BY_HOP: &[&str] = &["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// What a host may hold beside letters and digits (RFC 3986).
const AUTHORITY: &[u8] = b"-._~!$&'()*+,;=:@[]%";

/// A request that never reaches the filters, with the status, the text and whether a body text is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) body: &'static str,
}

/// The request head as the first filter sees it.
pub(crate) fn from_client(
    parts: &Parts,
    rules: &HttpConnectionManager,
    client: SocketAddr,
    port: u16,
) -> Result<HeaderMap, Refused> {
    check(parts, rules.max_request_headers_kb * 1024)?;
    let mut map = HeaderMap::new();
    let authority = match parts.uri.authority() {
        // The target's host wins over the header.
        Some(authority) => authority.as_str().as_bytes().to_vec(),
        None => {
            let mut hosts = parts.headers.get_all(http::header::HOST).iter();
            let Some(first) = hosts.next() else {
                return Err(Refused { status: StatusCode::BAD_REQUEST, body: "" });
            };
            let mut joined = first.as_bytes().to_vec();
            for more in hosts {
                joined.push(b',');
                joined.extend_from_slice(more.as_bytes());
            }
            joined
        }
    };
    // credentials before the host of an absolute target go no further
    let authority = match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) if parts.uri.authority().is_some() => authority.get(at + 1..).unwrap_or_default().to_vec(),
        _ => authority,
    };
    if !authority.iter().all(|byte| byte.is_ascii_alphanumeric() || AUTHORITY.contains(byte)) {
        return Err(Refused { status: StatusCode::BAD_REQUEST, body: "Bad Request" });
    }
    let path = match parts.uri.path_and_query() {
        Some(path) if !path.as_str().is_empty() => path.as_str(),
        _ => "/",
    };
    let Some(path) = rules.paths.apply(path.as_bytes()) else {
        return Err(Refused { status: StatusCode::BAD_REQUEST, body: "" });
    };
    map.add(":authority", forwarded::strip_port(authority, rules.strip_port, port));
    map.add(":path", path);
    map.add(":method", parts.method.as_str());
    let nominated = nominated(&parts.headers);
    if nominated.iter().any(|name| name == "host") {
        return Err(Refused { status: StatusCode::BAD_REQUEST, body: "" });
    }
    for (name, value) in &parts.headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        let skip = name == "host"
            || HOP_BY_HOP.contains(&name)
            || INTERNAL.contains(&name)
            || (name != "te" && nominated.iter().any(|other| other == name))
            || (name == "expect" && value.eq_ignore_ascii_case(b"100-continue"));
        if skip {
            continue;
        }
        if name == "te" {
            if list(value).any(|item| item.eq_ignore_ascii_case(b"trailers")) {
                map.replace("te", "trailers");
            }
            continue;
        }
        map.append(Role::Request, name.as_bytes(), value);
    }
    forwarded::complete(&mut map, rules, client);
    Ok(map)
}

/// What Envoy refuses before any filter runs and hyper does not.
fn check(parts: &Parts, head_limit: usize) -> Result<(), Refused> {
    let bad = Refused { status: StatusCode::BAD_REQUEST, body: "Bad Request" };
    if parts.version == Version::HTTP_10 {
        return Err(Refused { status: StatusCode::UPGRADE_REQUIRED, body: "Upgrade Required" });
    }
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let fields = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let size = fields.sum::<usize>() + parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if size > head_limit {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Refused { status, body: "Request Header Fields Too Large" });
    }
    if parts.method == Method::CONNECT {
        // No route of ours takes tunnels.
        return Err(Refused { status: StatusCode::NOT_FOUND, body: "" });
    }
    let star = target == "*" && parts.method != Method::OPTIONS;
    // `GET host HTTP/1.1`: hyper reads a host where a path is missing.
    let host_alone = parts.uri.authority().is_some() && parts.uri.scheme().is_none();
    if star
        || host_alone
        || !METHODS.contains(&parts.method.as_str())
        || !target.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
    {
        return Err(bad);
    }
    let encodings = parts.headers.get_all(http::header::TRANSFER_ENCODING);
    let chunked = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if encodings.iter().count() > 1 || !encodings.iter().all(chunked) {
        return Err(Refused { status: StatusCode::NOT_IMPLEMENTED, body: "Not Implemented" });
    }
    if encodings.iter().next().is_some() && parts.headers.contains_key(http::header::CONTENT_LENGTH) {
        return Err(bad);
    }
    let upgrades = parts.headers.get_all(http::header::UPGRADE);
    let asks = nominated(&parts.headers).iter().any(|name| name == "upgrade");
    if asks && upgrades.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c")) {
        return Err(Refused { status: StatusCode::FORBIDDEN, body: "" });
    }
    Ok(())
}

/// The headers that `connection` names, in lower case.
fn nominated(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .get_all(http::header::CONNECTION)
        .iter()
        .flat_map(|value| list(value.as_bytes()))
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect()
}

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Why the filters' request cannot be put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsendable(pub(crate) String);

/// The request head for the upstream, from what the filters made of it.
pub(crate) fn to_upstream<B>(map: &HeaderMap, body: B) -> Result<http::Request<B>, Unsendable> {
    let method = map.get(b":method").unwrap_or_default();
    let method = Method::from_bytes(method)
        .map_err(|_| Unsendable(format!("the method {:?} cannot be sent", String::from_utf8_lossy(method))))?;
    let path = map.get(b":path").unwrap_or_default();
    let uri = http::Uri::try_from(path)
        .map_err(|_| Unsendable(format!("the path {:?} cannot be sent", String::from_utf8_lossy(path))))?;
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    let authority = map.get(b":authority").unwrap_or_default();
    headers.append(http::header::HOST, value(b":authority", authority)?);
    for (name, content) in map.iter() {
        if name.starts_with(b":") || HOP_BY_HOP.iter().any(|hop| hop.as_bytes() == name) {
            continue;
        }
        headers.append(header_name(name)?, value(name, content)?);
    }
    Ok(request)
}

/// The upstream's response head as the first filter to see it (the last in the chain) sees it.
pub(crate) fn from_upstream(parts: &http::response::Parts) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.add(":status", parts.status.as_str());
    for (name, value) in &parts.headers {
        map.append(Role::Response, name.as_str().as_bytes(), value.as_bytes());
    }
    map
}

/// The response head for the client, from what the filters made of it.
pub(crate) fn to_client<B>(map: &HeaderMap, server: &str, body: B) -> Result<http::Response<B>, Unsendable> {
    let status = map.get(b":status").unwrap_or_default();
    let code = StatusCode::from_bytes(status)
        .ok()
        .filter(|code| code.as_u16() >= 200)
        .ok_or_else(|| Unsendable(format!("the status {:?} cannot be sent", String::from_utf8_lossy(status))))?;
    let mut response = http::Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    for (name, content) in map.iter() {
        if name.starts_with(b":") || name == b"server" || HOP_BY_HOP.iter().any(|hop| hop.as_bytes() == name) {
            continue;
        }
        headers.append(header_name(name)?, value(name, content)?);
    }
    headers.insert(http::header::SERVER, value(b"server", server.as_bytes())?);
    Ok(response)
}

/// The one length that a head promises, if it promises one.
pub(crate) fn content_length(map: &HeaderMap) -> Option<u64> {
    std::str::from_utf8(map.get(b"content-length")?).ok()?.parse().ok()
}

fn header_name(name: &[u8]) -> Result<HeaderName, Unsendable> {
    HeaderName::from_bytes(name)
        .map_err(|_| Unsendable(format!("invalid header name: {}", String::from_utf8_lossy(name))))
}

fn value(name: &[u8], content: &[u8]) -> Result<HeaderValue, Unsendable> {
    HeaderValue::from_bytes(content)
        .map_err(|_| Unsendable(format!("invalid header value for: {}", String::from_utf8_lossy(name))))
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap::PathOptions;
    use super::*;

    fn rules(generate_request_id: bool) -> HttpConnectionManager {
        HttpConnectionManager {
            paths: PathOptions { normalize: true, merge_slashes: false },
            generate_request_id,
            ..HttpConnectionManager::default()
        }
    }

    fn from_client(parts: &Parts, rules: &HttpConnectionManager) -> Result<HeaderMap, Refused> {
        super::from_client(parts, rules, "127.0.0.1:40000".parse().unwrap(), 80)
    }

    fn parts(method: &str, uri: &str, headers: &[(&str, &[u8])]) -> Parts {
        let mut builder = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn show(map: &HeaderMap) -> Vec<String> {
        map.iter().map(|(n, v)| format!("{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
    }

    #[test]
    fn credentials_in_a_target_go_no_further() {
        let map = from_client(&parts("GET", "http://u:p@other.test:81/a", &[("host", b"a")]), &rules(false)).unwrap();
        assert_eq!(map.get(b":authority"), Some(&b"other.test:81"[..]));
    }

    #[test]
    fn the_first_filter_sees_what_envoy_shows_it() {
        let parts = parts(
            "GET",
            "/x?a=b",
            &[
                ("host", b"h.test"),
                ("connection", b"TE, x-q, keep-alive"),
                ("x-q", b"1"),
                ("te", b"gzip, trailers"),
                ("keep-alive", b"3"),
                ("user-agent", b"a"),
                ("user-agent", b"b"),
                ("foo", b"a"),
                ("foo", b"b"),
                ("expect", b"100-continue"),
                ("x-envoy-internal", b"true"),
                ("x-envoy-retry-on", b"5xx"),
                ("x-envoy-foo", b"1"),
                ("x-request-id", b"abc"),
            ],
        );
        assert_eq!(
            show(&from_client(&parts, &rules(true)).unwrap()),
            [
                ":authority=h.test",
                ":path=/x?a=b",
                ":method=GET",
                ":scheme=http",
                "te=trailers",
                "user-agent=a,b",
                "foo=a",
                "foo=b",
                "x-envoy-foo=1",
                "x-request-id=abc",
                "x-forwarded-proto=http",
            ]
        );
    }

    #[test]
    fn hosts_are_found_where_envoy_finds_them() {
        for (uri, hosts, expected) in [
            ("http://other.test/x", &[("host", &b"h"[..])][..], ":authority=other.test"),
            ("/", &[("host", b"a"), ("host", b"b")], ":authority=a,b"),
            ("/", &[("host", b"")], ":authority="),
        ] {
            assert_eq!(show(&from_client(&parts("GET", uri, hosts), &rules(true)).unwrap())[0], expected);
        }
    }

    #[test]
    fn refused_before_the_filters() {
        let host = ("host", &b"h"[..]);
        for (method, uri, headers, status, body) in [
            ("GET", "/", vec![], 400, ""),
            ("FROB", "/", vec![host], 400, "Bad Request"),
            ("GET", "*", vec![host], 400, "Bad Request"),
            ("GET", "host", vec![host], 400, "Bad Request"),
            ("GET", "/a%00", vec![host], 400, ""),
            ("CONNECT", "h:1", vec![host], 404, ""),
            ("GET", "/", vec![host, ("x", &[b'a'; 61_440])], 431, "Request Header Fields Too Large"),
            ("GET", "/\u{e9}", vec![host], 400, "Bad Request"),
            ("POST", "/", vec![host, ("transfer-encoding", b"gzip, chunked")], 501, "Not Implemented"),
            ("POST", "/", vec![host, ("transfer-encoding", b"chunked"), ("content-length", b"3")], 400, "Bad Request"),
            ("GET", "/", vec![host, ("connection", b"Upgrade"), ("upgrade", b"websocket")], 403, ""),
        ] {
            let refused = from_client(&parts(method, uri, &headers), &rules(true)).unwrap_err();
            assert_eq!((refused.status.as_u16(), refused.body), (status, body), "{method} {uri}");
        }
        assert!(from_client(&parts("OPTIONS", "*", &[host]), &rules(true)).is_ok());
        let h2c = [host, ("connection", b"Upgrade"), ("upgrade", b"h2c")];
        assert!(from_client(&parts("GET", "/", &h2c), &rules(true)).unwrap().get(b"upgrade").is_none());
    }

    #[test]
    fn raw_bytes_in_values_reach_the_upstream() {
        let map = from_client(&parts("GET", "/", &[("host", b"h"), ("x", b"\xff\xe9")]), &rules(true)).unwrap();
        let request = to_upstream(&map, ()).unwrap();
        assert_eq!(request.headers()["x"].as_bytes(), b"\xff\xe9");
        assert_eq!(request.headers()["host"], "h");
    }

    #[test]
    fn what_filters_break_is_named() {
        let base = [(":method", "GET"), (":path", "/"), (":authority", "h")];
        for (name, content, words) in [
            ("x y", "1", "invalid header name: x y"),
            ("x", "a\nb", "invalid header value for: x"),
            (":path", "/a b", "the path \"/a b\" cannot be sent"),
            (":method", "", "the method \"\" cannot be sent"),
        ] {
            let mut map: HeaderMap = base.into_iter().collect();
            map.replace(name, content);
            assert_eq!(to_upstream(&map, ()).unwrap_err().0, words);
        }
        for status in ["0", "99", "100", "1000", ""] {
            let map: HeaderMap = [(":status", status)].into_iter().collect();
            assert!(to_client(&map, "envoy", ()).is_err(), "{status}");
        }
    }

    #[test]
    fn clients_see_no_connection_headers_and_our_server_name() {
        let map: HeaderMap = [
            (":status", "200"),
            ("connection", "close"),
            ("server", "mine"),
            ("transfer-encoding", "chunked"),
            ("x", "1"),
        ]
        .into_iter()
        .collect();
        let response = to_client(&map, "envoy", ()).unwrap();
        let names: Vec<_> = response.headers().iter().map(|(n, v)| format!("{n}={}", v.to_str().unwrap())).collect();
        assert_eq!(names, ["x=1", "server=envoy"]);
    }
}
