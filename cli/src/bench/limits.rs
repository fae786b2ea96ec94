//! The table of limits: what it costs to count a request, to refuse one, and to ask a service, beside what Envoy has for the same.
//!
//! Every row gets the same requests, which carry a thousand keys in turn; where all requests are to have one key, it is another header.

use super::listener::{Modules, Setup, TYPES, Variant, answer};
use super::stats::{Row, ratio};
use super::variants::{BASE, EMPTY};
use rate_limit_service::{Call, Clock, Config, Descriptor, Domain, Hits, RateLimit, Server, Service, Unit};
use serde_json::{Value, json};
use std::fmt::Write;

/// Name of the row of Envoy's own limit.
const LOCAL: &str = "Envoy's local_ratelimit";
const LOCAL_HEADERS: &str = "Envoy's local_ratelimit, x-ratelimit headers";
const LOCAL_KEYS: &str = "Envoy's local_ratelimit, 1000 keys";
const SHARED: &str = "rate-limit, one bucket for all";
const KEYED: &str = "rate-limit, 1000 keys";
/// Name of the row of the cheapest refusal that there is.
const DIRECT: &str = "Envoy's direct_response, 429";
const REFUSING: &str = "rate-limit, refusing";
const REMOTE: &str = "Envoy's ratelimit, service asked each time";

/// Name of the row that those with a service are over: they have an upstream.
const HOP: &str = "no filter, an upstream";

/// What the filter should cost at most, as a share of another row.
const AIMS: [(&str, &str, f64); 3] = [(SHARED, LOCAL, 1.35), (KEYED, LOCAL, 1.40), (REFUSING, DIRECT, 1.25)];

/// A header that is the same in all requests of the load.
const ONE_KEY: &str = "x-bench-0";
const MANY_KEYS: usize = 1000;
/// Units a second that nobody uses up.
const PLENTY: u64 = 1_000_000_000;
const DOMAIN: &str = "bench";
const SERVICE: &str = "rate-limit-service";
const UPSTREAM: &str = "upstream";

