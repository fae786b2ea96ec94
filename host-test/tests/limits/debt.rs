//! Costs that are known when the response tells them, in a real Envoy: reservations, debts, refunds.

use crate::envoy::{Envoy, Setup, eventually};
use crate::upstream::Upstream;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// 52 days: a bucket brings nothing while a test runs.
const LONG: u64 = 4_503_599_627;

fn configuration(limit: &Value) -> Value {
    json!({"policies": [{"name": "p", "key": [{"header": "x-key"}], "limits": [limit],
        "cost": {"header": {"name": "x-estimate"}}, "settle": {"header": "x-cost", "remove": true}}]})
}

fn start(limit: &Value) -> Option<(Envoy, Upstream)> {
    let upstream = Upstream::start();
    let setup = Setup { upstream: Some(upstream.port), ..Setup::new(configuration(limit)) };
    Some((Envoy::start(&setup)?, upstream))
}

#[test]
fn a_debt_is_waited_for_and_no_longer() {
    // two in a second, ten at once
    let Some((envoy, _upstream)) = start(&json!({"units": 10, "per_ms": 5000})) else { return };
    let mut connections: Vec<_> = envoy.connections(1).into_iter().flatten().collect();
    let sent = Instant::now();
    let response = connections[0].ask_with("/", &[("x-key", "a"), ("x-do", "cost 14")]);
    let received = Instant::now();
    assert_eq!((response.status, response.field("x-cost")), (200, None));
    // the four that are missing, and the one that the next request costs
    let wait = Duration::from_millis(2500);
    let mut refused = 0;
    for turn in 1.. {
        let sent_next = Instant::now();
        match connections[turn % 2].ask("/", "a") {
            200 => break,
            status => assert_eq!(status, 429),
        }
        refused += 1;
        assert!(sent_next <= received + wait, "refused {:?} after a debt of {wait:?}", sent_next - received);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Instant::now() >= sent + wait, "passed {:?} after a debt of {wait:?}", sent.elapsed());
    assert!(refused > 0);
    envoy.assert_calm();
}

#[test]
fn requests_at_once_do_not_pass_on_one_reservation() {
    let Some((envoy, upstream)) = start(&json!({"units": 20, "per_ms": LONG})) else { return };
    let mut connections: Vec<_> = envoy.connections(4).into_iter().flatten().collect();
    let headers = [("x-key", "a"), ("x-estimate", "5"), ("x-do", "gate 1")];
    connections.iter_mut().for_each(|connection| connection.get("/", &headers));
    // four times five; the other four are refused while those are under way
    eventually("four are refused", || envoy.requests("p", "limited") == 4);
    eventually("four are under way", || upstream.seen().0 == 4);
    upstream.open_gate();
    let mut statuses: Vec<u16> = connections.iter_mut().map(|connection| connection.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429, 429, 429]);
    // they cost four in all: sixteen are left, and the last reservation of five that fits leaves four
    let passed = (0..20).filter(|turn| connections[turn % 8].ask_with("/", &headers).status == 200).count();
    assert_eq!(passed, 12);
    envoy.assert_calm();
}

#[test]
fn two_workers_that_settle_at_once_lose_nothing() {
    const ROUNDS: usize = 200;
    let Some((envoy, _upstream)) = start(&json!({"units": 10_000, "per_ms": LONG})) else { return };
    let step = Barrier::new(2);
    let costs = ["3", "12"];
    std::thread::scope(|scope| {
        for (mut connection, cost) in envoy.connections(1).into_iter().flatten().zip(costs) {
            let step = &step;
            scope.spawn(move || {
                let what = format!("cost {cost}");
                for _ in 0..ROUNDS {
                    step.wait();
                    let response = connection.ask_with("/", &[("x-key", "a"), ("x-estimate", "8"), ("x-do", &what)]);
                    assert_eq!(response.status, 200);
                }
            });
        }
    });
    // one that states that it was free sees what the others have cost
    let response = envoy.connect().ask_with("/", &[("x-key", "a"), ("x-estimate", "0"), ("x-do", "cost 0")]);
    assert_eq!(response.left(), 10_000 - (3 + 12) * ROUNDS as u64);
    envoy.assert_calm();
}
