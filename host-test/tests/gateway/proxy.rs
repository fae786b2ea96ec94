//! Plain proxying: heads, bodies, connections, upstreams that fail.

use super::support::*;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

#[test]
fn the_upstream_gets_the_request_as_from_envoy() {
    let upstream = Upstream::echo("up");
    let gateway = Setup::to(&upstream).start();
    let answer =
        gateway.get("/x?a=b", &[("X-B", " v "), ("Connection", "x-q"), ("x-q", "1"), ("x-envoy-internal", "true")]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("server").as_deref(), Some("envoy"));
    assert!(answer.header("x-envoy-upstream-service-time").is_some() && answer.header("date").is_some());
    let text = answer.text();
    let mut lines: Vec<_> = text.lines().collect();
    let id = lines.iter().position(|line| line.starts_with("x-request-id: ")).unwrap();
    assert_eq!(lines.remove(id).len(), "x-request-id: d881ff84-dcc8-44e3-b3f2-a6bb78715990".len());
    assert_eq!(
        lines,
        [
            "up",
            "GET /x?a=b HTTP/1.1",
            "host: a.test",
            "x-b: v",
            "x-forwarded-proto: http",
            "x-envoy-expected-rq-timeout-ms: 15000"
        ]
    );
}

#[test]
fn routes_lead_to_clusters_answers_or_envoys_errors() {
    let (one, two) = (Upstream::echo("one"), Upstream::echo("two"));
    let setup = Setup::default()
        .route("match: {prefix: /, headers: [{name: x-to, present_match: true}]}, route: {cluster_header: x-to}")
        .route("match: {path: /teapot}, direct_response: {status: 418, body: {inline_string: short and stout}}")
        .route("match: {prefix: /re/}, route: {cluster: one, prefix_rewrite: /, host_rewrite_literal: new.test}")
        .route("match: {prefix: /dead}, route: {cluster: dead}")
        .route("match: {prefix: /none}, route: {cluster: none}")
        .route("match: {prefix: /both}, route: {cluster: both}")
        .cluster("one", &[one.address])
        .cluster("two", &[two.address])
        .cluster("both", &[one.address, two.address])
        .cluster("dead", &[nobody()])
        .cluster("none", &[]);
    let gateway = Gateway::start(&setup.yaml(), |options| options.concurrency = 1);
    assert!(gateway.get("/", &[("x-to", "two")]).text().starts_with("two\n"));
    let rewritten = gateway.get("/re/a?q", &[]).text();
    for line in
        ["GET /a?q HTTP/1.1", "host: new.test", "x-envoy-original-path: /re/a?q", "x-envoy-original-host: a.test"]
    {
        assert!(rewritten.lines().any(|found| found == line), "{line} in {rewritten}");
    }
    let refused = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
    for (path, headers, status, body) in [
        ("/", &[("x-to", "three")][..], 503, ""),
        ("/nowhere", &[], 404, ""),
        ("/teapot", &[], 418, "short and stout"),
        ("/dead", &[], 503, refused),
        ("/none", &[], 503, "no healthy upstream"),
    ] {
        let answer = gateway.get(path, headers);
        assert_eq!((answer.status(), answer.text().as_str()), (status, body), "{path}");
        let kind = answer.header("content-type");
        assert_eq!(kind.as_deref(), (!body.is_empty()).then_some("text/plain"), "{path}");
    }
    let turns: Vec<_> = (0..4).map(|_| gateway.get("/both", &[]).text()[..3].to_owned()).collect();
    assert_eq!(turns, ["one", "two", "one", "two"]);
}

#[test]
fn host_names_are_resolved() {
    let upstream = Upstream::echo("up");
    let yaml = Setup {
        cluster_lines: "    type: STRICT_DNS\n    dns_lookup_family: V4_ONLY\n".into(),
        ..Setup::to(&upstream)
    }
    .yaml()
    .replace("address: '127.0.0.1'", "address: localhost");
    let gateway = Gateway::start(&yaml, |_| {});
    assert!(gateway.get("/", &[]).text().starts_with("up\n"));
}

