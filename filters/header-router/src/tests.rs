use super::*;
use filter_kit::{Body, CounterId, Filter, FixedEnv, Flow, Head, Reply, Stream};

fn router(json: &str) -> HeaderRouter {
    HeaderRouter::from_config(json.as_bytes()).unwrap()
}

const PRODUCTS: &str = r#"{
    "rules": [
        {"name": "default", "match": {"path": {"prefix": "/products"}},
         "targets": [{"cluster": "v1"}], "rewrite": {"prefix": "/"}},
        {"name": "beta", "priority": 100,
         "match": {"path": {"prefix": "/products"},
                   "headers": [{"name": "X-User-Type", "match": {"exact": "beta-tester"}}]},
         "targets": [{"cluster": "v2"}], "rewrite": {"prefix": "/"}}
    ],
    "default": {"status": 404}
}"#;

/// `rule cluster path`, or the status of the reply.
fn decide(router: &HeaderRouter, fields: &[(&str, &str)]) -> String {
    let mut head = Head::from_fields(fields.iter().copied());
    match router.stream().on_request_head(&mut head, &FixedEnv::default()) {
        Flow::Reply(reply) => reply.status.to_string(),
        _ => {
            let text = |name| String::from_utf8_lossy(head.get(name).unwrap_or(b"-")).into_owned();
            format!("{} {} {}", text(ROUTE_HEADER), text(CLUSTER_HEADER), text(":path"))
        }
    }
}

#[test]
fn the_lowest_priority_number_that_matches_decides() {
    let router = router(PRODUCTS);
    for (fields, expected) in [
        (&[(":path", "/products/items?a=1")][..], "default v1 /items?a=1"),
        (&[(":path", "/products/items"), ("x-user-type", "beta-tester")], "beta v2 /items"),
        (&[(":path", "/products"), ("x-user-type", "a"), ("x-user-type", "beta-tester")], "beta v2 /"),
        (&[(":path", "/productsx")], "404"),
        (&[(":path", "*")], "404"),
        (&[], "404"),
    ] {
        assert_eq!(decide(&router, fields), expected, "{fields:?}");
    }
}

#[test]
fn what_a_client_says_about_the_decision_is_removed() {
    let router = router(r#"{"rules": [], "default": "continue"}"#);
    let forged = [(":path", "/"), (CLUSTER_HEADER, "admin"), (ROUTE_HEADER, "x"), (CLUSTER_HEADER, "y")];
    assert_eq!(decide(&router, &forged), "- - /");
}

#[test]
fn the_default_can_be_a_target() {
    let router = router(r#"{"rules": [], "default": {"target": {"cluster": "c"}}}"#);
    assert_eq!(decide(&router, &[(":path", "/")]), "- c /");
}

#[test]
fn decisions_are_counted_by_rule_target_and_outcome() {
    let router = router(PRODUCTS);
    let env = FixedEnv::default();
    for (path, user) in [("/products", "a"), ("/products", "beta-tester"), ("/", "a"), ("/products/x", "a")] {
        let mut head = Head::from_fields([(":path", path), ("x-user-type", user)]);
        router.stream().on_request_head(&mut head, &env);
    }
    let counted: Vec<_> = (0u32..)
        .zip(router.metrics().names())
        .map(|(id, name)| format!("{name} {}", env.counted(CounterId(id))))
        .collect();
    assert_eq!(
        counted,
        [
            "sluice_router.rule.default.target.v1.outcome.matched.decisions_total 2",
            "sluice_router.rule.beta.target.v2.outcome.matched.decisions_total 1",
            "sluice_router.rule.-.target.-.outcome.rejected.decisions_total 1",
            "sluice.filter.header-router.where.rewrite.internal_errors_total 0",
            "sluice.filter.header-router.where.header.internal_errors_total 0",
        ]
    );
}

#[test]
fn mistakes_are_refused_with_their_place() {
    for (json, expected) in [
        (r#"{"rules": []}"#, r#"missing field "default""#),
        (
            r#"{"rules": [{"name": "a", "targets": [{"cluster": "c"}]}, {"name": "a", "targets": [{"cluster": "c"}]}],
            "default": "continue"}"#,
            r#"rules[1].name: expected a unique name, found "a" as in rules[0]"#,
        ),
        (
            r#"{"rules": [{"name": "a", "targets": [{"cluster": "c", "weight": 0}]}], "default": "continue"}"#,
            "rules[0].targets: expected a sum of weights above 0, found 0",
        ),
        (
            r#"{"rules": [{"name": "a", "priority": 1001, "targets": [{"cluster": "c"}]}], "default": "continue"}"#,
            "rules[0].priority: expected 0 to 1000, found 1001",
        ),
        (
            r#"{"rules": [{"name": "a", "match": {"headers": [{"name": "x", "match": {"regex": "("}}]},
            "targets": [{"cluster": "c"}]}], "default": "continue"}"#,
            "rules[0].match.headers[0].match.regex: found open group without closing ')'",
        ),
        (
            r#"{"rules": [{"name": "a", "match": {"path": {"prefix": "x"}}, "targets": [{"cluster": "c"}]}],
            "default": "continue"}"#,
            r#"rules[0].match.path.prefix: expected a path that starts with "/", without query or blanks, found "x""#,
        ),
        (
            r#"{"rules": [], "default": {"status": 200}}"#,
            "default.status: expected a status from 400 to 599, found 200",
        ),
        (r#"{"rules": [], "default": "contine"}"#, r#"default: unknown value "contine"; did you mean "continue"?"#),
    ] {
        assert_eq!(HeaderRouter::from_config(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
    }
}

/// What a request with these headers becomes; `GET http://client.test` if they say nothing else.
fn send(router: &HeaderRouter, path: &str, headers: &[(&str, &str)]) -> (Head, Option<Reply>, FixedEnv) {
    let mut head = Head::from_fields([(":method", "GET"), (":scheme", "http"), (":path", path)]);
    headers.iter().for_each(|(name, value)| {
        if name.starts_with(':') {
            head.set(name, value.as_bytes()).unwrap();
        } else {
            head.add(name, value.as_bytes()).unwrap();
        }
    });
    if head.get(":authority").is_none() {
        head.set(":authority", b"client.test").unwrap();
    }
    let env = FixedEnv::default();
    let reply = match router.stream().on_request_head(&mut head, &env) {
        Flow::Reply(reply) => Some(reply),
        _ => None,
    };
    (head, reply, env)
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned()
}

fn location(router: &HeaderRouter, path: &str, headers: &[(&str, &str)]) -> String {
    let reply = send(router, path, headers).1.unwrap();
    let location = reply.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_slice());
    format!("{} {}", reply.status, text(location))
}