/// All variants, the base first; some of them need the service and the upstream on these ports.
pub fn all(modules: &Modules, service: u16, upstream: u16) -> Result<Setup, String> {
    let module = "rate-limit.wasm";
    let ours = |name: &str, against: &str, configuration: Value| -> Result<Variant, String> {
        let filters = vec![modules.filter(module, &configuration)?];
        Ok(Variant { against: Some(against.to_owned()), ..variant(name, filters) })
    };
    let quiet = |policies: Value| json!({"policies": policies, "response_headers": "none"});
    let limit = || json!({"units": PLENTY, "per_ms": 1000});
    let shared = || json!({"name": "all", "limits": [limit()]});
    let keyed = || json!({"name": "key", "key": [{"header": "x-key"}], "limits": [limit()]});
    let in_flight = json!({"name": "all", "limits": [{"concurrent": 60_000}]});
    let mut own_state = quiet(json!([shared()]));
    set(&mut own_state, "", "table", json!({"scope": "worker"}));
    let exhausted =
        json!({"name": "all", "key": [{"header": ONE_KEY}], "limits": [{"units": 1, "per_ms": 4_000_000_000_u64}]});
    let mut bare = quiet(json!([exhausted.clone()]));
    set(&mut bare, "", "answer", json!({"body": ""}));
    let routing = || {
        json!({"rules": [{"name": "r", "targets": [{"cluster": "c"}], "match": {"path": {"prefix": "/products"}}}],
               "default": "continue"})
    };
    let router = modules.filter("header-router.wasm", &routing())?;
    let limiter = modules.filter(module, &quiet(json!([keyed()])))?;
    let both = json!({"filters": [{"header_router": routing()}, {"rate_limit": quiet(json!([keyed()]))}]});
    let pair = "header-router + rate-limit, 1000 keys";
    let refused = |variant: Variant| Variant { status: 429, ..variant };
    let direct = json!({"match": {"prefix": "/"}, "direct_response": {"status": 429, "body": {"inline_string": "local_rate_limited"}}});
    let global = |name: &str, mode: &str, terms: Value, own: Value| -> Result<Variant, String> {
        let mut policy = json!({"name": mode, "key": [{"constant": mode}, {"header": ONE_KEY}], "limits": own,
                                "global": {"descriptor": ["mode", "team"], "mode": mode}});
        if terms.is_object() {
            set(&mut policy, "/global", mode, terms);
        }
        let mut configuration = quiet(json!([policy]));
        set(&mut configuration, "", "service", json!({"cluster": SERVICE, "domain": DOMAIN, "timeout_ms": 1000}));
        Ok(behind(ours(name, REMOTE, configuration)?))
    };
    let variants = vec![
        variant(BASE, vec![]),
        variant(EMPTY, vec![modules.filter("guests/sdk-empty.wasm", &json!({}))?]),
        variant(LOCAL, vec![local(PLENTY, false)]),
        variant(LOCAL_HEADERS, vec![local(PLENTY, true)]),
        variant(LOCAL_KEYS, vec![local_by_key()]),
        ours(SHARED, LOCAL, quiet(json!([shared()])))?,
        ours(KEYED, LOCAL, quiet(json!([keyed()])))?,
        ours("rate-limit, one bucket for all, RateLimit headers", LOCAL_HEADERS, json!({"policies": [shared()]}))?,
        ours("rate-limit, one bucket for each worker", LOCAL, own_state)?,
        ours("rate-limit, two policies: all, 1000 keys", LOCAL, quiet(json!([shared(), keyed()])))?,
        ours("rate-limit, requests in flight", LOCAL, quiet(json!([in_flight])))?,
        variant(pair, vec![router, limiter]),
        variant("suite of both", vec![modules.filter("suite.wasm", &both)?]),
        refused(Variant { table: json!({"routes": [direct]}), ..variant(DIRECT, vec![]) }),
        refused(Variant {
            against: Some(DIRECT.to_owned()),
            ..variant("Envoy's local_ratelimit, refusing", vec![local(1, false)])
        }),
        refused(ours(REFUSING, DIRECT, json!({"policies": [exhausted]}))?),
        refused(ours("rate-limit, refusing, without body and RateLimit headers", DIRECT, bare)?),
        behind(variant(HOP, vec![])),
        Variant { against: Some(HOP.to_owned()), ..behind(variant(REMOTE, vec![remote()])) },
        global("rate-limit, strict: service asked each time", "strict", json!(null), json!([]))?,
        global("rate-limit, leases of 100", "lease", json!({"units": 100}), json!([]))?,
        global("rate-limit, reports of 100", "report", json!({"units": 100}), json!([limit()]))?,
    ];
    Ok(Setup { clusters: vec![cluster(SERVICE, service), cluster(UPSTREAM, upstream)], ..Setup::from(variants) })
}

/// A service with more than anybody uses.
pub fn service() -> Result<Server, String> {
    let rate_limit = RateLimit { requests_per_unit: u32::MAX, unit: Unit::Day, ..RateLimit::default() };
    let descriptor = |key: &str, rate_limit, descriptors| Descriptor {
        key: key.to_owned(),
        value: None,
        rate_limit,
        shadow_mode: false,
        descriptors,
    };
    let mode = descriptor("mode", None, vec![descriptor("team", Some(rate_limit), Vec::new())]);
    let domains = vec![Domain { domain: DOMAIN.to_owned(), descriptors: vec![mode] }];
    let service = Service::new(Config { domains, ..Config::default() }).map_err(|e| e.to_string())?;
    Server::start(service, Clock::System, 0).map_err(|e| e.to_string())
}

/// Rows that ask the service are without meaning if they have not asked as they should.
pub fn check_calls(calls: &[Call]) -> Result<(), String> {
    for (value, hits) in [("native", 1), ("strict", 1), ("lease", 100), ("report", 100)] {
        let entry = format!("mode={value}");
        let meant =
            |call: &&Call| call.hits == Hits::All(hits) && call.descriptors.iter().flatten().any(|e| *e == entry);
        if calls.iter().find(meant).is_none() {
            return Err(format!("expected calls of the service with {entry} for {hits} at a time"));
        }
    }
    Ok(())
}

/// What became of the aims, for people.
pub fn aims(rows: &[Row]) -> String {
    let mut text = String::new();
    for (row, other, most) in AIMS {
        let Some(ratio) = ratio(rows, row, other) else { continue };
        let verdict = if ratio <= most { "reached" } else { "missed" };
        let _ = writeln!(text, "{row}: {ratio:.2} of {other}, aim at most {most:.2}: {verdict}");
    }
    text
}

