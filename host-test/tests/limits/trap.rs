//! VMs that die in the middle of a request: the state is the host's, and the next VM goes on with it.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup, eventually};
use crate::support::{get, guest_path, host, lines, plugin};
use crate::upstream::Upstream;
use host_test::{Attributes, Module, PluginConfig, Worker};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const LONG: u64 = 4_503_599_627;

fn configuration() -> Value {
    let policy = |name: &str, limit: Value| {
        json!({"name": name, "match": {"path": {"prefix": format!("/{name}")}}, "key": [{"header": "x-key"}],
               "limits": [limit], "settle": {"header": "x-cost"}})
    };
    json!({"policies": [
        policy("bucket", json!({"units": 5, "per_ms": LONG})),
        policy("window", json!({"units": 5, "window": {"first_use_ms": LONG}})),
        policy("places", json!({"concurrent": 1, "lease_ms": 1000}))]})
}

/// Asks until the worker has a VM again.
fn ask_again(connection: &mut Connection, path: &str, key: &str) -> u16 {
    let mut status = 503;
    for _ in 0..500 {
        status = connection.ask(path, key);
        if status != 503 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    status
}

#[test]
fn limits_stay_exhausted_when_a_vm_has_died() {
    let upstream = Upstream::start();
    let module = guest_path("limit-trap");
    let setup = Setup { module, upstream: Some(upstream.port), ..Setup::new(configuration()) };
    let Some(envoy) = Envoy::start(&setup) else { return };
    let mut workers: Vec<Connection> = envoy.connections(1).into_iter().flatten().collect();
    for path in ["/bucket", "/window"] {
        for turn in 0..5 {
            assert_eq!(workers[turn % 2].ask(path, "spent"), 200);
        }
        assert_eq!(workers[0].ask_with(path, &[("x-key", "owes"), ("x-do", "cost 9")]).status, 200);
        // four are left
        assert_eq!(workers[0].ask(path, "some"), 200);
    }
    for worker in 0..2 {
        for when in ["before", "after"] {
            let died = workers[worker].ask_with("/bucket", &[("x-key", "some"), ("x-trap", when)]);
            assert_eq!(died.status, 503, "worker {worker}, {when}");
            for path in ["/bucket", "/window"] {
                for key in ["spent", "owes"] {
                    assert_eq!(
                        ask_again(&mut workers[worker], path, key),
                        429,
                        "worker {worker}, {when}: {path} {key}"
                    );
                    assert_eq!(workers[1 - worker].ask(path, key), 429, "the other worker, {when}: {path} {key}");
                }
            }
        }
    }
    assert_eq!(envoy.stat("wasm.rate-limit.vm_reload_success"), 4, "each trap took a VM, and another one came");
    assert_eq!(envoy.log().matches("Uncaught RuntimeError: unreachable").count(), 4, "{}", envoy.log());
    // the two requests behind whose decision a VM died have taken their units
    let passed = (0..5).filter(|turn| workers[turn % 2].ask("/bucket", "some") == 200).count();
    assert_eq!(passed, 2);

    // nobody has seen the end of this one: its place becomes free with its lease
    assert_eq!(workers[0].ask_with("/places", &[("x-key", "a"), ("x-trap", "after")]).status, 503);
    eventually("the lease ends", || envoy.connect().ask("/places", "a") == 200);
    assert_eq!(envoy.connect().ask("/places", "a"), 200);
}

fn status(worker: &mut Worker, headers: &[(&str, &str)]) -> String {
    let id = worker.open(Attributes::default());
    let mut request = get(headers);
    request.replace(":path", "/bucket");
    let effects = lines(&worker.request_headers(id, request, true));
    worker.close(id);
    let status = effects[0].split(":status: ").nth(1).map_or("200", |rest| &rest[..3]);
    status.to_owned()
}

#[test]
fn limits_stay_exhausted_when_a_vm_has_died_in_our_host() {
    let module = Module::load(&std::fs::read(guest_path("limit-trap")).unwrap()).unwrap();
    let mut trapping: PluginConfig = plugin("rate-limit", Arc::new(module));
    trapping.configuration = configuration().to_string().into_bytes();
    let host = host();
    let mut worker = Worker::start(Arc::clone(&host), &[trapping]).unwrap();
    for _ in 0..5 {
        assert_eq!(status(&mut worker, &[("x-key", "spent")]), "200");
    }
    for (deaths, when) in (1..).zip(["before", "after", "before"]) {
        assert_eq!(status(&mut worker, &[("x-key", "other"), ("x-trap", when)]), "503");
        host.clock().advance(Duration::from_secs(3));
        assert_eq!(status(&mut worker, &[("x-key", "spent")]), "429");
        assert_eq!((worker.take_traps().len(), worker.reloads()), (1, deaths));
    }
    // of five the one behind whose decision the VM died is gone
    assert_eq!((0..5).filter(|_| status(&mut worker, &[("x-key", "other")]) == "200").count(), 4);
}
