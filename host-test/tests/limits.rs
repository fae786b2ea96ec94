//! Limits that many VMs share: exact whatever VM a request comes to, in our host and in a real Envoy under load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "limits/cast.rs"]
mod cast;
#[path = "limits/client.rs"]
mod client;
#[path = "limits/debt.rs"]
mod debt;
#[path = "limits/envoy.rs"]
mod envoy;
#[path = "limits/global.rs"]
mod global;
#[path = "limits/hostile.rs"]
mod hostile;
#[path = "limits/interleaved.rs"]
mod interleaved;
#[path = "limits/leases.rs"]
mod leases;
#[path = "limits/leaving.rs"]
mod leaving;
#[path = "limits/load.rs"]
mod load;
#[path = "limits/memory.rs"]
mod memory;
#[path = "limits/reload.rs"]
mod reload;
mod support;
#[path = "limits/trap.rs"]
mod trap;
#[path = "limits/upstream.rs"]
mod upstream;

use host_test::{Attributes, Effect, Host, Module, PluginConfig, Worker};
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use support::{dist, get, host, plugin};

/// For the bucket `hot`.
pub const BURST: u32 = 400;
pub const PER_SECOND: u32 = 200;

pub fn config() -> Value {
    json!({"policies": [
        {"name": "hundred", "match": {"path": {"prefix": "/hundred"}}, "key": [{"header": "x-key"}],
         "limits": [{"units": 100, "per_ms": 3_600_000}]},
        {"name": "once", "match": {"path": {"prefix": "/once"}}, "key": [{"header": "x-key"}],
         "limits": [{"units": 1, "per_ms": 3_600_000}]},
        {"name": "hot", "match": {"path": {"prefix": "/hot"}}, "key": [{"header": "x-key"}],
         "limits": [{"units": PER_SECOND, "per_ms": 1000, "burst": BURST}]}]})
}

fn limiter() -> PluginConfig {
    let module = Module::load(&std::fs::read(dist().join("rate-limit.wasm")).unwrap()).unwrap();
    let mut plugin = plugin("rate-limit", Arc::new(module));
    plugin.configuration = config().to_string().into_bytes();
    plugin
}

/// Whether the VM lets a request pass.
fn passes(worker: &mut Worker, path: &str, key: &str) -> bool {
    let id = worker.open(Attributes::default());
    let mut request = get(&[("x-key", key)]);
    request.replace(":path", path);
    let effects = worker.request_headers(id, request, true);
    worker.close(id);
    matches!(effects[0], Effect::RequestHeaders(..))
}

#[test]
fn four_vms_that_take_turns_share_a_key_exactly() {
    let host = host();
    let limiter = limiter();
    let mut vms: Vec<_> =
        (0..4).map(|_| Worker::start(Arc::clone(&host), std::slice::from_ref(&limiter)).unwrap()).collect();
    // an order that no VM can expect
    let mut order: u32 = 1;
    for key in ["a", "b", "c"] {
        let admitted = (0..300).filter(|_| {
            order = order.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            passes(&mut vms[(order >> 30) as usize], "/hundred", key)
        });
        assert_eq!(admitted.count(), 100, "{key}");
    }
    // an hour brings a hundred
    host.clock().advance(Duration::from_secs(36));
    assert_eq!((0..40).filter(|turn| passes(&mut vms[turn % 4], "/hundred", "a")).count(), 1);
}

/// What each of four VMs, in threads of their own, says.
fn in_parallel<T: Send>(host: &Arc<Host>, run: impl Fn(&mut Worker) -> T + Sync) -> Vec<T> {
    let (limiter, start) = (limiter(), Barrier::new(4));
    let vm = || {
        let mut worker = Worker::start(Arc::clone(host), std::slice::from_ref(&limiter)).unwrap();
        start.wait();
        run(&mut worker)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(vm)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn four_vms_at_once_share_a_key_exactly() {
    let admitted = in_parallel(&host(), |vm| (0..300).filter(|_| passes(vm, "/hundred", "a")).count());
    assert_eq!(admitted.iter().sum::<usize>(), 100, "{admitted:?}");
}

#[test]
fn a_new_key_that_comes_to_four_vms_at_once_is_admitted_once() {
    let step = Barrier::new(4);
    let admitted = in_parallel(&host(), |vm| {
        let mut admitted = Vec::new();
        for key in 0..300 {
            step.wait();
            admitted.push(passes(vm, "/once", &key.to_string()));
        }
        admitted
    });
    for key in 0..300 {
        assert_eq!(admitted.iter().filter(|vm| vm[key]).count(), 1, "key {key}");
    }
}
