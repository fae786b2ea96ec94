//! gRPC callouts on the wire: the same outcomes as in Envoy, which the conformance table records.

use super::grpc_server::{OUTCOMES, Outcome, Server};
use super::support::*;
use std::time::{Duration, Instant};

/// One thread, a probe, and the clusters `rpc`, `dead` and `none` over HTTP/2.
fn start(server: &Server) -> Gateway {
    let setup = Setup::to(&Upstream::echo("up")).probe("a", "");
    let setup = setup.http2_cluster("rpc", &[server.port]).http2_cluster("dead", &[nobody().port()]);
    let yaml = setup.http2_cluster("none", &[]).cluster("rpc-1", &[([127, 0, 0, 1], server.port).into()]).yaml();
    Gateway::start(&yaml, |options| options.concurrency = 1)
}

/// Asks with a script, and tells what the probe said in the case.
fn ask(gateway: &Gateway, case: &str, script: &str) -> Vec<String> {
    let message = gateway.get("/", &[("x-case", case), ("x-probe-a", script)]);
    assert_eq!(message.status(), 200, "{case}");
    said(gateway, case)
}

fn said(gateway: &Gateway, case: &str) -> Vec<String> {
    let start = format!("PROBE|{case}-a|");
    gateway.log().lines().filter_map(|line| Some(line.split_once(&start)?.1.to_owned())).collect()
}

fn pause(cluster: &str, timeout: u32, method: &str) -> String {
    format!(
        "rh: grpc {cluster} {timeout} {method} hello; return 1 | grpc: buf 5 0 99; continue 0 | gclose: status; continue 0"
    )
}

#[test]
fn every_outcome_is_envoys() {
    let server = Server::start();
    let gateway = start(&server);
    for (method, outcome) in OUTCOMES {
        let timeout = if matches!(*method, "Never" | "Stall") { 200 } else { 10_000 };
        let lines = ask(&gateway, method, &pause("rpc", timeout, method));
        let expected = match outcome {
            Outcome::Message("") => "grpc|buf 5 0 99 -> 0 null".to_owned(),
            Outcome::Message(message) => format!("grpc|buf 5 0 99 -> 0 \"{message}\""),
            Outcome::Failed(status, "") => format!("gclose|status -> {status} 0 null"),
            Outcome::Failed(status, message) => format!("gclose|status -> {status} 0 \"{message}\""),
        };
        assert!(lines.contains(&expected), "{method}: {expected}\nin {lines:#?}");
    }
    // One connection for all, but for the one that hung up.
    assert_eq!(server.seen().connections, 2);
    eventually("the timed out call is reset", || server.seen().resets == 1);
    assert_eq!(gateway.stat("cluster.rpc.upstream_cx_active"), Some(1));
    assert_eq!(gateway.stat("cluster.rpc.upstream_rq_active"), Some(0));
    assert_eq!(gateway.stat("cluster.rpc.upstream_rq_timeout"), Some(2));
}

#[test]
fn a_service_that_cannot_be_reached_is_unavailable() {
    let server = Server::start();
    let gateway = start(&server);
    // What a server that speaks HTTP/2 makes of HTTP/1.1 depends on whether its greeting comes before its end.
    let answers =
        [("dead", &["remote connection failure"][..]), ("rpc-1", &["protocol error", "connection termination"])];
    for (cluster, reasons) in answers {
        let lines = ask(&gateway, cluster, &pause(cluster, 10_000, "Say"));
        let is_one = |line: &String| {
            let reason = line.strip_prefix(
                "gclose|status -> 14 0 \"upstream connect error or disconnect/reset before headers. reset reason: ",
            );
            reason.is_some_and(|reason| reasons.iter().any(|one| reason.starts_with(&format!("{one}{{"))))
        };
        assert!(lines.iter().any(is_one), "{cluster}: {lines:#?}");
    }
    let lines = ask(&gateway, "none", "rh: grpc none 1000 Say hello");
    assert!(lines.iter().any(|line| line.ends_with("-> 10 token 77777")), "{lines:#?}");
    assert!(gateway.logged("answer|gclose|status 14 to nobody: 14 \"no healthy upstream{no_healthy_upstream}\""));
    let lines = ask(&gateway, "foreign", "rh: grpc rpc 9000 Say x te=x; return 1 | gclose: status; continue 0");
    assert!(lines.iter().any(|line| line.contains("protocol error")), "{lines:#?}");
}

