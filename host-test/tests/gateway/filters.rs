//! Filters in the gateway: what they change, decide, hold back and break. The guest `probe` does what a header says.

use super::support::*;

#[test]
fn the_route_is_chosen_on_the_headers_that_the_filters_leave() {
    let (one, two) = (Upstream::echo("one"), Upstream::echo("two"));
    let gateway = Setup::default()
        .route("match: {prefix: /moved}, route: {cluster: two}")
        .route("match: {prefix: /, headers: [{name: x-to, present_match: true}]}, route: {cluster_header: x-to}")
        .route("match: {prefix: /}, route: {cluster: one}")
        .cluster("one", &[one.address])
        .cluster("two", &[two.address])
        .probe("a", "")
        .start();
    for (script, expected) in [
        ("", "one"),
        ("rh: add 0 x-to two", "two"),
        ("rh: replace 0 :path /moved/x", "two"),
        ("rh: add 0 x-to three", ""),
        ("rh: remove 0 x-forwarded-proto", ""),
    ] {
        let answer = gateway.get("/x", &[("x-probe-a", script)]);
        let status = if expected.is_empty() { if script.contains("three") { 503 } else { 404 } } else { 200 };
        assert_eq!(answer.status(), status, "{script}");
        assert!(answer.text().starts_with(expected), "{script}: {}", answer.text());
    }
    let moved = gateway.get("/x", &[("x-probe-a", "rh: replace 0 :path /moved/x")]).text();
    assert!(moved.contains("GET /moved/x HTTP/1.1"), "{moved}");
}

#[test]
fn responses_go_back_through_the_filters_whoever_made_them() {
    let gateway = Setup::to(&Upstream::echo("up")).cluster("dead", &[nobody()]).probe("a", "").probe("b", "").start();
    let change = "ph: add 2 x-seen a; remove 2 x-gone";
    let answer = gateway.get("/", &[("x-probe-a", change), ("x-probe-b", "ph: add 2 x-seen b; add 2 x-gone 1")]);
    let seen: Vec<_> =
        answer.head.lines().filter(|line| line.starts_with("x-")).filter(|line| !line.contains("envoy")).collect();
    assert_eq!(seen, ["x-seen: b", "x-seen: a"]);
    let reply = gateway.get("/", &[("x-probe-a", change), ("x-probe-b", "rh: reply 403 stop")]);
    assert_eq!((reply.status(), reply.text().as_str(), reply.header("x-seen").as_deref()), (403, "stop", Some("a")));
    // Nothing of it reached the upstream.
    assert_eq!(gateway.stat("cluster.up.upstream_rq_total"), Some(1));
}

#[test]
fn a_body_that_is_held_back_reaches_nobody_before_the_decision() {
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "").start();
    let post = |script: &str, body: &str| {
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\nx-probe-a: {script}\r\ncontent-length: {}\r\n\r\n", body.len());
        gateway.ask(head + body)
    };
    let refused = post("rh: return 1 | rb: return 1 | rbe: reply 403 no", "abc");
    assert_eq!((refused.status(), refused.text().as_str()), (403, "no"));
    assert_eq!(gateway.stat("cluster.up.upstream_rq_total"), Some(0));
    let passed =
        post("rh: return 1 | rb: return 1 | rbe: remove 0 content-length; set-buf 0 0 max changed", "abc").text();
    assert!(passed.contains("transfer-encoding: chunked") && passed.ends_with("\nchanged"), "{passed}");
    let large = post("rh: return 1 | rb: return 1 | rbe: return 1", &"x".repeat(3 * 1024 * 1024));
    assert_eq!((large.status(), large.text().as_str()), (413, "Payload Too Large"));
    assert_eq!(gateway.stat("http.ingress.downstream_rq_too_large"), Some(1));
}

#[test]
fn bodies_whose_length_is_not_what_their_head_says_are_not_sent() {
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "").start();
    for set in ["longer%20than%20before", "x"] {
        let script = format!("rb: set-buf 0 0 max {set}");
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\nx-probe-a: {script}\r\ncontent-length: 3\r\n\r\nabc");
        let answer = gateway.ask(request);
        assert_eq!(answer.status(), 502, "{set}: {}", answer.text());
        assert!(answer.text().contains("another length than its content-length"), "{}", answer.text());
    }
    let mut client = gateway.connect();
    client.send(get("/", &[("x-probe-a", "pb: set-buf 1 0 max x | pbe: set-buf 1 0 max y")]));
    let answer = client.response();
    assert!(!answer.complete, "the connection ends instead: {}", answer.text());
    assert!(gateway.logged("a filter changed only one of them"));
}

/// With one worker thread, whose VM every request meets.
fn one_worker() -> Gateway {
    Gateway::start(&Setup::to(&Upstream::echo("up")).probe("a", "").yaml(), |options| options.concurrency = 1)
}

#[test]
fn a_trap_costs_one_request_and_a_new_vm_takes_over() {
    let gateway = one_worker();
    for phase in ["rh", "ph"] {
        let answer = gateway.get("/", &[("x-probe-a", &format!("{phase}: trap"))]);
        assert_eq!(answer.status(), 503, "{phase}");
        // 503 while the policy's pause lasts, then a new VM.
        eventually("a new VM", || {
            let status = gateway.get("/", &[]).status();
            assert!([200, 503].contains(&status), "{status}");
            status == 200
        });
    }
    assert!(gateway.logged("plugin \"a\" trapped in proxy_on_request_headers"), "{}", gateway.log());
    assert_eq!(gateway.stat("wasm.a.vm_traps"), Some(2));
    assert_eq!(gateway.stat("http.ingress.downstream_rq_active"), Some(0));
}

