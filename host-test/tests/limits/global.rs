//! Limits that a service keeps, in a real Envoy: exact under load over two workers, few calls with leases, and answers whatever
//! happens to the service.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup, eventually};
use rate_limit_service::{Call, Clock, Config, Hits, Server, Service, reserve};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// No window ends while a test runs.
const CLOCK: Clock = Clock::Fixed(Duration::from_secs(1_700_000_000));
/// Longest that anybody waits for an answer, with all that a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(8);

/// So many hits in an hour, for each value.
fn service(limit: u32, faults: &Value) -> Server {
    let config = json!({
        "domains": [{"domain": "shop", "descriptors": [{"key": "key", "rate_limit": {"requests_per_unit": limit}}]}],
        "faults": faults});
    let config: Config = serde_json::from_value(config).unwrap();
    Server::start(Service::new(config).unwrap(), CLOCK, 0).unwrap()
}

fn policy(name: &str, global: &Value, limits: &Value) -> Value {
    let mut policy = json!({"name": name, "match": {"path": {"prefix": format!("/{name}")}}, "key": [{"header": "x-key"}],
                            "global": {"descriptor": ["key"]}, "limits": limits});
    for (field, value) in global.as_object().unwrap() {
        policy["global"][field] = value.clone();
    }
    policy
}

fn start(policies: &Value, server: &Server, timeout_ms: u64) -> Option<Envoy> {
    let configuration =
        json!({"service": {"cluster": "service", "domain": "shop", "timeout_ms": timeout_ms}, "policies": policies});
    Envoy::start(&Setup { service: Some(server.address.port()), ..Setup::new(configuration) })
}

fn hits(calls: &[Call]) -> i64 {
    let of = |call: &Call| match &call.hits {
        Hits::All(hits) => *hits,
        Hits::Each(hits) => hits.iter().sum(),
    };
    calls.iter().map(of).sum()
}