#[test]
fn the_request_is_envoys() {
    let gateway = start(&Server::start());
    let script = "rh: grpc %0a%0c%0a%03rpc%12%05a.org 1500 Show he%00llo x-b=2 x-n-bin=%00%01; return 1 | grpc: buf 5 0 999; continue 0";
    let lines = ask(&gateway, "show", script);
    let shown =
        lines.iter().find_map(|line| line.strip_prefix("grpc|buf 5 0 999 -> 0 \"")).unwrap().trim_end_matches('"');
    let mut words: Vec<&str> = shown.split(' ').collect();
    words.sort_unstable();
    let expected = [
        ":authority=a.org",
        ":method=POST",
        ":path=/probe.S/Show",
        ":scheme=http",
        "content-type=application/grpc",
        r"frame=\\x00\\x00\\x00\\x00\\x06he\\x00llo",
        "grpc-timeout=1500m",
        "te=trailers",
        "x-b=2",
        "x-envoy-expected-rq-timeout-ms=1500",
        "x-envoy-internal=true",
        "x-n-bin=AAE=",
    ];
    assert_eq!(words, expected);
    let large = ask(&gateway, "large", "rh: grpc rpc 9000 Large *100000x; return 1 | grpc: buf-status 5; continue 0");
    assert!(large.contains(&"grpc|buf-status 5 -> 0 3000000 0".to_owned()), "{large:#?}");
    let too_large = ask(&gateway, "too-large", "rh: grpc rpc 9000 TooLarge x; return 1 | gclose: status; continue 0");
    assert!(too_large.iter().any(|line| line.starts_with("gclose|status -> 8 0 ")), "{too_large:#?}");
}

#[test]
fn a_call_outlives_its_client() {
    let server = Server::start();
    let gateway = start(&server);
    let mut client = gateway.connect();
    client.send(get("/", &[("x-case", "gone"), ("x-probe-a", &pause("rpc", 10_000, "Late"))]));
    eventually("the service is asked", || server.seen().calls == 1);
    drop(client);
    eventually("the answer comes", || gateway.logged("PROBE|gone-a|grpc|size 4 effective 2"));
    // And one that is made when the stream is over.
    ask(&gateway, "log", "log: grpc rpc 9000 Say x | delete: grpc rpc 9000 Fail y");
    eventually("both answers", || {
        gateway.logged("PROBE|log-a|grpc|size 4 effective 2")
            && gateway.logged("PROBE|log-a|gclose|status 8 effective 2")
    });
    assert_eq!(server.seen().resets, 0);
}

#[test]
fn cancelled_calls_and_those_of_dead_vms_are_reset() {
    let server = Server::start();
    let gateway = start(&server);
    ask(&gateway, "later", "rh: grpc rpc 0 Never x | ph: grpc-cancel last");
    assert_eq!(
        gateway.get("/", &[("x-case", "trap"), ("x-probe-a", "rh: grpc rpc 0 Never x | ph: trap")]).status(),
        503
    );
    // A call may be taken back before it has left.
    let left =
        || server.seen().resets == server.seen().calls && gateway.stat("cluster.rpc.upstream_rq_active") == Some(0);
    eventually("nothing is under way", left);
}

