//! Tables as Envoy's own routes: what comes of them, what is refused, and that both ways lead to the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "native/envoy.rs"]
mod envoy;
#[path = "native/same.rs"]
mod same;

use serde_json::{Value, json};
use sluice_convert::emit::native::routes;
use sluice_convert::model::{BackendEdits, Policy, Retry, Table};
use std::collections::BTreeMap;

fn table(config: Value) -> Table {
    let (policy, policies) = (Policy::default(), BTreeMap::new());
    Table { router: parsed(&config), rate_limit: None, policy, policies, edits: Vec::new() }
}

fn parsed(config: &Value) -> header_router::Config {
    serde_json::from_value(config.clone()).unwrap()
}

fn of_rules(rules: Value) -> Value {
    json!({"rules": rules, "default": {"status": 404}})
}

/// A rule `a` to cluster `c` with these fields.
fn one(fields: Value) -> Value {
    let mut rule = json!({"name": "a", "targets": [{"cluster": "c"}]});
    rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    if rule.get("redirect").is_some() || rule.get("direct_response").is_some() {
        rule.as_object_mut().unwrap().remove("targets");
    }
    rule
}

/// The first route of the only virtual host.
fn first(fields: Value) -> Value {
    let made = routes(&table(of_rules(json!([one(fields)])))).unwrap();
    made["virtual_hosts"][0]["routes"][0].clone()
}

fn refused(config: Value) -> Vec<String> {
    routes(&table(config)).unwrap_err()
}

#[test]
fn a_table_becomes_virtual_hosts() {
    let made = routes(&table(of_rules(json!([
        {"name": "any", "targets": [{"cluster": "x"}]},
        {"name": "wild", "match": {"hosts": [{"wildcard": "*.a.com"}]}, "targets": [{"cluster": "w"}]},
        {"name": "shop", "match": {"hosts": [{"exact": "s.a.com"}], "path": {"prefix": "/s"}}, "targets": [{"cluster": "s"}]},
    ]))));
    let route = |name: &str, matched: Value, cluster: &str| json!({"name": name, "match": matched, "route": {"cluster": cluster}});
    let (any, wild) = (route("any", json!({"prefix": "/"}), "x"), route("wild", json!({"prefix": "/"}), "w"));
    let shop = route("shop", json!({"path_separated_prefix": "/s"}), "s");
    let last = json!({"name": "default", "match": {"prefix": "/"}, "direct_response": {"status": 404}});
    let expected = json!({
        "ignore_port_in_host_matching": true,
        "virtual_hosts": [
            {"name": "s.a.com", "domains": ["s.a.com", "s.a.com."], "routes": [shop, wild, any, last]},
            {"name": "*.a.com", "domains": ["*.a.com", "*.a.com."], "routes": [wild, any, last]},
            {"name": "*", "domains": ["*"], "routes": [any, last]},
        ],
    });
    assert_eq!(made.unwrap(), expected);
}

