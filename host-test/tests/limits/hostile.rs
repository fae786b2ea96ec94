//! Clients that want the limits of others, or none, in a real Envoy: forged addresses, keys of any bytes and any length.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup};
use rate_limit_service::{Clock, Config, Server, Service};
use serde_json::{Value, json};
use std::time::Duration;

const LONG: u64 = 4_503_599_627;

fn policy(name: &str, key: &Value, units: u32) -> Value {
    json!({"name": name, "match": {"path": {"prefix": format!("/{name}")}}, "key": [key], "missing_key": "deny",
           "limits": [{"units": units, "per_ms": LONG}]})
}

#[test]
fn a_forged_x_forwarded_for_changes_nothing() {
    let hops = |hops: u32| json!({"source_address": {"trusted_hops": hops}});
    let policies = json!([policy("none", &hops(0), 3), policy("envoy", &hops(1), 3), policy("proxy", &hops(2), 3)]);
    let Some(envoy) = Envoy::start(&Setup { is_edge: true, ..Setup::new(json!({"policies": policies})) }) else {
        return;
    };
    let mut connection = envoy.connect();
    let forged = ["6.6.6.6", "127.0.0.1, 6.6.6.7", "::1", "junk", "", ",,,", "6.6.6.8:80, [::2]:1", "127.0.0.2"];
    // Envoy's own entry is the last one, whatever stands in front of it
    for path in ["/none", "/envoy"] {
        let statuses = forged.map(|forged| connection.ask_with(path, &[("x-forwarded-for", forged)]).status);
        assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429], "{path}");
    }
    // behind a proxy that adds an entry, what clients say stands further left
    let by_proxy = |connection: &mut Connection, forged: &str, client: &str| {
        let value = [forged, client].join(if forged.is_empty() { "" } else { ", " });
        connection.ask_with("/proxy", &[("x-forwarded-for", &value)]).status
    };
    let statuses = forged.map(|forged| by_proxy(&mut connection, forged, "9.9.9.9"));
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
    assert_eq!(by_proxy(&mut connection, "9.9.9.9", "9.9.9.8"), 200, "another client");
    // several such headers are one; and without the proxy's entry there is no key
    let two = [("x-forwarded-for", "9.9.9.7"), ("x-forwarded-for", "9.9.9.9")];
    assert_eq!(connection.ask_with("/proxy", &two).status, 429);
    assert_eq!(envoy.requests("proxy", "limited"), 6);
    for (missing, value) in (1..).zip([None, Some("junk"), Some("9.9.9.999"), Some("9.9.9.9, ")]) {
        let headers: Vec<_> = value.map(|value| ("x-forwarded-for", value)).into_iter().collect();
        assert_eq!(connection.ask_with("/proxy", &headers).status, 429, "{value:?}");
        assert_eq!(envoy.requests("proxy", "missing_key"), missing, "{value:?}");
    }
    envoy.assert_calm();
}

/// A request with these bytes in a header; `None` if Envoy itself has refused it.
fn ask(connection: &mut Connection, path: &[u8], header: &str, value: &[u8]) -> Option<u16> {
    connection.send_bytes(
        &[b"GET ", path, b" HTTP/1.1\r\nhost: a\r\n", header.as_bytes(), b": ", value, b"\r\n\r\n"].concat(),
    );
    connection.try_response().map(|response| response.status).filter(|status| [200, 429].contains(status))
}

#[test]
fn keys_of_any_bytes_and_length_have_limits_of_their_own() {
    let config: Config = serde_json::from_value(json!({"domains": [
        {"domain": "shop", "descriptors": [{"key": "key", "rate_limit": {"requests_per_unit": 1}}]}]}))
    .unwrap();
    let server =
        Server::start(Service::new(config).unwrap(), Clock::Fixed(Duration::from_secs(1_700_000_000)), 0).unwrap();
    let header = json!({"header": "x-key"});
    let mut global = policy("global", &header, 1);
    global.as_object_mut().unwrap().remove("limits");
    global["global"] = json!({"descriptor": ["key"], "on_error": "closed"});
    let policies = json!([
        policy("header", &header, 1),
        policy("cookie", &json!({"cookie": "key"}), 1),
        policy("query", &json!({"query_parameter": "key"}), 1),
        policy("path", &json!("path"), 1),
        global
    ]);
    let configuration =
        json!({"service": {"cluster": "service", "domain": "shop", "timeout_ms": 5000}, "policies": policies});
    let setup = Setup { service: Some(server.address.port()), ..Setup::new(configuration) };
    let Some(envoy) = Envoy::start(&setup) else { return };

    let mut values: Vec<Vec<u8>> = (0x21..=0xff_u8).filter(|byte| *byte != 0x7f).map(|byte| vec![byte]).collect();
    values.extend([
        b"a\tb".to_vec(),
        b"a b".to_vec(),
        b"\xff\xfe\x80".to_vec(),
        "k\u{1f980}y".into(),
        b"%00%ff".to_vec(),
    ]);
    // these differ in their last byte, and so do these in their first
    let long = |first: u8, last: u8| [vec![first], vec![b'k'; 60_000], vec![last]].concat();
    values.extend([long(b'a', b'a'), long(b'a', b'b'), long(b'b', b'b')]);
    let mut counted = 0;
    for name in ["header", "cookie", "query", "path", "global"] {
        let mut passed = 0;
        for value in &values {
            let key = |before: &str| [before.as_bytes(), value].concat();
            // what ends a parameter, a cookie or a path is no part of it, and others do not come so far
            let is_plain = value.iter().all(|byte| byte.is_ascii_alphanumeric());
            let (path, header, value) = match name {
                "header" | "global" => (Vec::new(), "x-key", value.clone()),
                "cookie" if is_plain || value[0] >= 0x80 => (Vec::new(), "cookie", key("a=b; key=")),
                "query" if is_plain => (key("?key="), "x-none", Vec::new()),
                "path" if is_plain => (key("/"), "x-none", Vec::new()),
                _ => continue,
            };
            let path = [format!("/{name}").as_bytes(), &path].concat();
            let mut connection = envoy.connect();
            let statuses = [(); 2].map(|()| ask(&mut connection, &path, header, &value));
            let shown = String::from_utf8_lossy(&value[..value.len().min(20)]).into_owned();
            assert_eq!(statuses, [Some(200), Some(429)], "{name}: {shown:?}, {} bytes", value.len());
            passed += 1;
        }
        assert_eq!((envoy.requests(name, "allowed"), envoy.requests(name, "limited")), (passed, passed), "{name}");
        counted += 2 * passed;
    }
    eprintln!("{counted} requests with {} values", values.len());
    assert!(counted > 1000);
    // the service is told of long ones by a hash, and of those that are no text
    let calls = server.calls();
    let told = |call: &rate_limit_service::Call| call.descriptors.concat().concat().len();
    let longest = calls.iter().map(told).max().unwrap();
    assert!(longest <= 3 + 1 + 256, "{longest}");
    envoy.assert_calm();
}