#[test]
fn bodies_stream_both_ways_before_either_ends() {
    let upstream = Upstream::start(|socket| {
        let Some(_) = socket.head() else { return };
        let first = socket.chunk().unwrap();
        socket.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        socket.send(format!("{:x}\r\ngot {}\r\n", first.len() + 4, String::from_utf8_lossy(&first)));
        while let Some(chunk) = socket.chunk() {
            let text = String::from_utf8_lossy(&chunk);
            if chunk.is_empty() {
                return socket.send("3\r\nend\r\n0\r\n\r\n");
            }
            socket.send(format!("{:x}\r\ngot {text}\r\n", chunk.len() + 4));
        }
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    // The request has not ended, and its answer is here.
    assert!(client.head().unwrap().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(client.chunk().unwrap(), b"got a");
    client.send("2\r\nbc\r\n");
    assert_eq!(client.chunk().unwrap(), b"got bc");
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"end");
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn large_bodies_arrive_whole() {
    const SIZE: usize = 12 * 1024 * 1024;
    let pattern = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) as u8;
    let upstream = Upstream::start(|socket| {
        let Some(head) = socket.head() else { return };
        let request = socket.rest(head);
        socket.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len()));
        socket.send(&request.body);
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let body: Vec<u8> = (0..SIZE).map(pattern).collect();
    for framing in [format!("content-length: {SIZE}"), "transfer-encoding: chunked".to_owned()] {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n"));
        if framing.starts_with("content") {
            client.send(&body);
        } else {
            for chunk in body.chunks(100_000) {
                client.send(format!("{:x}\r\n", chunk.len()));
                client.send(chunk);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
        }
        let answer = client.response();
        assert!(answer.complete && answer.body == body, "{framing}: {} bytes", answer.body.len());
    }
}

#[test]
fn a_slow_reader_holds_the_writer_back() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let upstream = Upstream::start(move |socket| {
        let Some(_) = socket.head() else { return };
        // Reads nothing of the body until it may.
        let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        while socket.chunk().is_some_and(|chunk| !chunk.is_empty()) {}
        socket.try_send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.stream().set_nonblocking(true).unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
    let (mut sent, mut idle, mut rest) = (0, 0, Vec::new());
    // Until nothing has gone out for a second: the kernel's buffers and the gateway's are full.
    while idle < 100 {
        if rest.is_empty() {
            rest.clone_from(&chunk);
        }
        match client.stream().write(&rest) {
            Ok(count) => {
                rest.drain(..count);
                sent += count;
                idle = 0;
                assert!(sent < 64 * 1024 * 1024, "the gateway takes everything in");
            }
            Err(_) => {
                idle += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
    client.stream().set_nonblocking(false).unwrap();
    release.send(()).unwrap();
    client.send(&rest);
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn connections_are_kept_and_pipelined_requests_answered_in_order() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let upstream = Upstream::start(move |socket| {
        counted.fetch_add(1, Ordering::SeqCst);
        while let Some(request) = socket.message() {
            let path = request.head.split(' ').nth(1).unwrap().to_owned();
            socket.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len()));
        }
    });
    let gateway = Setup::to(&upstream).start();
    let mut client = gateway.connect();
    client.send((0..5).map(|i| get(&format!("/p{i}"), &[])).collect::<String>());
    for i in 0..5 {
        assert_eq!(client.response().text(), format!("/p{i}"));
    }
    for i in 0..5 {
        client.send(get(&format!("/k{i}"), &[]));
        assert_eq!(client.response().text(), format!("/k{i}"));
    }
    assert!(connections.load(Ordering::SeqCst) <= 2, "{connections:?} connections for requests one after the other");
    assert_eq!(gateway.stat("http.ingress.downstream_rq_2xx"), Some(10));
    assert_eq!(gateway.stat("cluster.up.upstream_rq_200"), Some(10));
}

#[test]
fn an_upstream_that_closes_between_requests_is_asked_on_a_new_connection() {
    let upstream = Upstream::start(|socket| {
        if socket.message().is_some() {
            socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::to(&upstream).start();
    for _ in 0..20 {
        assert_eq!(gateway.get("/", &[]).text(), "ok");
        eventually("the closed connection is noticed", || gateway.stat("cluster.up.upstream_cx_active") == Some(0));
    }
}

#[test]
fn upstreams_that_fail_are_answered_in_envoys_words() {
    let upstream = Upstream::start(|socket| {
        let Some(request) = socket.message() else { return };
        let path = request.head.split(' ').nth(1).unwrap().to_owned();
        match path.as_str() {
            "/close" => {}
            "/garbage" => socket.send("garbage\r\n\r\n"),
            "/half-head" => socket.send("HTTP/1.1 200 OK\r\nx: "),
            "/switch" => socket.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
            "/huge" => drop(socket.try_send(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(70_000)))),
            "/slow" => drop(socket.head()),
            "/mid" => socket.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
            "/mid-chunked" => socket.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            "/no-framing" => socket.send("HTTP/1.1 200 OK\r\n\r\nabc"),
            "/early" => {
                socket.send("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
            }
            other => panic!("{other}"),
        }
    });
    let setup = Setup::default()
        .route("match: {path: /slow}, route: {cluster: up, timeout: 0.2s}")
        .route("match: {prefix: /}, route: {cluster: up}")
        .cluster("up", &[upstream.address]);
    let gateway = setup.start();
    let words =
        |reason: &str| format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}");
    for (path, status, body) in [
        ("/close", 503, words("connection termination")),
        ("/half-head", 503, words("connection termination")),
        ("/garbage", 502, words("protocol error")),
        ("/switch", 502, words("protocol error")),
        ("/huge", 502, words("protocol error")),
        ("/slow", 504, "upstream request timeout".to_owned()),
        ("/no-framing", 200, "abc".to_owned()),
        ("/early", 200, "x".to_owned()),
    ] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status(), answer.text()), (status, body), "{path}");
        assert!(answer.complete, "{path}");
    }
    for path in ["/mid", "/mid-chunked"] {
        let answer = gateway.get(path, &[]);
        assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "abc", false), "{path}");
    }
    assert_eq!(gateway.stat("cluster.up.upstream_rq_timeout"), Some(1));
    assert_eq!(gateway.stat("http.ingress.downstream_rq_active"), Some(0));
}

#[test]
fn silence_ends_a_stream() {
    let upstream = Upstream::start(|socket| drop(socket.message().and_then(|_| socket.message())));
    let setup = Setup { manager: "          stream_idle_timeout: 0.2s\n".into(), ..Setup::to(&upstream) };
    let gateway = setup.start();
    let answer = gateway.get("/", &[]);
    assert_eq!((answer.status(), answer.text().as_str()), (504, "stream timeout"));
    let answer = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab");
    assert_eq!((answer.status(), answer.text().as_str()), (408, "stream timeout"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
}

#[test]
fn a_client_that_leaves_ends_the_upstream_request_too() {
    let (gone, noticed) = mpsc::channel();
    let (head_came, arrived) = mpsc::channel();
    let (gone, head_came) = (Mutex::new(gone), Mutex::new(head_came));
    let upstream = Upstream::start(move |socket| {
        let Some(head) = socket.head() else { return };
        head_came.lock().unwrap().send(()).unwrap();
        if head.contains("/body") {
            socket.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
        }
        gone.lock().unwrap().send(socket.ended()).unwrap();
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    for path in ["/head", "/body"] {
        let mut client = gateway.connect();
        client.send(get(path, &[]));
        // a client that leaves before that leaves no request to end
        arrived.recv_timeout(PATIENCE).unwrap();
        if path == "/body" {
            client.head().unwrap();
            client.chunk().unwrap();
        }
        drop(client);
        assert!(noticed.recv_timeout(PATIENCE).unwrap(), "{path}");
        eventually("the stream is gone", || gateway.stat("http.ingress.downstream_rq_active") == Some(0));
    }
    assert_eq!(gateway.stat("http.ingress.downstream_rq_rx_reset"), Some(2));
}

#[test]
fn heads_without_bodies_stay_without() {
    let upstream = Upstream::start(|socket| {
        while let Some(request) = socket.message() {
            let path = request.head.split(' ').nth(1).unwrap().to_owned();
            socket.send(match path.as_str() {
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            });
        }
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let mut client = gateway.connect();
    for (method, path, status, length) in
        [("GET", "/204", 204, None), ("GET", "/304", 304, None), ("HEAD", "/", 200, Some("5"))]
    {
        client.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let head = client.head().unwrap();
        let answer = Message { head, body: Vec::new(), complete: true };
        assert_eq!((answer.status(), answer.header("content-length").as_deref()), (status, length), "{path}");
        assert_eq!(answer.header("transfer-encoding"), None, "{path}");
    }
}

#[test]
fn continue_is_said_and_the_expectation_not_passed_on() {
    let upstream = Upstream::echo("up");
    let gateway = Setup::to(&upstream).start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.head().unwrap(), "HTTP/1.1 100 Continue");
    client.send("abc");
    let answer = client.response().text();
    assert!(answer.ends_with("\nabc") && !answer.contains("expect:"), "{answer}");
}

#[test]
fn an_answer_before_the_request_is_complete_reaches_the_client_and_closes_the_connection() {
    let gateway = Setup::default().route("match: {prefix: /}, direct_response: {status: 404}").start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300\r\n\r\nabc");
    let answer = client.response();
    assert_eq!((answer.status(), answer.header("connection").as_deref()), (404, Some("close")));
    assert!(client.ended());
    let mut client = gateway.connect();
    let body = "x".repeat(500_000);
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.response().status(), 404);
}

#[test]
fn trailers_are_dropped() {
    let upstream = Upstream::start(|socket| {
        let Some(head) = socket.head() else { return };
        let request = socket.rest(head);
        socket.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        socket.send(format!("{:x}\r\n{}\r\n0\r\nx-t: 1\r\n\r\n", request.body.len(), request.text()));
    });
    let gateway = Setup::to(&upstream).probe("a", "").start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
    client.head().unwrap();
    assert_eq!(client.chunk().unwrap(), b"abc");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
}
