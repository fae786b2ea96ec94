//! Requests that are tried again, as on Envoy 1.40.

use super::support::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What an upstream does with a request.
#[derive(Clone, Copy)]
enum Act {
    Status(u16),
    Close,
    /// Nothing, until the other side has gone.
    Hang,
    /// Answers 503 when it has seen the head.
    Early,
}
use Act::{Close, Early, Hang, Status};

type Seen = Arc<Mutex<Vec<Message>>>;

/// Does one thing after the other, then answers 200; tells what it got.
fn script(acts: &[Act]) -> (Upstream, Seen) {
    let (acts, seen) = (Mutex::new(VecDeque::from(acts.to_vec())), Seen::default());
    let record = seen.clone();
    let upstream = Upstream::start(move |socket| {
        while let Some(head) = socket.head() {
            let act = acts.lock().unwrap().pop_front().unwrap_or(Status(200));
            if matches!(act, Early) {
                record.lock().unwrap().push(Message { head, body: Vec::new(), complete: false });
                socket.send("HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                return;
            }
            let request = socket.rest(head);
            record.lock().unwrap().push(request);
            match act {
                Status(status) => {
                    let body = format!("answer {status}");
                    socket.send(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
                }
                Hang => drop(socket.head()),
                Close | Early => return,
            }
        }
    });
    (upstream, seen)
}

fn setup(upstream: &Upstream, route: &str) -> Setup {
    Setup {
        host: "              include_request_attempt_count: true\n".into(),
        ..Setup::default()
            .route(&format!("match: {{prefix: /}}, route: {{cluster: up, {route}}}"))
            .cluster("up", &[upstream.address])
            .probe("a", "")
    }
}

fn policy(on: &str) -> String {
    format!("retry_policy: {{retry_on: '{on}', num_retries: 2, retry_back_off: {{base_interval: 0.001s}}}}")
}

fn counts(seen: &Seen) -> Vec<Option<String>> {
    seen.lock().unwrap().iter().map(|request| request.header("x-envoy-attempt-count")).collect()
}

#[test]
fn answers_and_failures_are_tried_again_as_the_policy_says() {
    for (on, acts, status, attempts) in [
        ("5xx", &[Status(503), Close][..], 200, 3),
        ("5xx", &[Status(500), Status(500), Status(501), Status(200)], 501, 3),
        ("gateway-error", &[Status(500)], 500, 1),
        ("gateway-error,retriable-4xx", &[Status(409), Status(502)], 200, 3),
        ("connect-failure,reset-before-request,refused-stream", &[Close], 503, 1),
        ("reset", &[Close, Status(503)], 503, 2),
    ] {
        let (upstream, seen) = script(acts);
        let gateway = setup(&upstream, &policy(on)).start();
        let answer = gateway.get("/x", &[]);
        assert_eq!((answer.status(), seen.lock().unwrap().len()), (status, attempts), "{on}");
        let told: Vec<_> = (1..=attempts).map(|attempt| Some(attempt.to_string())).collect();
        assert_eq!(counts(&seen), told, "{on}");
    }
}

#[test]
fn the_end_of_all_attempts_is_told_and_counted() {
    let (upstream, _) = script(&[Close; 3]);
    let gateway = setup(&upstream, &policy("reset")).cluster("down", &[nobody()]).start();
    let answer = gateway.get("/", &[]);
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (
            503,
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination"
        )
    );
    let stat = |name: &str| gateway.stat(&format!("cluster.up.{name}")).unwrap_or(0);
    assert_eq!((stat("upstream_rq_total"), stat("upstream_rq_retry")), (3, 2));
    assert_eq!((stat("upstream_rq_retry_limit_exceeded"), stat("upstream_rq_503")), (1, 1));
    let (upstream, _) = script(&[Status(503), Close]);
    let gateway = setup(&upstream, &policy("5xx")).start();
    assert_eq!(gateway.get("/", &[]).status(), 200);
    let stat = |name: &str| gateway.stat(&format!("cluster.up.{name}")).unwrap_or(0);
    assert_eq!((stat("upstream_rq_completed"), stat("retry.upstream_rq_503"), stat("upstream_rq_503")), (1, 1, 0));
    assert_eq!((stat("upstream_rq_retry_success"), stat("upstream_rq_200")), (1, 1));
}

#[test]
fn another_attempt_goes_to_the_next_endpoint() {
    let (upstream, seen) = script(&[]);
    let gateway = Setup::default()
        .route(&format!("match: {{prefix: /}}, route: {{cluster: up, {}}}", policy("connect-failure")))
        .cluster("up", &[nobody(), upstream.address])
        .start();
    for _ in 0..4 {
        assert_eq!(gateway.get("/", &[]).status(), 200);
    }
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[test]
fn headers_that_filters_set_say_what_is_tried_again_and_go_no_further() {
    let (upstream, seen) = script(&[Status(503), Status(503)]);
    let gateway = setup(&upstream, "timeout: 9s").start();
    let script = "rh: add 0 x-envoy-retry-on 5xx; add 0 x-envoy-max-retries 2; add 0 x-envoy-upstream-rq-timeout-ms 5000; add 0 x-envoy-upstream-rq-per-try-timeout-ms 4000; add 0 x-envoy-retry-grpc-on internal";
    assert_eq!(gateway.get("/", &[("x-probe-a", script)]).status(), 200);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for request in seen.iter() {
        let names = request.head.lines().skip(1).filter_map(|line| line.split(": ").next());
        let names: Vec<_> = names.filter(|name| name.starts_with("x-envoy-")).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(request.header("x-envoy-expected-rq-timeout-ms").as_deref(), Some("4000"));
    }
}

#[test]
fn each_attempt_has_its_time_and_all_together_theirs() {
    let each =
        "retry_policy: {retry_on: 5xx, num_retries: 2, per_try_timeout: 0.2s, retry_back_off: {base_interval: 0.001s}}";
    let (upstream, seen) = script(&[Hang, Hang]);
    let gateway = setup(&upstream, each).start();
    assert_eq!(gateway.get("/", &[]).status(), 200);
    assert_eq!(counts(&seen).len(), 3);
    assert_eq!(gateway.stat("cluster.up.upstream_rq_per_try_timeout"), Some(2));

    let (upstream, seen) = script(&[Hang; 9]);
    let gateway = setup(&upstream, each).start();
    let answer = gateway.get("/", &[]);
    assert_eq!((answer.status(), answer.text().as_str(), counts(&seen).len()), (504, "upstream request timeout", 3));

    let (upstream, seen) = script(&[Hang; 9]);
    let gateway =
        setup(&upstream, &format!("{}, timeout: 0.3s", each.replace("num_retries: 2", "num_retries: 9"))).start();
    let begin = Instant::now();
    let answer = gateway.get("/", &[]);
    assert_eq!((answer.status(), answer.text().as_str(), counts(&seen).len()), (504, "upstream request timeout", 2));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let expected = seen.lock().unwrap()[1].header("x-envoy-expected-rq-timeout-ms").unwrap();
    assert!(expected.parse::<u64>().unwrap() <= 100, "{expected}");
}

#[test]
fn bodies_go_out_again_as_far_as_they_are_kept() {
    let (upstream, seen) = script(&[Status(503), Close]);
    let mut setup = setup(&upstream, &policy("5xx"));
    setup.listener = "    per_connection_buffer_limit_bytes: 4096\n".into();
    let gateway = setup.start();
    let post = |body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(gateway.ask(post("some body")).status(), 200);
    assert_eq!(seen.lock().unwrap().iter().map(Message::text).collect::<Vec<_>>(), ["some body"; 3]);

    let (upstream, seen) = script(&[Status(503)]);
    let mut setup = self::setup(&upstream, &policy("5xx"));
    setup.listener = "    per_connection_buffer_limit_bytes: 4096\n".into();
    let gateway = setup.start();
    assert_eq!(gateway.ask(post(&"x".repeat(5000))).status(), 503);
    assert_eq!((seen.lock().unwrap().len(), gateway.stat("cluster.up.retry_or_shadow_abandoned")), (1, Some(1)));
}

#[test]
fn a_request_that_is_not_complete_is_tried_again_with_what_came_so_far() {
    let (upstream, seen) = script(&[Early]);
    let gateway = setup(&upstream, &policy("5xx")).start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    eventually("a second attempt", || gateway.stat("cluster.up.upstream_rq_total") == Some(2));
    client.send("world");
    assert_eq!(client.response().status(), 200);
    assert_eq!(seen.lock().unwrap().iter().map(Message::text).collect::<Vec<_>>(), ["", "helloworld"]);
}
