//! Clients that leave and upstreams that break off, in a real Envoy: what is settled, and what becomes free.

use crate::envoy::{Envoy, Setup, eventually};
use crate::upstream::Upstream;
use serde_json::json;

const LONG: u64 = 4_503_599_627;

fn start(policies: &serde_json::Value) -> Option<(Envoy, Upstream)> {
    let upstream = Upstream::start();
    let setup = Setup { upstream: Some(upstream.port), ..Setup::new(json!({"policies": policies})) };
    Some((Envoy::start(&setup)?, upstream))
}

/// Sends a request and leaves: when the upstream has it, or in the middle of the response.
fn leave(envoy: &Envoy, upstream: &Upstream, request: &str, in_response: bool) {
    let (arrived, abandoned) = upstream.seen();
    let mut connection = envoy.connect();
    connection.send(request);
    eventually("the upstream has the request", || upstream.seen().0 > arrived);
    if in_response {
        assert_eq!(connection.head().unwrap().status, 200);
    }
    drop(connection);
    eventually("the upstream sees the end", || upstream.seen().1 > abandoned);
    eventually("the request is over", || envoy.stat("http.limits.downstream_rq_active") == 0);
}

#[test]
fn what_was_taken_is_kept_or_given_back_by_how_an_exchange_ends() {
    let modes = ["keep", "refund", "refund_on_error"];
    let policies = modes.map(|mode| {
        json!({"name": mode, "match": {"path": {"prefix": format!("/{mode}")}}, "limits": [{"units": 100, "per_ms": LONG}],
               "cost": {"constant": 10}, "settle": {"header": "x-cost", "missing": mode}})
    });
    let Some((envoy, upstream)) = start(&json!(policies)) else { return };
    // what is left with each of the modes
    let cases = [
        ("hang", [90, 100, 100]),
        ("status 500", [80, 100, 100]),
        ("reset", [70, 100, 100]),
        ("status 200", [60, 100, 90]),
        ("half", [50, 100, 80]),
    ];
    for (what, left) in cases {
        for (mode, left) in modes.into_iter().zip(left) {
            match what {
                "hang" | "half" => {
                    let request = format!("GET /{mode} HTTP/1.1\r\nhost: a\r\nx-do: {what}\r\n\r\n");
                    leave(&envoy, &upstream, &request, what == "half");
                }
                _ => drop(envoy.connect().ask_with(&format!("/{mode}"), &[("x-do", what)])),
            }
            // one that turns out to be free, on top of the ten that it takes at first
            let probe = || envoy.connect().ask_with(&format!("/{mode}"), &[("x-do", "cost 0")]).left() + 10;
            eventually(&format!("{mode}, {what}: {left} left, found {}", probe()), || probe() == left);
        }
    }
    envoy.assert_calm();
}

#[test]
fn places_become_free_however_an_exchange_ends() {
    let limits = json!([{"name": "p", "key": [{"header": "x-key"}], "limits": [{"concurrent": 2}]}]);
    let Some((envoy, _upstream)) = start(&limits) else { return };
    let get = |what: &str| format!("GET / HTTP/1.1\r\nhost: a\r\nx-key: a\r\nx-do: {what}\r\n\r\n");
    for what in ["hang", "half", "hang", "half"] {
        // one place is taken all the time, the other one again and again
        let mut first = envoy.connect();
        first.send(&get("hang"));
        eventually("the first one is in flight", || envoy.stat("cluster.upstream.upstream_rq_active") == 1);
        for _ in 0..3 {
            let mut second = envoy.connect();
            second.send(&get(what));
            eventually("the second one is in flight", || envoy.stat("cluster.upstream.upstream_rq_active") == 2);
            if what == "half" {
                assert_eq!(second.head().unwrap().status, 200);
            }
            assert_eq!(envoy.connect().ask("/", "a"), 429, "{what}");
            drop(second);
            eventually("the second one is over", || envoy.stat("http.limits.downstream_rq_active") == 1);
        }
        drop(first);
        eventually("the first one is over", || envoy.stat("http.limits.downstream_rq_active") == 0);
    }
    // an upstream that breaks off, and one that answers, leave nothing behind either
    for what in ["reset", "status 500", "status 200"].into_iter().cycle().take(12) {
        let status = envoy.connect().ask_with("/", &[("x-key", "a"), ("x-do", what)]).status;
        assert_ne!(status, 429, "{what}");
    }
    envoy.assert_calm();
}

#[test]
fn a_body_costs_the_bytes_that_came() {
    let limits = json!([{"name": "p", "limits": [{"units": 1_000_000, "per_ms": LONG}], "cost": {"body_bytes": {}}}]);
    let Some((envoy, upstream)) = start(&limits) else { return };
    let left_is = |left: u64| {
        let probe = || envoy.connect().ask_with("/", &[]).left();
        eventually(&format!("{left} left, found {}", probe()), || probe() == left);
    };
    let chunked = |what: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nhost: a\r\nx-do: {what}\r\ntransfer-encoding: chunked\r\n\r\n{body}")
    };
    let mut connection = envoy.connect();
    connection.send(&chunked("", "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"));
    assert_eq!(connection.response().status, 200);
    left_is(1_000_000 - 8);
    // the client leaves in the middle of its body
    let piece = format!("3e8\r\n{}\r\n", "a".repeat(1000));
    leave(&envoy, &upstream, &chunked("hang", &piece), false);
    let probe = envoy.connect().ask_with("/", &[]).left();
    eprintln!("{} of the thousand bytes were counted", 1_000_000 - 8 - probe);
    left_is(1_000_000 - 1008);
    // a body whose length is stated costs that, whatever comes
    leave(&envoy, &upstream, "POST / HTTP/1.1\r\nhost: a\r\nx-do: hang\r\ncontent-length: 500\r\n\r\nfive!", false);
    left_is(1_000_000 - 1508);
    envoy.assert_calm();
}
