//! Copies of requests.

use super::support::*;
use std::sync::mpsc::{self, Receiver};

/// Answers 500 and tells what it got.
fn recorder() -> (Upstream, Receiver<Message>) {
    let (sender, received) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let upstream = Upstream::start(move |socket| {
        while let Some(request) = socket.message() {
            sender.lock().unwrap().send(request).ok();
            if !socket.try_send("HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad") {
                return;
            }
        }
    });
    (upstream, received)
}

const BY_HEADER: &str =
    "match: {prefix: /}, route: {cluster: up, request_mirror_policies: [{cluster_header: X-Mirror}]}";

#[test]
fn a_copy_goes_where_the_header_says_and_its_answer_nowhere() {
    let (copy, received) = recorder();
    let gateway = Setup::default()
        .route(BY_HEADER)
        .cluster("up", &[Upstream::echo("up").address])
        .cluster("copy", &[copy.address])
        .probe("a", "")
        .start();
    let script = "rh: add 0 x-mirror copy; replace 0 :path /new";
    let head = format!("POST /old HTTP/1.1\r\nhost: a.test:81\r\nx-probe-a: {script}\r\ncontent-length: 3\r\n\r\n");
    let answer = gateway.ask(head + "abc");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().starts_with("up\nPOST /new "), "{}", answer.text());
    let seen = received.recv_timeout(PATIENCE).unwrap();
    assert!(seen.head.starts_with("POST /new HTTP/1.1"), "{}", seen.head);
    assert_eq!(seen.header("host").as_deref(), Some("a.test-shadow:81"));
    assert_eq!((seen.header("x-envoy-internal").as_deref(), seen.text().as_str()), (Some("true"), "abc"));
    // nothing for a header that is missing, empty or names no cluster
    for headers in [&[][..], &[("x-mirror", "")], &[("x-mirror", "other")]] {
        assert_eq!(gateway.get("/", headers).status(), 200);
    }
    let last = gateway.get("/last", &[("x-mirror", "copy")]);
    assert_eq!(last.status(), 200);
    assert!(received.recv_timeout(PATIENCE).unwrap().head.starts_with("GET /last "));
}

#[test]
fn shares_and_names_come_from_the_route() {
    let (copy, received) = recorder();
    let policy = |share: u32| {
        format!(
            "{{cluster: copy, disable_shadow_host_suffix_append: true, runtime_fraction: {{default_value: {{numerator: {share}}}}}}}"
        )
    };
    let route = |path: &str, policies: &str| {
        format!("match: {{path: {path}}}, route: {{cluster: up, request_mirror_policies: [{policies}]}}")
    };
    let gateway = Setup::default()
        .route(&route("/never", &policy(0)))
        .route(&route("/twice", &format!("{}, {}", policy(100), policy(100))))
        .cluster("up", &[Upstream::echo("up").address])
        .cluster("copy", &[copy.address])
        .start();
    assert_eq!(gateway.get("/never", &[]).status(), 200);
    assert_eq!(gateway.get("/twice", &[]).status(), 200);
    for _ in 0..2 {
        let seen = received.recv_timeout(PATIENCE).unwrap();
        assert!(seen.head.starts_with("GET /twice "), "{}", seen.head);
        assert!(!seen.header("host").unwrap().contains("shadow"));
    }
}

#[test]
fn a_mirror_that_is_down_or_does_not_read_holds_nobody_up() {
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let deaf = Upstream::start(move |_| {
        let _ = held.lock().unwrap().recv();
    });
    let gateway = Setup::default()
        .route(BY_HEADER)
        .cluster("up", &[Upstream::echo("up").address])
        .cluster("deaf", &[deaf.address])
        .cluster("dead", &[nobody()])
        .start();
    let body = "x".repeat(16 * 1024 * 1024);
    for mirror in ["dead", "deaf"] {
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\nx-mirror: {mirror}\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = gateway.ask(head + &body);
        assert_eq!((answer.status(), answer.text().ends_with(&body)), (200, true), "{mirror}");
    }
    drop(hold);
}
