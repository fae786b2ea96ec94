//! What routes do to requests and responses, as on Envoy 1.40.

use super::support::*;

const EDITS: &str = "request_headers_to_add: [{header: {key: x-order, value: LEVEL}}, {header: {key: x-last, value: LEVEL}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}], \
    response_headers_to_add: [{header: {key: x-level, value: LEVEL}}]";

fn level(name: &str, indent: usize) -> String {
    let fields = EDITS.replace("LEVEL", name).replace("], ", "]\n");
    fields.lines().map(|line| format!("{:indent$}{}\n", "", line.trim())).collect()
}

fn values(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn headers_are_edited_by_the_route_then_by_its_host_then_by_the_table() {
    let upstream = Upstream::start(|socket| {
        while let Some(request) = socket.message() {
            let head = "HTTP/1.1 200 OK\r\nx-back: 1\r\nx-gone: 1\r\n";
            socket.send(format!("{head}content-length: {}\r\n\r\n{}", request.head.len(), request.head));
        }
    });
    let route = format!(
        "match: {{prefix: /}}, route: {{cluster: up, prefix_rewrite: /new}}, {}, request_headers_to_remove: [X-Up, x-order], response_headers_to_remove: [x-gone]",
        EDITS.replace("LEVEL", "route")
    );
    let mut setup = Setup::default().route(&route).cluster("up", &[upstream.address]);
    setup.host = level("host", 14);
    setup.table = level("table", 12);
    let gateway = setup.start();
    let answer = gateway.get("/x", &[("x-up", "1"), ("x-order", "client"), ("x-last", "client")]);
    let seen = answer.text();
    assert_eq!(values(&seen, "x-order"), ["route", "host", "table"]);
    assert_eq!((values(&seen, "x-last"), values(&seen, "x-up").len()), (vec!["table".to_owned()], 0));
    assert_eq!(values(&answer.head, "x-level"), ["route", "host", "table"]);
    assert_eq!((answer.header("x-back").as_deref(), answer.header("x-gone")), (Some("1"), None));
}

#[test]
fn replies_of_filters_and_of_the_gateway_get_the_routes_headers_too() {
    let add =
        "response_headers_to_add: [{header: {key: x-r, value: '1'}}, {header: {key: content-type, value: text/html}}]";
    let gateway = Setup::default()
        .route(&format!(
            "match: {{path: /direct}}, direct_response: {{status: 200, body: {{inline_string: hi}}}}, {add}"
        ))
        .route(&format!("match: {{path: /to}}, redirect: {{path_redirect: /there}}, {add}"))
        .route(&format!("match: {{prefix: /}}, route: {{cluster: down}}, {add}"))
        .cluster("down", &[nobody()])
        .probe("a", "")
        .start();
    for (path, script, status) in [
        ("/direct", "", 200),
        ("/to", "", 301),
        ("/down", "", 503),
        ("/filter", "rh: reply 418 abc", 418),
        ("/filter", "rh: add 0 x-foo 1; reply 418 abc", 418),
    ] {
        let answer = gateway.get(path, &[("x-probe-a", script)]);
        assert_eq!((answer.status(), answer.header("x-r").as_deref()), (status, Some("1")), "{path}");
        if status != 301 {
            assert_eq!(values(&answer.head, "content-type"), ["text/html"], "{path}");
        }
    }
}

#[test]
fn redirects_go_where_envoys_go() {
    let gateway = Setup::default()
        .route("match: {path: /secure}, redirect: {https_redirect: true}")
        .route("match: {prefix: /old}, redirect: {host_redirect: new.test, prefix_rewrite: /new, response_code: TEMPORARY_REDIRECT}")
        .route("match: {prefix: /r}, redirect: {port_redirect: 8443, regex_rewrite: {pattern: {regex: '^/r/(.*)$'}, substitution: '/\\1/r'}, strip_query: true}")
        .start();
    for (path, status, location) in [
        ("/secure?a", 301, "https://a.test/secure?a"),
        ("/old/x?q", 307, "http://new.test/new/x?q"),
        ("/r/x?q", 301, "http://a.test:8443/x/r"),
    ] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status(), answer.header("location").as_deref()), (status, Some(location)));
        assert_eq!(answer.header("content-length").as_deref(), Some("0"));
    }
}

#[test]
fn paths_and_hosts_are_rewritten_by_patterns() {
    let gateway = Setup::default()
        .route(r"match: {prefix: /w1}, route: {cluster: up, regex_rewrite: {pattern: {regex: '/([a-z]+)(\d*)'}, substitution: '/\2\1-\0'}}")
        .route(r"match: {prefix: /w2}, route: {cluster: up, host_rewrite_path_regex: {pattern: {regex: '^/w2/([^/]+)/.*$'}, substitution: '\1.h'}}")
        .cluster("up", &[Upstream::echo("up").address])
        .start();
    let seen = gateway.get("/w1/ab12?/zz9", &[]).text();
    assert!(seen.starts_with("up\nGET /1w-/w1/12ab-/ab12?/zz9 "), "{seen}");
    assert_eq!(values(&seen, "x-envoy-original-path"), ["/w1/ab12?/zz9"]);
    let seen = gateway.get("/w2/foo/bar?/x", &[]).text();
    assert!(seen.starts_with("up\nGET /w2/foo/bar?/x "), "{seen}");
    assert_eq!(
        (values(&seen, "host"), values(&seen, "x-envoy-original-host")),
        (vec!["foo.h".to_owned()], vec!["a.test".to_owned()])
    );
}

#[test]
fn a_route_has_its_own_patience_with_silence() {
    let upstream = Upstream::start(|socket| while socket.head().is_some() {});
    let gateway = Setup::default()
        .route("match: {path: /short}, route: {cluster: up, idle_timeout: 0.2s}")
        .route("match: {path: /none}, route: {cluster: up, idle_timeout: 0s, timeout: 0.5s}")
        .cluster("up", &[upstream.address])
        .start();
    assert_eq!(gateway.get("/short", &[]).text(), "stream timeout");
    assert_eq!(gateway.get("/none", &[]).text(), "upstream request timeout");
}