#[test]
fn a_trap_in_the_middle_of_a_body_ends_that_stream_only() {
    let gateway = one_worker();
    let answer = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\nx-probe-a: rb: trap\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!(answer.status(), 503);
    eventually("a new VM", || gateway.get("/", &[]).status() == 200);
    let answer = gateway.get("/", &[("x-probe-a", "pb: trap")]);
    assert_eq!((answer.status(), answer.complete), (200, false));
    eventually("a new VM", || gateway.get("/", &[]).status() == 200);
}

#[test]
fn a_callout_holds_the_request_until_its_answer() {
    let up = Upstream::echo("up");
    let auth = Upstream::start(|socket| {
        while let Some(request) = socket.message() {
            let (status, body) = if request.head.contains("/good") { (200, "yes") } else { (403, "no") };
            socket.send(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        }
    });
    let gateway = Setup::to(&up).cluster("auth", &[auth.address]).cluster("dead", &[nobody()]).probe("a", "").start();
    let script = |cluster: &str, path: &str| {
        format!(
            "rh: http {cluster} 1000 %20 :method=POST :path={path} :authority=auth; return 1 | call: names 6 :status; continue 0"
        )
    };
    for (cluster, path) in [("auth", "/good"), ("auth", "/bad"), ("dead", "/")] {
        let answer = gateway.get("/", &[("x-probe-a", &script(cluster, path))]);
        assert_eq!(answer.status(), 200, "{cluster} {path}");
        assert!(answer.text().starts_with("up\n"));
    }
    assert!(gateway.logged("|call|headers "), "{}", gateway.log());
    assert_eq!(gateway.stat("cluster.auth.upstream_rq_403"), Some(1));
    assert_eq!(gateway.stat("cluster.dead.upstream_cx_connect_fail"), Some(1));
}

#[test]
fn a_filter_may_cut_a_stream_off() {
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "").start();
    let mut client = gateway.connect();
    client.send(get("/", &[("x-probe-a", "rh: close 0; return 1")]));
    assert!(client.ended());
    assert_eq!(gateway.stat("http.ingress.downstream_rq_tx_reset"), Some(1));
}

#[test]
fn timers_run_without_requests() {
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "cfg: tick 20 | tick: m-increment 0 beats 1").start();
    eventually("three beats", || gateway.stat("wasmcustom.beats").is_some_and(|beats| beats >= 3));
}

#[test]
fn the_admin_port_shows_what_envoys_does() {
    let mut setup = Setup::to(&Upstream::echo("up")).probe("a", "");
    setup.manager = "          server_name: gate\n".into();
    let yaml = setup.yaml().replace(
        "static_resources:",
        "stats_config: {stats_tags: [{tag_name: rule, regex: '^wasmcustom\\.hits(\\.rule\\.(.+?))\\.'}]}\nstatic_resources:",
    );
    let gateway = Gateway::start(&yaml, |_| {});
    assert_eq!(
        gateway.get("/", &[("x-probe-a", "rh: m-increment 0 hits.rule.one.total 2")]).header("server").as_deref(),
        Some("gate")
    );
    let ready = gateway.admin("/ready");
    assert_eq!((ready.status(), ready.text().as_str()), (200, "LIVE\n"));
    assert_eq!(gateway.stat("wasmcustom.hits.rule.one.total"), Some(2));
    assert_eq!(gateway.stat("http.ingress.downstream_rq_total"), Some(1));
    assert_eq!(gateway.stat("cluster.up.upstream_rq_total"), Some(1));
    let prometheus = gateway.admin("/stats/prometheus").text();
    for line in [
        "# TYPE hits_total counter\nhits_total{rule=\"one\"} 2\n",
        "envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"up\"} 1\n",
        "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"ingress\"} 1\n",
        "envoy_server_live{} 1\n",
    ] {
        assert!(prometheus.contains(line), "{line}\nin\n{prometheus}");
    }
    assert_eq!(
        gateway.admin("/stats?filter=%5Ewasmcustom&format=json").text(),
        r#"{"stats":[{"name":"wasmcustom.hits.rule.one.total","value":2}]}"#
    );
    assert!(gateway.admin("/server_info").text().contains("\"state\": \"LIVE\""));
    assert_eq!(gateway.admin("/listeners").text(), format!("main::{}\n", gateway.address));
    for (path, status) in [("/nothing", 404), ("/stats?filter=(", 400), ("/stats?x=1", 400), ("/stats?format=x", 400)] {
        assert_eq!(gateway.admin(path).status(), status, "{path}");
    }
}

#[test]
fn a_filter_that_refuses_its_configuration_stops_the_start() {
    let yaml = Setup::to(&Upstream::echo("up")).probe("a", "cfg: trap").yaml();
    let bootstrap = host_test::gateway::bootstrap::parse(&yaml).unwrap();
    let error = host_test::gateway::start(bootstrap, quiet()).unwrap_err();
    assert!(error.contains("plugin \"a\"") && error.contains("proxy_on_configure"), "{error}");
}

#[test]
fn the_client_is_the_last_forwarded_address() {
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "").start();
    let ask =
        |forwarded: &str| gateway.get("/", &[("x-forwarded-for", forwarded), ("x-probe-a", "rh: prop source.address")]);
    for (forwarded, expected) in [("1.2.3.4, 5.6.7.8", "5.6.7.8:0"), ("1.2.3.4, unknown", "127.0.0.1:")] {
        assert_eq!(ask(forwarded).status(), 200);
        let line = format!("prop source.address -> 0 \"{expected}");
        assert!(gateway.logged(&line), "{}", gateway.log());
    }
}