fn variant(name: &str, filters: Vec<Value>) -> Variant {
    Variant {
        name: name.to_owned(),
        against: None,
        filters,
        table: json!({"routes": [answer(&json!({"prefix": "/"}))]}),
        path: "/products/items/7?x=1".to_owned(),
        header: ("x-key", "key-".to_owned()),
        values: MANY_KEYS,
        status: 200,
        ..Variant::default()
    }
}

/// Sets a field of the object at this JSON pointer.
fn set(root: &mut Value, at: &str, field: &str, value: Value) {
    if let Some(map) = root.pointer_mut(at).and_then(Value::as_object_mut) {
        map.insert(field.to_owned(), value);
    }
}

/// So many at once, and a second, or an hour if there is only one.
fn bucket(units: u64) -> Value {
    let interval = if units == 1 { "3600s" } else { "1s" };
    json!({"max_tokens": units, "tokens_per_fill": units, "fill_interval": interval})
}

/// Envoy's own limit with this bucket, for all workers.
pub fn local_with(bucket: &Value) -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    json!({"name": "envoy.filters.http.local_ratelimit", "typed_config": {
        "@type": format!("{TYPES}.http.local_ratelimit.v3.LocalRateLimit"), "stat_prefix": "local",
        "token_bucket": bucket, "filter_enabled": always, "filter_enforced": always}})
}

fn local(units: u64, headers: bool) -> Value {
    let mut filter = local_with(&bucket(units));
    if headers {
        set(&mut filter, "/typed_config", "enable_x_ratelimit_headers", json!("DRAFT_VERSION_03"));
    }
    filter
}

/// A bucket for each value of the header.
fn local_by_key() -> Value {
    let mut filter = local_with(&bucket(PLENTY));
    let mut field = |name: &str, value: Value| set(&mut filter, "/typed_config", name, value);
    field("descriptors", json!([{"entries": [{"key": "key"}], "token_bucket": bucket(PLENTY)}]));
    field("rate_limits", json!([{"actions": [by_header("x-key", "key")]}]));
    field("max_dynamic_descriptors", json!(2 * MANY_KEYS));
    filter
}

fn by_header(name: &str, key: &str) -> Value {
    json!({"request_headers": {"header_name": name, "descriptor_key": key}})
}

/// Envoy's own filter for the service.
fn remote() -> Value {
    json!({"name": "envoy.filters.http.ratelimit", "typed_config": {
        "@type": format!("{TYPES}.http.ratelimit.v3.RateLimit"), "domain": DOMAIN, "timeout": "1s",
        "rate_limits": [{"actions": [{"generic_key": {"descriptor_key": "mode", "descriptor_value": "native"}}, by_header(ONE_KEY, "team")]}],
        "rate_limit_service": {"transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": SERVICE}}}}})
}

/// The same with the upstream.
fn behind(variant: Variant) -> Variant {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": UPSTREAM}});
    Variant { table: json!({"routes": [route]}), ..variant }
}

/// On this machine, with HTTP/2.
fn cluster(name: &str, port: u16) -> Value {
    json!({"name": name, "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_have_names_of_their_own_and_are_compared_with_rows_that_exist() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("guests")).unwrap();
        for module in ["header-router", "rate-limit", "suite", "guests/sdk-empty"] {
            std::fs::write(folder.path().join(format!("{module}.wasm")), "").unwrap();
        }
        let variants = all(&Modules::new(folder.path()), 1, 2).unwrap().variants;
        let names: BTreeSet<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names.len(), variants.len());
        assert!(variants.iter().filter_map(|variant| variant.against.as_deref()).all(|other| names.contains(other)));
        assert!(AIMS.iter().all(|(row, other, _)| names.contains(row) && names.contains(other)));
    }

    #[test]
    fn calls_that_were_not_made_are_missed() {
        let call = |mode: &str, hits| Call {
            domain: DOMAIN.to_owned(),
            descriptors: vec![vec![format!("mode={mode}"), "team=x".to_owned()]],
            hits: Hits::All(hits),
        };
        let mut calls = vec![call("native", 1), call("strict", 1), call("lease", 100)];
        assert!(check_calls(&calls).unwrap_err().contains("mode=report"));
        calls.push(call("report", 100));
        assert_eq!(check_calls(&calls), Ok(()));
    }
}
