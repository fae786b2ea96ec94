//! A million keys need no more memory than some thousands.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup};
use crate::support::{dist, get, host, plugin};
use host_test::{Attributes, Effect, Module, Worker};
use serde_json::{Value, json};
use std::sync::Arc;

/// So many keys are in each request, one of each policy.
const POLICIES: usize = 16;

fn configuration() -> Value {
    let policy = |index: usize| {
        json!({"name": format!("p{index}"), "key": [{"header": format!("x-{index}")}],
               "limits": [{"units": 2, "per_ms": 3_600_000}]})
    };
    json!({"table": {"rows": 64}, "response_headers": "none", "policies": (0..POLICIES).map(policy).collect::<Vec<_>>()})
}

/// Headers with keys that no other request has.
fn keys(number: usize) -> Vec<(String, String)> {
    (0..POLICIES).map(|index| (format!("x-{index}"), format!("key-{number}-{index}"))).collect()
}

#[test]
fn the_state_in_our_host_is_the_same_for_a_million_keys_as_for_a_hundred_thousand() {
    let module = Module::load(&std::fs::read(dist().join("rate-limit.wasm")).unwrap()).unwrap();
    let mut limiter = plugin("rate-limit", Arc::new(module));
    limiter.configuration = configuration().to_string().into_bytes();
    let host = host();
    let mut worker = Worker::start(Arc::clone(&host), &[limiter.clone()]).unwrap();
    let mut sizes = Vec::new();
    let mut number = 0;
    for total in [100_000, 1_000_000] {
        while number * POLICIES < total {
            let keys = keys(number);
            let keys: Vec<_> = keys.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let id = worker.open(Attributes::default());
            let effects = worker.request_headers(id, get(&keys), true);
            assert!(matches!(effects[0], Effect::RequestHeaders(..)), "a key that nobody has used passes");
            worker.close(id);
            number += 1;
        }
        let entries = host.shared_data().snapshot(&limiter.vm_id);
        let bytes: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        sizes.push((entries.len(), bytes));
    }
    eprintln!("entries and bytes behind a hundred thousand and a million keys: {sizes:?}");
    assert_eq!(sizes[0], sizes[1]);
    // the rows of all policies, and the secret
    assert_eq!(sizes[1].0, 64 * POLICIES + 1);
    // what was used a moment ago is still known, though a million have come before
    let last = keys(number - 1);
    let last: Vec<_> = last.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut passes = || {
        let id = worker.open(Attributes::default());
        let effects = worker.request_headers(id, get(&last), true);
        worker.close(id);
        matches!(effects[0], Effect::RequestHeaders(..))
    };
    assert_eq!([passes(), passes()], [true, false]);
}

#[test]
fn envoy_does_not_grow_with_a_million_keys() {
    const CONNECTIONS: usize = 4;
    let Some(envoy) = Envoy::start(&Setup::new(configuration())) else { return };
    let ask = |connection: &mut Connection, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let keys = keys(number);
            let keys: Vec<_> = keys.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(connection.ask_with("/", &keys).status, 200);
        }
    };
    let mut connections: Vec<Connection> = envoy.connections(CONNECTIONS / 2).into_iter().flatten().collect();
    let mut begin = 0;
    let resident = [100_000, 1_000_000].map(|keys| {
        let each = keys / POLICIES / CONNECTIONS - begin;
        std::thread::scope(|scope| {
            for (index, connection) in connections.iter_mut().enumerate() {
                // no two connections have a key in common
                let first = index * 1_000_000 + begin;
                scope.spawn(move || ask(connection, first..first + each));
            }
        });
        begin += each;
        envoy.resident_kb()
    });
    eprintln!("resident behind a hundred thousand and a million keys: {resident:?} kB");
    let evictions = envoy.stat("wasmcustom.sluice_ratelimit.policy.p0.evictions_total");
    assert!(evictions > 60_000, "{evictions}");
    // an entry of its own for each key would be more than 100 MB
    assert!(resident[1] < resident[0] + 40_000, "{resident:?}");
    envoy.assert_calm();
}