/// `each` requests on each of four connections to each worker; how many pass.
fn load(envoy: &Envoy, path: &str, each: usize) -> usize {
    let ask = |mut connection: Connection| {
        let statuses = (0..each).map(|_| connection.ask(path, "one"));
        statuses
            .inspect(|status| assert!([200, 429].contains(status), "{status}"))
            .filter(|status| *status == 200)
            .count()
    };
    let by_worker = envoy.connections(4);
    std::thread::scope(|scope| {
        let threads: Vec<_> = by_worker.into_iter().flatten().map(|c| scope.spawn(move || ask(c))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn strict_admits_what_the_service_says_and_asks_for_each() {
    let server = service(300, &json!([]));
    let Some(envoy) = start(&json!([policy("strict", &json!({"mode": "strict"}), &json!([]))]), &server, 5000) else {
        return;
    };
    assert_eq!(load(&envoy, "/strict", 100), 300);
    assert_eq!(server.calls().len(), 800);
    assert_eq!((envoy.requests("strict", "allowed"), envoy.requests("strict", "limited")), (300, 500));
    assert_eq!(envoy.requests("strict", "error"), 0);
    envoy.assert_calm();
}

#[test]
fn leases_are_never_over_and_ask_rarely() {
    const LIMIT: usize = 2000;
    let server = service(2000, &json!([]));
    let lease = json!({"mode": "lease", "lease": {"units": 50, "lasts_ms": 3_600_000}, "on_error": "closed"});
    let Some(envoy) = start(&json!([policy("lease", &lease, &json!([]))]), &server, 5000) else { return };
    let passed = load(&envoy, "/lease", 400);
    let calls = server.calls().len();
    eprintln!("3200 requests, {passed} of {LIMIT} passed, {calls} calls of the service");
    assert!(passed <= LIMIT, "{passed}");
    // the service counts what it refuses: a lease that was too large, asked for while others asked too, is lost
    assert!(passed >= LIMIT - 2 * 50, "{passed}");
    // one for each fifty would be forty; more while a lease is under way, and with the smaller ones towards the limit
    assert!(calls < 3200 / 5, "{calls}");
    envoy.assert_calm();
}

#[test]
fn one_lease_is_spent_by_both_workers() {
    let server = service(1000, &json!([]));
    let lease = json!({"mode": "lease", "lease": {"units": 40, "lasts_ms": 3_600_000}});
    let Some(envoy) = start(&json!([policy("lease", &lease, &json!([]))]), &server, 5000) else { return };
    let mut connections: Vec<_> = envoy.connections(1).into_iter().flatten().collect();
    for turn in 0..30 {
        assert_eq!(connections[turn % 2].ask("/lease", "one"), 200);
    }
    assert_eq!((server.calls().len(), hits(&server.calls())), (1, 40));
    // a quarter is left: it is filled up behind the next one, and nobody waits for that
    for connection in &mut connections {
        assert_eq!(connection.ask("/lease", "one"), 200);
    }
    eventually("it is filled up", || hits(&server.calls()) == 80);
    assert_eq!(server.calls().len(), 2);
    envoy.assert_calm();
}

#[test]
fn reports_let_nothing_pass_once_the_service_has_said_no() {
    let server = service(100, &json!([]));
    let report = json!({"mode": "report", "report": {"units": 10, "lasts_ms": 3_600_000}});
    let limits = json!([{"units": 100_000, "per_ms": 1000}]);
    let Some(envoy) = start(&json!([policy("report", &report, &limits)]), &server, 5000) else { return };
    let mut connections: Vec<_> = envoy.connections(1).into_iter().flatten().collect();
    let mut ask = |turn: usize| connections[turn % 2].ask("/report", "one");
    let passed = (0..2000).take_while(|turn| ask(*turn) == 200).count();
    // the hundred, ten more that make up the report which is refused, and whatever came meanwhile
    eprintln!("{passed} of 100 passed before the service had said no");
    assert!((110..2000).contains(&passed), "{passed}");
    assert!((0..50).all(|turn| ask(turn) == 429));
    assert_eq!(connections[0].ask("/report", "another"), 200);
    envoy.assert_calm();
}

#[test]
fn a_service_that_dies_under_load_and_comes_back_leaves_nobody_without_an_answer() {
    let mut server = service(1_000_000, &json!([]));
    let policies = json!([
        policy("open", &json!({}), &json!([])),
        policy("closed", &json!({"on_error": "closed"}), &json!([])),
        policy("local", &json!({"on_error": "local"}), &json!([{"units": 20, "per_ms": 4_503_599_627_u64}])),
        policy(
            "lease",
            &json!({"mode": "lease", "on_error": "closed", "lease": {"units": 10, "lasts_ms": 3_600_000}}),
            &json!([])
        )
    ]);
    let Some(envoy) = start(&policies, &server, 500) else { return };
    let (is_over, is_away) = (AtomicBool::new(false), AtomicBool::new(false));
    let load = |mut connection: Connection, name: &'static str, key: String| {
        let (mut asked, mut longest, mut away) = (0, Duration::ZERO, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            let (sent, was_away) = (Instant::now(), is_away.load(Ordering::Relaxed));
            let status = connection.ask(&format!("/{name}"), &key);
            longest = longest.max(sent.elapsed());
            asked += 1;
            let expected: &[u16] = match name {
                "open" => &[200],
                "local" => &[200, 429],
                _ => &[200, 503],
            };
            assert!(expected.contains(&status), "{name}: {status}");
            if was_away && is_away.load(Ordering::Relaxed) {
                away.push(status);
            }
        }
        (name, asked, longest, away)
    };
    let ended = std::thread::scope(|scope| {
        let names = ["open", "closed", "local", "lease"];
        let by_worker = envoy.connections(4);
        let threads: Vec<_> = by_worker
            .into_iter()
            .enumerate()
            .flat_map(|(worker, connections)| connections.into_iter().zip(names).map(move |pair| (worker, pair)))
            .map(|(worker, (connection, name))| {
                let key = if name == "local" { "both".to_owned() } else { worker.to_string() };
                scope.spawn(move || load(connection, name, key))
            })
            .collect();
        let errors = || envoy.requests("closed", "error");
        let allowed = || envoy.requests("closed", "allowed");
        eventually("the service answers", || allowed() > 50);
        server.stop();
        is_away.store(true, Ordering::Relaxed);
        let before = errors();
        eventually("it is missed", || errors() > before + 100 && envoy.requests("local", "limited") > 0);
        is_away.store(false, Ordering::Relaxed);
        server.restart().unwrap();
        let before = allowed();
        eventually("it answers again", || allowed() > before + 50);
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut local = 0;
    for (name, asked, longest, away) in ended {
        let passed = away.iter().filter(|status| **status == 200).count();
        eprintln!(
            "{name}: {asked} requests, the longest took {longest:?}; {passed} of {} without the service",
            away.len()
        );
        assert!(longest < PATIENCE, "{name}: {longest:?}");
        match name {
            "open" => assert_eq!(passed, away.len()),
            "local" => local += passed,
            "closed" => assert_eq!(passed, 0),
            // what is leased is spent
            _ => assert!(passed <= 20, "{passed}"),
        }
    }
    assert!(local <= 20, "own limits decide: {local}");
    let complaints = envoy.log().matches("rate limit service in cluster").count();
    assert!((1..=2).contains(&complaints), "one line for each worker: {}", envoy.log());
    envoy.assert_calm();
}

#[test]
fn a_service_that_is_slow_or_silent_or_not_there_is_not_waited_for() {
    let faults = json!([
        {"value": "silent", "fault": "hang"},
        {"value": "slow", "fault": {"delay_ms": 60_000}},
        {"value": "garbage", "fault": "garbage"},
        {"value": "cut", "fault": "drop"}]);
    let server = service(100, &faults);
    let policies = json!([
        policy("open", &json!({}), &json!([])),
        policy("closed", &json!({"on_error": "closed"}), &json!([])),
        policy("local", &json!({"on_error": "local"}), &json!([{"units": 2, "per_ms": 4_503_599_627_u64}]))
    ]);
    let Some(envoy) = start(&policies, &server, 300) else { return };
    for (path, expected) in [("/open", [200; 4]), ("/closed", [503; 4]), ("/local", [200, 200, 429, 429])] {
        for key in ["silent", "slow", "garbage", "cut"] {
            let sent = Instant::now();
            let mut connections: Vec<_> = expected.iter().map(|_| envoy.connect()).collect();
            connections.iter_mut().for_each(|connection| connection.get(path, &[("x-key", key)]));
            let mut statuses: Vec<u16> =
                connections.iter_mut().map(|connection| connection.response().status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, expected, "{path} {key}");
            assert!(sent.elapsed() < PATIENCE, "{path} {key}: {:?}", sent.elapsed());
            if ["silent", "slow"].contains(&key) {
                assert!(sent.elapsed() >= Duration::from_millis(290), "{path} {key}: {:?}", sent.elapsed());
            }
        }
        assert_eq!(envoy.connect().ask(path, "well"), 200);
    }
    // nobody listens at all
    let (_socket, address) = reserve().unwrap();
    let configuration = json!({"service": {"cluster": "service", "domain": "shop"}, "policies": policies});
    let setup = Setup { service: Some(address.port()), ..Setup::new(configuration) };
    let Some(envoy) = Envoy::start(&setup) else { return };
    for (path, expected) in [("/open", [200; 3]), ("/closed", [503; 3]), ("/local", [200, 200, 429])] {
        let mut connection = envoy.connect();
        assert_eq!([(); 3].map(|()| connection.ask(path, "any")), expected, "{path}");
    }
    envoy.assert_calm();
}

#[test]
fn clients_that_leave_while_the_service_is_asked_leave_nothing_behind() {
    let server = service(100, &json!([{"value": "silent", "fault": "hang"}]));
    let strict = policy("strict", &json!({"on_error": "closed"}), &json!([]));
    let lease = policy("lease", &json!({"mode": "lease", "on_error": "closed"}), &json!([]));
    let places = json!({"name": "places", "limits": [{"concurrent": 8}]});
    let Some(envoy) = start(&json!([places, strict, lease]), &server, 5000) else { return };
    let silent = || server.calls().iter().filter(|call| call.descriptors.concat() == ["key=silent"]).count();
    let idle = || eventually("all requests are over", || envoy.stat("http.limits.downstream_rq_active") == 0);
    for round in 0..3 {
        for path in ["/strict", "/lease"] {
            idle();
            let asked = silent();
            let mut leaving: Vec<Connection> = (0..8).map(|_| envoy.connect()).collect();
            leaving.iter_mut().for_each(|connection| connection.get(path, &[("x-key", "silent")]));
            eventually("the service is asked", || silent() == asked + 8);
            drop(leaving);
            idle();
            // all eight places are free, whatever becomes of the calls
            let mut staying: Vec<Connection> = (0..8).map(|_| envoy.connect()).collect();
            for connection in &mut staying {
                assert_eq!(connection.ask(path, "well"), 200, "{path}, round {round}");
            }
        }
    }
    // the answers that nobody wants come, or their time is over
    eventually("no call is under way", || envoy.stat("cluster.service.upstream_rq_active") == 0);
    assert_eq!(envoy.connect().ask("/strict", "well"), 200);
    envoy.assert_calm();
}
