//! Limits that many VMs share: exact whatever VM a request comes to, in our host and in a real Envoy under load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "limits/envoy.rs"]
mod envoy;
#[path = "limits/interleaved.rs"]
mod interleaved;
mod support;

use envoy::Envoy;
use host_test::{Attributes, Effect, Host, Module, PluginConfig, Worker};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use support::{dist, get, host, plugin};

const BURST: u32 = 400;
const PER_SECOND: u32 = 200;

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

/// One request, by this test's own clock.
struct Seen {
    sent: Instant,
    received: Instant,
    status: u16,
}

#[test]
fn envoy_admits_what_the_limit_says_whatever_worker_a_request_comes_to() {
    let Some(binary) = std::env::var_os("ENVOY") else {
        return eprintln!("SKIPPED: the variable ENVOY names none");
    };
    let envoy = Envoy::start(Path::new(&binary), &config());
    let by_worker = envoy.connections(4);
    let begin = Instant::now();
    let load = |mut connection: envoy::Connection| {
        let mut seen: Vec<Seen> = Vec::new();
        // a machine that is slow today goes on until the bucket has been empty once
        let goes_on =
            |seen: &[Seen]| begin.elapsed() < Duration::from_secs(2) || !seen.iter().any(|one| one.status == 429);
        while goes_on(&seen) && begin.elapsed() < Duration::from_secs(30) {
            let sent = Instant::now();
            let status = connection.ask("/hot", "one");
            seen.push(Seen { sent, received: Instant::now(), status });
        }
        seen
    };
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let threads: Vec<_> = by_worker.into_iter().flatten().map(|c| scope.spawn(|| load(c))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    seen.iter().for_each(|one| *statuses.entry(one.status).or_default() += 1);
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200, &429], "{statuses:?}");
    let with = |status: u16| seen.iter().filter(move |one| one.status == status);
    #[allow(clippy::cast_precision_loss)]
    let admitted = with(200).count() as f64;

    // nothing was decided before the first was sent, or after the last was received
    let longest = seen.iter().map(|one| one.received).max().unwrap() - seen.iter().map(|one| one.sent).min().unwrap();
    let most = f64::from(BURST) + f64::from(PER_SECOND) * longest.as_secs_f64();
    // the bucket began to fill when the first was received at the latest, and was empty when the last refused one was sent
    // or later
    let shortest = with(429).map(|one| one.sent).max().unwrap() - with(200).map(|one| one.received).min().unwrap();
    let least = f64::from(BURST) + f64::from(PER_SECOND) * shortest.as_secs_f64();
    eprintln!("{statuses:?}, admitted {admitted}, bounds {least:.1} to {most:.1}");
    assert!(admitted <= most + 1.0, "{admitted} admitted, at most {most}");
    assert!(admitted >= least - 1.0, "{admitted} admitted, at least {least}");
}

#[test]
fn envoy_admits_a_new_key_once_though_it_comes_to_two_workers_at_once() {
    const KEYS: usize = 2000;
    let Some(binary) = std::env::var_os("ENVOY") else {
        return eprintln!("SKIPPED: the variable ENVOY names none");
    };
    let envoy = Envoy::start(Path::new(&binary), &config());
    let step = Barrier::new(2);
    let ask = |mut connection: envoy::Connection| {
        let ask = |key: usize| {
            step.wait();
            connection.ask("/once", &key.to_string())
        };
        (0..KEYS).map(ask).collect::<Vec<_>>()
    };
    let seen: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let connections = envoy.connections(1).into_iter().flatten();
        let threads: Vec<_> = connections.map(|connection| scope.spawn(|| ask(connection))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (key, (first, second)) in seen[0].iter().zip(&seen[1]).enumerate() {
        let mut statuses = [*first, *second];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 429], "key {key}");
    }
}