#[test]
fn specific_rules_go_first_whatever_the_file_says() {
    let target = |name: &str, matched: &str| {
        format!(r#"{{"name": "{name}", "match": {matched}, "targets": [{{"cluster": "c"}}]}}"#)
    };
    let rules = [
        target("any", "{}"),
        target("root", r#"{"path": {"prefix": "/"}}"#),
        target("a", r#"{"path": {"prefix": "/a"}}"#),
        target("regex", r#"{"path": {"regex": "/a/[0-9]+"}}"#),
        target("header", r#"{"path": {"prefix": "/a"}, "headers": [{"name": "x"}]}"#),
        target("method", r#"{"path": {"prefix": "/a"}, "methods": ["POST"]}"#),
        target("query", r#"{"path": {"prefix": "/a"}, "query_parameters": [{"name": "q"}]}"#),
        target("exact", r#"{"path": {"exact": "/a/b"}}"#),
        target("longer", r#"{"path": {"prefix": "/a/b"}}"#),
        target("host", r#"{"hosts": [{"exact": "h.test"}]}"#),
        target("wild", r#"{"hosts": [{"wildcard": "*.test"}], "path": {"exact": "/a/b"}}"#),
    ];
    let router = router(&format!(r#"{{"rules": [{}], "default": "continue"}}"#, rules.join(",")));
    for (path, headers, expected) in [
        ("/x", &[(":authority", "o")][..], "root"),
        ("*", &[(":authority", "o")], "any"),
        ("/a", &[(":authority", "o")], "a"),
        ("/a?q", &[(":authority", "o")], "query"),
        ("/a?q", &[(":authority", "o"), ("x", "1")], "header"),
        ("/a?q", &[(":authority", "o"), ("x", "1"), (":method", "POST")], "method"),
        ("/a/7?q", &[(":authority", "o"), ("x", "1")], "regex"),
        ("/a/b", &[(":authority", "o")], "exact"),
        ("/a/b/c", &[(":authority", "o"), ("x", "1")], "longer"),
        ("/a/b", &[(":authority", "h.test:80")], "host"),
        ("/a/b", &[(":authority", "i.test")], "wild"),
        ("/a/bc", &[(":authority", "i.test")], "a"),
    ] {
        assert_eq!(text(send(&router, path, headers).0.get(ROUTE_HEADER)), expected, "{path} {headers:?}");
    }
}

#[test]
fn redirects_leave_default_ports_out_and_keep_what_is_not_given() {
    let redirect = |matched: &str, redirect: &str| {
        router(&format!(
            r#"{{"rules": [{{"name": "r", "match": {{"path": {matched}}}, "redirect": {redirect}}}], "default": "continue"}}"#
        ))
    };
    let https = redirect(r#"{"prefix": "/"}"#, r#"{"scheme": "https", "status": 301}"#);
    assert_eq!(location(&https, "/a?b=1", &[(":authority", "x.test:8080")]), "301 https://x.test/a?b=1");
    let port = redirect(r#"{"prefix": "/"}"#, r#"{"scheme": "https", "port": 8443}"#);
    assert_eq!(location(&port, "/", &[]), "302 https://client.test:8443/");
    let host = redirect(r#"{"prefix": "/a"}"#, r#"{"host": "new.test", "prefix": "/b", "status": 308}"#);
    assert_eq!(location(&host, "/a/c?d", &[(":authority", "x.test:8080")]), "308 http://new.test/b/c?d");
    let path = redirect(r#"{"regex": "/old/(.*)"}"#, r#"{"path": "/new/$1", "strip_query": true}"#);
    assert_eq!(location(&path, "/old/a?b", &[(":authority", "x.test:8080")]), "302 http://x.test:8080/new/a");
    let default = redirect(r#"{"prefix": "/"}"#, r#"{"port": 80}"#);
    assert_eq!(location(&default, "/", &[(":authority", "x.test:8080")]), "302 http://x.test/");
    assert_eq!(location(&default, "/", &[(":authority", "[::1]:8080")]), "302 http://[::1]/");
}

#[test]
fn a_services_redirect_leads_back_to_what_the_client_asked_for() {
    let router = router(
        r#"{"rules": [{"name": "p", "match": {"path": {"prefix": "/products"}}, "service": "s",
                       "rewrite": {"prefix": "/", "host": "inner.svc:81"}}],
            "services": [{"name": "s", "rules": [
                {"name": "secure", "match": {"path": {"prefix": "/secure"}}, "redirect": {"scheme": "https"}},
                {"name": "old", "match": {"path": {"exact": "/old"}}, "redirect": {"path": "/old", "status": 301}}]}],
            "default": "continue"}"#,
    );
    assert_eq!(location(&router, "/products/secure?a", &[]), "302 https://client.test/products/secure?a");
    assert_eq!(location(&router, "/products/old", &[(":authority", "c.test:82")]), "301 http://c.test:82/old");
}

#[test]
fn headers_are_edited_both_ways_and_tags_are_logged() {
    let router = router(
        r#"{"rules": [{"name": "r", "match": {"path": {"regex": "/u/(?<id>[0-9]+)"}}, "targets": [{"cluster": "c"}],
            "request_headers": {"set": [{"name": "x-id", "value": "${id}"}], "remove": ["x-secret"]},
            "response_headers": {"add": [{"name": "x-served-by", "value": "${target}/${rule}"}]},
            "tags": {"user": "u-${id}"}}],
            "default": "continue", "log_fields": true}"#,
    );
    let mut head = Head::from_fields([(":path", "/u/7"), ("x-secret", "s")]);
    let (mut stream, env) = (router.stream(), FixedEnv::default());
    assert_eq!(stream.on_request_head(&mut head, &env), Flow::Continue);
    assert_eq!((text(head.get("x-id")), head.get("x-secret")), ("7".to_owned(), None));
    assert!(stream.lasts());
    let mut response = Head::from_fields([(":status", "200")]);
    stream.on_response_head(&mut response, &env);
    assert_eq!(text(response.get("x-served-by")), "c/r");
    let fields: Vec<_> =
        env.log_fields().into_iter().map(|(name, value)| format!("{name}={}", text(Some(&value)))).collect();
    assert_eq!(fields, ["sluice_rule=r", "sluice_tag_user=u-7", "sluice_target=c"]);
}

#[test]
fn a_service_decides_on_what_the_first_rule_has_made_of_the_request() {
    let router = router(
        r#"{"mode": "app_mesh",
            "rules": [
                {"name": "products", "match": {"path": {"prefix": "/products"}}, "service": "product-service"},
                {"name": "as-is", "match": {"path": {"prefix": "/raw"}}, "service": "product-service", "keep_prefix": true,
                 "keep_host": true},
                {"name": "direct", "match": {"path": {"prefix": "/direct"}}, "targets": [{"cluster": "d"}]}],
            "services": [{"name": "product-service", "host": "product-service.prod.svc", "rules": [
                {"name": "red", "match": {"path": {"prefix": "/red"}}, "targets": [{"cluster": "red"}]},
                {"name": "host", "match": {"headers": [{"name": ":authority", "match": {"exact": "client.test"}}]},
                 "targets": [{"cluster": "outside"}]}]}],
            "default": {"status": 404}}"#,
    );
    for (path, expected) in [
        ("/products/red/1?x", "product-service/red red /red/1?x product-service.prod.svc"),
        // text prefixes: App Mesh takes it, and the rest becomes a path
        ("/productsred", "product-service/red red /red product-service.prod.svc"),
        ("/raw/x", "product-service/host outside /raw/x client.test"),
        ("/direct/x", "direct d /x d"),
    ] {
        let (head, reply, _) = send(&router, path, &[]);
        assert_eq!(reply, None, "{path}");
        let [route, cluster, path_, host] =
            [ROUTE_HEADER, CLUSTER_HEADER, ":path", ":authority"].map(|n| text(head.get(n)));
        assert_eq!(format!("{route} {cluster} {path_} {host}"), expected, "{path}");
    }
    let (_, reply, env) = send(&router, "/products/blue", &[]);
    assert_eq!(reply.unwrap().status, 404);
    let name = "sluice_router.rule.products.target.-.outcome.rejected.decisions_total";
    let id = router.metrics().names().iter().position(|n| n == name).unwrap();
    assert_eq!(env.counted(CounterId(id as u32)), 1);
}

#[test]
fn a_decision_may_wait_for_the_body() {
    let router = router(
        r#"{"rules": [
            {"name": "large", "priority": 1, "match": {"path": {"exact": "/v1/chat"},
             "json_body": [{"pointer": "/model", "match": {"prefix": "large-"}}]}, "targets": [{"cluster": "large"}]},
            {"name": "small", "match": {"path": {"exact": "/v1/chat"}}, "targets": [{"cluster": "small"}]},
            {"name": "other", "match": {"path": {"prefix": "/"}}, "targets": [{"cluster": "other"}]}],
            "default": "continue", "max_body_bytes": 100}"#,
    );
    assert!(router.holds());
    let env = FixedEnv::default();
    for (body, expected) in
        [(&br#"{"model": "large-1"}"#[..], "large"), (b"{}", "small"), (b"", "small"), (b"\xff", "small")]
    {
        let mut head = Head::from_fields([(":path", "/v1/chat"), (CLUSTER_HEADER, "forged")]);
        let mut stream = router.stream();
        assert_eq!(stream.on_request_head(&mut head, &env), Flow::Hold { limit: 100 });
        assert_eq!(stream.on_held_request(&mut head, &mut Body::new(body.to_vec()), &env), Flow::Continue);
        assert_eq!(text(head.get(CLUSTER_HEADER)), expected);
    }
    assert_eq!(text(send(&router, "/x", &[]).0.get(CLUSTER_HEADER)), "other");
}

#[test]
fn paths_go_on_as_rules_have_seen_them() {
    let router = router(
        r#"{"rules": [{"name": "admin", "match": {"path": {"prefix": "/admin"}}, "direct_response": {"status": 403}},
                      {"name": "rest", "targets": [{"cluster": "c"}]}],
            "matching": {"normalize_path": true, "merge_slashes": true, "decode_unreserved": true}, "default": "continue"}"#,
    );
    assert_eq!(send(&router, "/x/..//%61dmin?a=//", &[]).1.unwrap().status, 403);
    assert_eq!(text(send(&router, "/x//y/%2F?a=//", &[]).0.get(":path")), "/x/y/%2F?a=//");
}

#[test]
fn a_secret_header_shows_the_decision_and_goes_no_further() {
    let router = router(
        r#"{"rules": [{"name": "a", "match": {"path": {"prefix": "/a"}}, "targets": [{"cluster": "c"}]},
                      {"name": "b", "match": {"path": {"prefix": "/a"}, "headers": [{"name": "x-b"}]}, "targets": [{"cluster": "c"}]}],
            "default": {"status": 404}, "debug": {"secret": "0123456789abcdef"}}"#,
    );
    let shown = |path: &str, secret: &str| {
        let mut head = Head::from_fields([(":path", path), ("x-sluice-debug", secret)]);
        let (mut stream, env) = (router.stream(), FixedEnv::default());
        match stream.on_request_head(&mut head, &env) {
            Flow::Reply(reply) => {
                reply.headers.iter().find(|(name, _)| name == DECISION_HEADER).map(|(_, value)| text(Some(value)))
            }
            _ => {
                assert_eq!(head.get("x-sluice-debug"), None);
                let mut response = Head::from_fields([(":status", "200")]);
                stream.on_response_head(&mut response, &env);
                response.get(DECISION_HEADER).map(|value| text(Some(value)))
            }
        }
    };
    let told = shown("/a/x", "0123456789abcdef").unwrap();
    assert!(told.starts_with(r#"{"outcome":"routed","rule":"a","target":"c","path":"/a/x""#), "{told}");
    assert!(
        told.contains(r#"{"rule":"b","priority":1000,"found":"failed","why":"header x-b present, found none"}"#),
        "{told}"
    );
    assert!(shown("/x", "0123456789abcdef").unwrap().starts_with(r#"{"outcome":"rejected","status":404"#));
    assert!(shown("/a/\u{e4}\u{7f}", "0123456789abcdef").unwrap().contains(r#""path":"/a/\u00e4\u007f""#));
    for wrong in ["", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
        assert_eq!(shown("/a/x", wrong), None, "{wrong}");
        assert_eq!(shown("/x", wrong), None, "{wrong}");
    }
    assert!(!format!("{router:?}").contains("0123456789abcdef"));
}

#[test]
fn every_action_is_checked() {
    for (rule, expected) in [
        (r#""redirect": {"status": 302}"#, "rules[0].redirect: expected \"scheme\""),
        (r#""redirect": {"scheme": "ftp"}"#, "rules[0].redirect.scheme: expected \"http\" or \"https\", found \"ftp\""),
        (r#""redirect": {"host": "a:80"}"#, "rules[0].redirect.host: expected a host without port"),
        (r#""redirect": {"path": "/", "status": 200}"#, "rules[0].redirect.status: expected 301"),
        (r#""direct_response": {"status": 100}"#, "rules[0].direct_response.status: expected 200 to 599"),
        (r#""direct_response": {"status": 204, "body": "x"}"#, "rules[0].direct_response.body: expected no body"),
        (
            r#""direct_response": {"status": 200, "headers": [{"name": "a", "value": "\n"}]}"#,
            "rules[0].direct_response.headers[0].value: expected text without control characters",
        ),
        (r#""service": "nowhere""#, "rules[0].service: expected the name of a service, found \"nowhere\""),
        (r#""targets": [{}]"#, "rules[0].targets[0]: expected either \"cluster\" or \"status\""),
        (r#""targets": [{"status": 200}]"#, "rules[0].targets[0].status: expected 400 to 599"),
        ("", "rules[0]: expected one of \"targets\", \"service\", \"redirect\" and \"direct_response\", found none"),
        (
            r#""targets": [{"cluster": "c"}], "direct_response": {"status": 200}"#,
            "rules[0]: expected one of \"targets\", \"service\", \"redirect\" and \"direct_response\", found targets and",
        ),
        (r#""direct_response": {"status": 200}, "sticky": "source_address""#, "rules[0].sticky: expected it together"),
        (r#""direct_response": {"status": 200}, "rewrite": {"path": "/"}"#, "rules[0].rewrite: expected it together"),
        (r#""targets": [{"cluster": "c"}], "keep_host": true"#, "rules[0].keep_host: expected mode \"app_mesh\""),
        (
            r#""targets": [{"cluster": "c"}], "mirror": {"cluster": "m", "share": 0}"#,
            "rules[0].mirror.share: expected 1",
        ),
        (r#""targets": [{"cluster": "c"}], "tags": {"A": ""}"#, "rules[0].tags: expected a name"),
        (r#""targets": [{"cluster": "c"}], "tags": {"a": "$1"}"#, "rules[0].tags.a: expected one of 0 groups"),
        (
            r#""targets": [{"cluster": "c"}], "sticky": {"header": "a b"}"#,
            "rules[0].sticky.header: expected a header name",
        ),
        (
            r#""targets": [{"cluster": "c"}], "match": {}, "matches": [{}]"#,
            "rules[0].matches: expected either \"match\" or \"matches\", found both",
        ),
    ] {
        let rule = if rule.is_empty() { String::new() } else { format!(", {rule}") };
        let json = format!(r#"{{"rules": [{{"name": "r"{rule}}}], "default": "continue"}}"#);
        let error = HeaderRouter::from_config(json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{rule}: {error}");
    }
}

#[test]
fn in_mode_app_mesh_a_rule_that_answers_has_nothing_to_rewrite() {
    let router = router(
        r#"{"mode": "app_mesh", "default": {"status": 404}, "rules": [
            {"name": "gone", "match": {"path": {"prefix": "/gone"}}, "direct_response": {"status": 410}}]}"#,
    );
    assert_eq!(decide(&router, &[(":path", "/gone/a")]), "410");
}
