//! The header-router and Envoy's routes, asked the same.

use super::{envoy, of_rules, one, parsed, table};
use filter_kit::explain::Detail;
use filter_kit::{FixedEnv, Head};
use header_router::HeaderRouter;
use serde_json::json;
use sluice_convert::emit::native::routes;

#[test]
fn both_ways_lead_to_the_same() {
    let path = |kind: &str, text: &str| json!({"path": {kind: text}});
    let mut tables = vec![
        of_rules(json!([
            {"name": "any", "targets": [{"cluster": "any"}], "match": {"path": {"string_prefix": "/any"}}},
            {"name": "suffix", "match": {"hosts": [{"suffix": "a.com"}], "path": {"prefix": "/s"}}, "targets": [{"cluster": "suffix"}]},
            {"name": "dots", "match": {"hosts": [{"suffix": ".com"}], "path": {"prefix": "/d"}}, "targets": [{"cluster": "dots"}]},
            {"name": "wild", "match": {"hosts": [{"wildcard": "*.a.com"}], "path": {"regex": "/w+"}}, "targets": [{"cluster": "wild"}]},
            {"name": "label", "match": {"hosts": [{"label_wildcard": "*.a.com"}]}, "targets": [{"cluster": "label"}]},
            {"name": "deep", "match": {"hosts": [{"label_wildcard": "*.b.a.com"}], "path": {"exact": "/x"}}, "targets": [{"cluster": "deep"}]},
            {"name": "exact", "match": {"hosts": [{"exact": "x.a.com"}], "path": {"exact": "/x"}}, "targets": [{"cluster": "exact"}]},
        ])),
        json!({"mode": "app_mesh", "default": {"target": {"cluster": "d"}}, "rules": [
            {"name": "p", "match": {"path": {"prefix": "/s"}}, "service": "v"},
            {"name": "t", "match": {"path": {"prefix": "/any/"}}, "targets": [{"cluster": "t"}]},
            {"name": "k", "match": {"path": {"exact": "/x"}}, "keep_host": true, "service": "v"},
        ], "services": [{"name": "v", "host": "v.local", "rules": [
            {"name": "one", "match": {"path": {"prefix": "/"}, "methods": ["POST"]}, "targets": [{"cluster": "one"}]},
            {"name": "two", "match": {"schemes": ["http"]}, "targets": [{"cluster": "two"}]},
        ]}]}),
        json!({"default": {"status": 404}, "rules": [
            {"name": "p", "match": {"hosts": [{"exact": "x.a.com"}]}, "rewrite": {"host": "h"}, "service": "v"},
        ], "services": [{"name": "v", "no_rule_status": 410, "rules": [
            {"name": "one", "match": {"path": {"string_prefix": "/s"}}, "rewrite": {"prefix": "/t"}, "targets": [{"cluster": "one"}]},
        ]}]}),
    ];
    let mut most = tables[0].clone();
    most["matching"] = json!({"most_specific_host_only": true});
    tables.push(most);
    for kind in ["prefix", "string_prefix"] {
        for from in ["/", "/s", "/s/", "/s.t"] {
            for to in ["", "/", "/n", "/n/", "/n/m"] {
                tables.push(of_rules(json!([one(json!({"match": path(kind, from), "rewrite": {"prefix": to}}))])));
            }
            tables.push(of_rules(json!([one(json!({"match": path(kind, from), "redirect": {"prefix": "/n"}}))])));
        }
        let folded = json!({"path": {kind: "/S"}, "ignore_path_case": true});
        tables.push(of_rules(json!([one(json!({"match": folded, "rewrite": {"prefix": "/n"}}))])));
    }
    for (kind, pattern, to) in [
        ("regex", "/s(/|$)(.*)", "/$2"),
        ("regex", "/s(/|$)(.*)", "/n/$2"),
        ("regex_prefix", "/s(/|$)(.*)", "/$2"),
        ("regex", "/s/(.*)", "/n/$1"),
        ("regex", "/s/(.*)", "/$1"),
        ("regex", "/(?<w>[a-z]+)/([a-z0-9]*)", "/n/$2/${w}/$$"),
        ("regex", "/([a-z]+)/([a-z0-9]*)", "/$2$1"),
        ("regex_prefix", "/([a-z]+)", "/n/$1"),
        ("regex", "/.*", "/n"),
    ] {
        tables.push(of_rules(json!([one(json!({"match": path(kind, pattern), "rewrite": {"path": to}}))])));
    }
    for redirect in [
        json!({"scheme": "https"}),
        json!({"scheme": "https", "status": 301, "path": "/n"}),
        json!({"scheme": "https", "port": 8443}),
        json!({"host": "n.test"}),
        json!({"host": "n.test", "port": 81, "strip_query": true}),
        json!({"port": 81}),
    ] {
        let host = json!([{"exact": "a.com"}, {"exact": "x.a.com"}]);
        tables.push(of_rules(json!([one(json!({"match": {"hosts": host}, "redirect": redirect}))])));
    }
    let (mut compared, env) = (0, FixedEnv::default());
    for config in tables {
        let native = routes(&table(config.clone())).unwrap_or_else(|reasons| panic!("{config}: {reasons:?}"));
        let router = HeaderRouter::new(parsed(&config)).unwrap();
        for host in
            ["a.com", "x.a.com", "X.a.com:8080", "y.a.com", "y.a.com.", "x.b.a.com", "za.com", "c.com", "com", "other"]
        {
            for path in [
                "/",
                "/s",
                "/s/",
                "/S/x",
                "/s//",
                "/s//x?q=/s/y",
                "/s?q",
                "/s/x",
                "/sx",
                "/s..",
                "/s../x",
                "/s/../x",
                "/s.t",
                "/s.t/u",
                "/s.%2E;a",
                "/any",
                "/any/x",
                "/d/d",
                "/w",
                "/www",
                "/x",
                "/x?y",
                "/word/1",
                "//x",
                "/..",
            ] {
                for method in ["GET", "POST"] {
                    let request = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)];
                    let told = router.explain(&Head::from_fields(request), None, &env, Detail::Outcome);
                    let found = envoy::serve(&native, &request);
                    assert_eq!(found, envoy::Outcome::from(&told), "{config}\n{request:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}