#[test]
fn conditions() {
    for (matched, expected) in [
        (json!({"path": {"exact": "/a"}}), json!({"path": "/a"})),
        (json!({"path": {"prefix": "/"}}), json!({"prefix": "/"})),
        (json!({"path": {"prefix": "/a//"}}), json!({"safe_regex": {"regex": "/a/(/.*)?"}})),
        (
            json!({"path": {"string_prefix": "/A"}, "ignore_path_case": true}),
            json!({"prefix": "/a", "case_sensitive": false}),
        ),
        (json!({"path": {"regex": "/a|/b"}, "ignore_path_case": true}), json!({"safe_regex": {"regex": "(?i)/a|/b"}})),
        (json!({"path": {"regex_prefix": "/a|/b"}}), json!({"safe_regex": {"regex": "(?:/a|/b).*"}})),
        (
            json!({"methods": ["GET"], "schemes": ["http"]}),
            json!({"prefix": "/", "headers": [
                {"name": ":method", "string_match": {"exact": "GET"}}, {"name": ":scheme", "string_match": {"exact": "http"}},
            ]}),
        ),
        (
            json!({"methods": ["GET", "M-SEARCH"]}),
            json!({"prefix": "/", "headers": [
                {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|M\\-SEARCH"}}},
            ]}),
        ),
        (
            json!({"headers": [
                {"name": "X", "match": {"exact": "v"}, "invert": true, "treat_missing_as_empty": true, "ignore_case": true},
                {"name": "host", "match": {"suffix": "m"}}, {"name": "y", "invert": true},
                {"name": "z", "match": {"range": {"start": 1, "end": 9007199254740993_i64}}},
                {"name": "r", "match": {"regex": "a"}, "ignore_case": true},
            ]}),
            json!({"prefix": "/", "headers": [
                {"name": "x", "string_match": {"exact": "v", "ignore_case": true}, "invert_match": true, "treat_missing_header_as_empty": true},
                {"name": ":authority", "string_match": {"suffix": "m"}}, {"name": "y", "present_match": false},
                {"name": "z", "range_match": {"start": 1, "end": "9007199254740993"}},
                {"name": "r", "string_match": {"safe_regex": {"regex": "(?i)a"}}},
            ]}),
        ),
        (
            json!({"query_parameters": [{"name": "q"}, {"name": "p", "match": {"prefix": "v"}}]}),
            json!({"prefix": "/", "query_parameters": [
                {"name": "q", "present_match": true}, {"name": "p", "string_match": {"prefix": "v"}},
            ]}),
        ),
        (
            json!({"grpc": {"service": {"exact": "a.S"}, "method": {"exact": "M"}}}),
            json!({"path": "/a.S/M", "headers": [
                {"name": "content-type", "string_match": {"safe_regex": {"regex": "application/grpc([+;].*)?"}}},
            ]}),
        ),
        (
            json!({"grpc": {"service": {"exact": "a.S"}}}),
            json!({"safe_regex": {"regex": "/a\\.S/[^/]+"}, "headers": [
                {"name": "content-type", "string_match": {"safe_regex": {"regex": "application/grpc([+;].*)?"}}},
            ]}),
        ),
    ] {
        assert_eq!(first(json!({"match": matched}))["match"], expected, "{matched}");
    }
}

#[test]
fn actions() {
    for (fields, expected) in [
        (
            json!({"targets": [{"cluster": "a", "weight": 9}, {"cluster": "b", "host": "b.test"}, {"cluster": "c", "weight": 0}]}),
            json!({"route": {"weighted_clusters": {"clusters": [
                {"name": "a", "weight": 9}, {"name": "b", "weight": 1, "host_rewrite_literal": "b.test"},
            ]}}}),
        ),
        (json!({"targets": [{"status": 503}]}), json!({"direct_response": {"status": 503}})),
        (
            json!({"rewrite": {"path": "/x", "host": "h:1"}, "mirror": {"cluster": "m", "share": 5}}),
            json!({"route": {
                "cluster": "c", "host_rewrite_literal": "h:1",
                "regex_rewrite": {"pattern": {"regex": "^.*$"}, "substitution": "/x"},
                "request_mirror_policies": [{"cluster": "m", "runtime_fraction": {
                    "default_value": {"numerator": 5, "denominator": "TEN_THOUSAND"},
                }}],
            }}),
        ),
        (
            json!({
                "request_headers": {"set": [{"name": "a", "value": "5%$$"}], "add": [{"name": "b", "value": ""}], "remove": ["c"]},
                "response_headers": {"add": [{"name": "a", "value": "1"}]},
            }),
            json!({
                "route": {"cluster": "c"},
                "request_headers_to_add": [
                    {"header": {"key": "a", "value": "5%%$"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
                    {"header": {"key": "b", "value": ""}, "append_action": "APPEND_IF_EXISTS_OR_ADD", "keep_empty_value": true},
                ],
                "request_headers_to_remove": ["c"],
                "response_headers_to_add": [{"header": {"key": "a", "value": "1"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}],
            }),
        ),
        (
            json!({"direct_response": {"status": 200, "body": "hi", "headers": [{"name": "content-type", "value": "a/b"}]}}),
            json!({
                "direct_response": {"status": 200, "body": {"inline_string": "hi"}},
                "response_headers_to_add": [{"header": {"key": "content-type", "value": "a/b"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
            }),
        ),
        (
            json!({"redirect": {"host": "h", "port": 8080, "path": "/p", "status": 308, "strip_query": true}}),
            json!({"redirect": {
                "host_redirect": "h", "port_redirect": 8080, "path_redirect": "/p", "strip_query": true,
                "response_code": "PERMANENT_REDIRECT",
            }}),
        ),
    ] {
        let mut made = first(fields.clone());
        let entries = made.as_object_mut().unwrap();
        entries.remove("match");
        assert_eq!(entries.remove("name"), Some(json!("a")));
        assert_eq!(made, expected, "{fields}");
    }
}

#[test]
fn policies_and_edits_of_single_targets() {
    let mut table = table(of_rules(json!([one(json!({}))])));
    let retry = Retry { on: vec!["5xx".into()], times: 2, per_try_ms: Some(500), ..Retry::default() };
    let policy = Policy { timeout_ms: Some(3000), retry: Some(retry), body_limit: Some(7), ..Policy::default() };
    table.policies.insert("a".into(), policy);
    table.policy.idle_ms = Some(1000);
    let (rule, cluster) = ("a".to_owned(), "c".to_owned());
    let (set, add) = (vec![("x".to_owned(), "1".to_owned())], Vec::new());
    table.edits.push(BackendEdits { rule, cluster, set, add, remove: Vec::new() });
    let made = routes(&table).unwrap();
    let expected = json!({
        "name": "a", "match": {"prefix": "/"}, "request_body_buffer_limit": 7,
        "request_headers_to_add": [{"header": {"key": "x", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "route": {"cluster": "c", "timeout": "3s", "retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.5s"}},
    });
    assert_eq!(made["virtual_hosts"][0]["routes"][0], expected);
}

#[test]
fn every_reason_is_told() {
    for (fields, expected) in [
        (json!({"match": {"ports": [80]}}), "a condition on the port"),
        (json!({"match": {"source_addresses": ["10.0.0.0/8"]}}), "a condition on the client's address"),
        (json!({"match": {"cookies": [{"name": "k"}]}}), "a condition on a cookie"),
        (json!({"match": {"json_body": [{"pointer": "/m"}]}}), "a condition on the body"),
        (
            json!({"match": {"query_parameters": [{"name": "k", "invert": true}]}}),
            "an inverted condition on a query parameter",
        ),
        (
            json!({"match": {"path": {"regex": r"/\x61"}}}),
            "a pattern that Envoy's regular expressions (RE2) do not have",
        ),
        (json!({"match": {"grpc": {"method": {"regex": ".*"}}}}), "a gRPC service or method that is no plain text"),
        (json!({"sticky": "source_address", "targets": [{"cluster": "a"}, {"cluster": "b"}]}), "a sticky split"),
        (json!({"fallback": {"cluster": "b"}}), "a fallback"),
        (json!({"targets": [{"cluster": "a"}, {"status": 503}]}), "a share of requests that is answered"),
        (json!({"tags": {"t": "x"}}), "fields for the access log (tags)"),
        (json!({"rewrite": {"path": "/${host}"}}), "a rewrite with values of the request"),
        (json!({"rewrite": {"host": "${host}"}}), "a host with values of the request"),
        (
            json!({"rewrite": {"regex": {"pattern": "a", "substitution": "b"}}}),
            "a rewrite of the first place that fits a pattern",
        ),
        (
            json!({"match": {"path": {"regex": "/a(.*)"}}, "rewrite": {"path": "/b$1"}}),
            "a rewrite with groups that may hold dots or slashes",
        ),
        (
            json!({"match": {"path": {"regex": "/a([a-z]*)"}}, "rewrite": {"path": "/$1/b"}}),
            "a rewrite with groups that may hold dots or slashes",
        ),
        (
            json!({"request_headers": {"set": [{"name": "x", "value": "${host}"}]}}),
            "a request header with values of the request",
        ),
        (
            json!({"request_headers": {"set": [{"name": "x-envoy-max-retries", "value": "1"}]}}),
            "an edit of a header that Envoy's router reads",
        ),
        (json!({"redirect": {"host": "${host}"}}), "a redirect with values of the request"),
        (json!({"redirect": {"port": 443}}), "a redirect to a port that is the default of one scheme"),
        (
            json!({"direct_response": {"status": 200, "headers": [{"name": "x", "value": "${host}"}]}}),
            "a response header with values of the request",
        ),
    ] {
        assert_eq!(refused(of_rules(json!([one(fields.clone())]))), [format!("rule a: {expected}")], "{fields}");
    }
    let header = json!([one(json!({"match": {"headers": [{"name": "x", "match": {"exact": "a"}}, {"name": "y"}]}}))]);
    for (repeated, expected) in [
        ("first", "rule a: a condition on the first of several headers"),
        ("joined", "rule a: a condition on headers joined with commas"),
    ] {
        let config = json!({"matching": {"repeated_headers": repeated}, "rules": header, "default": {"status": 404}});
        assert_eq!(refused(config), [expected]);
    }
    let config = json!({"rules": [], "default": "continue", "log_fields": true});
    let (log, default) = ("fields for the access log (log_fields)", "a default that leaves requests to other routes");
    assert_eq!(refused(config), [format!("the table: {log}"), format!("the table: {default}")]);
    let config = of_rules(json!([{"name": "a"}]));
    assert!(refused(config)[0].starts_with("the table: it is refused: rules[0]"));
}
