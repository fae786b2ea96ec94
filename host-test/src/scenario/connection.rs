//! What a case says of its connection, in the terms of each runner.

use super::format::{Case, expand};
use crate::{Attributes, HeaderMap, source_address};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where connections come from and go to if the case does not say.
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);
const PORT: u16 = 10_000;

/// Both ends of the connection.
fn ends(case: &Case) -> (SocketAddr, SocketAddr) {
    let source = case.request.source.unwrap_or(SOURCE.ip());
    let here = if source.is_ipv6() { "::1".parse().unwrap_or(SOURCE.ip()) } else { SOURCE.ip() };
    (SocketAddr::new(source, SOURCE.port()), SocketAddr::new(here, case.request.port.unwrap_or(PORT)))
}

/// As the host runner knows it.
pub fn attributes(case: &Case) -> Attributes {
    let (source, destination) = ends(case);
    Attributes {
        source_address: client(case, source),
        destination_address: destination.to_string(),
        ..Attributes::default()
    }
}

/// The client's address and the port, as the core runner knows them.
pub fn peer(case: &Case) -> (IpAddr, u16) {
    let (source, destination) = ends(case);
    let client = client(case, source).parse::<SocketAddr>().unwrap_or(source);
    (client.ip().to_canonical(), destination.port())
}

fn client(case: &Case, source: SocketAddr) -> String {
    let headers: HeaderMap = expand(&case.request.headers).into_iter().collect();
    source_address(&headers, &source.to_string())
}

/// The line that tells Envoy of another connection than the real one: version 1 of the PROXY protocol. Nothing if the
/// case does not ask for one.
pub fn proxy_line(case: &Case) -> Option<Vec<u8>> {
    if case.request.source.is_none() && case.request.port.is_none() {
        return None;
    }
    let (source, destination) = ends(case);
    let family = if source.is_ipv6() { "TCP6" } else { "TCP4" };
    let (from, to) = (source.ip(), destination.ip());
    Some(format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes())
}

/// What reads such lines in Envoy, if some case has one.
pub fn listener_filters(cases: &[Case]) -> Option<Value> {
    cases.iter().any(|case| proxy_line(case).is_some()).then(|| {
        json!({"name": "envoy.filters.listener.proxy_protocol", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
            "allow_requests_without_proxy_protocol": true}})
    })
}