#[test]
fn many_calls_share_a_connection_and_none_hangs() {
    let server = Server::start();
    let gateway = start(&server);
    let begin = Instant::now();
    let mut clients: Vec<Socket> = (0..150).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(get("/", &[("x-case", "many"), ("x-probe-a", &pause("rpc", 20_000, "Late"))]));
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(server.seen().connections, 1);
    assert_eq!(server.seen().calls, 150);
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(gateway.log().matches("PROBE|many-a|grpc|size 4").count(), 150);
    // Refused for all who wait for the same connection.
    for client in &mut clients[..20] {
        client.send(get("/", &[("x-case", "dead"), ("x-probe-a", &pause("dead", 20_000, "Say"))]));
    }
    for client in &mut clients[..20] {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(gateway.log().matches("PROBE|dead-a|gclose|status 14").count(), 20);
}

#[test]
fn calls_under_way_have_a_limit() {
    let server = Server::start();
    let gateway = start(&server);
    let script = ["grpc rpc 0 Never x"; 1100].join(";");
    let setup = Setup::to(&Upstream::echo("up")).probe("a", &format!("tick: {script}; tick 0 | cfg: tick 30"));
    drop(gateway);
    let yaml = setup.http2_cluster("rpc", &[server.port]).yaml();
    let gateway = Gateway::start(&yaml, |options| options.concurrency = 1);
    let refused = "gclose|status 14 effective 0";
    eventually("the last ones are refused", || gateway.log().matches(refused).count() == 1100 - 1024);
    assert_eq!(gateway.stat("cluster.rpc.upstream_rq_active"), Some(1024));
}

#[test]
fn calls_of_a_configuration_that_is_replaced_are_answered() {
    let server = Server::start();
    let file = std::env::temp_dir().join(format!("sluice-grpc-reload-{}.yaml", std::process::id()));
    let setup = Setup::to(&Upstream::echo("up")).probe("a", "cfg: grpc rpc 9000 Say x");
    let yaml = setup.http2_cluster("rpc", &[server.port]).yaml();
    std::fs::write(&file, &yaml).unwrap();
    let gateway = Gateway::start(&yaml, |options| {
        options.concurrency = 1;
        options.file = Some(file.clone());
        options.watch = None;
    });
    eventually("the call of the configuration", || gateway.logged("PROBE|root-a|grpc|size 4 effective 0"));
    ask(&gateway, "log", "log: grpc rpc 9000 Late x");
    assert_eq!(gateway.running.reload(), Ok(2));
    let _ = std::fs::remove_file(&file);
    eventually("the answer comes to the old VM", || gateway.logged("PROBE|log-a|grpc|size 4 effective 2"));
    assert_eq!(gateway.get("/", &[]).status(), 200);
}

#[test]
fn a_connection_that_ended_is_replaced() {
    let server = Server::start();
    let gateway = start(&server);
    for round in 0..3 {
        let hangup = ask(&gateway, &format!("hangup{round}"), &pause("rpc", 10_000, "Hangup"));
        assert!(hangup.iter().any(|line| line.contains("connection termination")), "{hangup:#?}");
        let lines = ask(&gateway, &format!("say{round}"), &pause("rpc", 10_000, "Say"));
        assert!(lines.contains(&"grpc|buf 5 0 99 -> 0 \"pong\"".to_owned()), "{lines:#?}");
    }
}

#[test]
fn a_call_over_http1_reads_head_and_trailers() {
    let service = Upstream::start(|socket| {
        while let Some(request) = socket.message() {
            let answer = if request.head.contains("/probe.S/Head ") {
                "HTTP/1.1 200 OK\r\ngrpc-status: 5\r\ngrpc-message: five\r\ncontent-length: 0\r\n\r\n".to_owned()
            } else {
                let frame = "\0\0\0\0\x04pong";
                format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n9\r\n{frame}\r\n0\r\ngrpc-status: 0\r\n\r\n"
                )
            };
            if !socket.try_send(answer) {
                return;
            }
        }
    });
    let gateway = Setup::to(&Upstream::echo("up")).probe("a", "").cluster("old", &[service.address]).start();
    let head = ask(&gateway, "head", &pause("old", 10_000, "Head"));
    assert!(head.contains(&"gclose|status -> 5 0 \"five{via_upstream}\"".to_owned()), "{head:#?}");
    let trailers = ask(&gateway, "trailers", &pause("old", 10_000, "Trailers"));
    assert!(trailers.contains(&"grpc|buf 5 0 99 -> 0 \"pong\"".to_owned()), "{trailers:#?}");
}

#[test]
fn requests_of_clients_go_over_http2_too() {
    let server = Server::start();
    let setup = Setup::default().route("match: {prefix: /}, route: {cluster: rpc, timeout: 1s}");
    let gateway = setup.http2_cluster("rpc", &[server.port]).start();
    let request = |method: &str, body: &str| {
        let length = body.len();
        format!("POST /x/{method} HTTP/1.1\r\nhost: a.test\r\nx-a: 1\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let shown = gateway.ask(request("Show", "hello"));
    let text = shown.text();
    assert_eq!((shown.status(), shown.complete), (200, true));
    for part in [":method=POST :path=/x/Show", ":authority=a.test", "x-a=1", "frame=hello"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("host="), "{text}");
    let large = gateway.ask(request("Echo", &"x".repeat(2_000_000)));
    assert_eq!((large.status(), large.body.len(), large.complete), (200, 2_000_000, true));
    for (method, status, words) in [
        ("Http404", 404, "not here"),
        ("Reset", 503, "reset reason: remote reset"),
        ("Refuse", 503, "reset reason: remote refused stream reset"),
        ("Hangup", 503, "reset reason: connection termination"),
        ("Never", 504, "upstream request timeout"),
    ] {
        let answer = gateway.ask(request(method, "x"));
        assert_eq!(answer.status(), status, "{method}");
        assert!(answer.text().contains(words), "{method}: {}", answer.text());
    }
    // A client that leaves takes its request along.
    let before = server.seen();
    let mut client = gateway.connect();
    client.send(request("Never", "x"));
    eventually("it is there", || server.seen().calls == before.calls + 1);
    let left = Instant::now();
    drop(client);
    eventually("it is reset", || server.seen().resets > before.resets);
    assert!(left.elapsed() < Duration::from_secs(15));
}
