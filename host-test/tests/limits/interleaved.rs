//! VMs in one thread that decide while another one is between reading a row and writing it, in an order that a seed decides.

use crate::cast::{CAST, Cast};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

const SEEDS: u64 = 300;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Bucket,
    Window,
    Concurrent,
}

/// What a seed stands for: the kind of limit, its units, how many keys and VMs.
struct Plan {
    kind: Kind,
    units: u32,
    keys: usize,
    vms: usize,
}

impl Plan {
    fn new(seed: u64) -> Self {
        let seed = usize::try_from(seed).unwrap();
        Self {
            kind: [Kind::Bucket, Kind::Window, Kind::Concurrent][seed % 3],
            units: 1 + u32::try_from(seed / 3 % 5).unwrap(),
            keys: 1 + seed / 15 % 2,
            vms: 2 + seed / 30 % 3,
        }
    }

    fn configuration(&self) -> Value {
        let units = self.units;
        let limit = match self.kind {
            // one in a second
            Kind::Bucket => json!({"units": units, "per_ms": 1000 * units}),
            Kind::Window => json!({"units": units, "window": {"epoch_ms": 10_000}}),
            Kind::Concurrent => json!({"concurrent": units}),
        };
        // all keys in one row
        json!({"table": {"rows": 1}, "policies": [{"name": "p", "key": [{"header": "x-key"}], "limits": [limit]}]})
    }
}

/// One request, or the end of one that is in flight, by a VM that has nothing else to do; checks what the VM decides.
fn act(cast: &Cast, vm: usize, plan: &Plan) {
    if plan.kind == Kind::Concurrent && cast.below(2) == 0 {
        let mine = cast.open.borrow().iter().position(|(of, ..)| *of == vm);
        if let Some(mine) = mine {
            let (_, id, key) = cast.open.borrow_mut().remove(mine);
            cast.close(vm, id);
            *cast.taken.borrow_mut().get_mut(&key).unwrap() -= 1;
            return;
        }
    }
    let key = format!("key-{}", cast.below(plan.keys));
    let (status, id, seen) = cast.ask(vm, "/", &[("x-key", &key)]);
    let (taken, seen_of_key) = (cast.taken(&key), seen.get(&key).copied().unwrap_or(0));
    match status {
        200 => {
            if taken >= plan.units {
                cast.wrong(format!("{key}: admitted though {taken} of {} were taken", plan.units));
            } else if seen != *cast.taken.borrow() {
                cast.wrong(format!("{key}: decided on {seen:?}, written over {:?}", cast.taken.borrow()));
            }
            cast.take(&key);
        }
        429 if seen_of_key == plan.units => {}
        other => cast.wrong(format!("{key}: {other} though {seen_of_key} of {} were taken", plan.units)),
    }
    if status == 200 && plan.kind == Kind::Concurrent {
        cast.open.borrow_mut().push((vm, id, key));
    } else {
        cast.close(vm, id);
    }
}

/// Three rounds of requests from many sides. What was wrong, and how often a VM was interrupted.
fn run(seed: u64, is_blind: bool) -> (Vec<String>, u32) {
    let plan = Rc::new(Plan::new(seed));
    let of_act = Rc::clone(&plan);
    let cast = Cast::new(plan.vms, seed, &plan.configuration(), move |cast, vm| act(cast, vm, &of_act));
    if is_blind {
        cast.host.shared_data().ignore_numbers();
    }
    for round in 0..3 {
        for _ in 0..(plan.units as usize * plan.keys * 4) {
            act(&cast, cast.below(plan.vms), &plan);
        }
        // whatever was interrupted how, everything that the limit has is used by now, or can be
        for key in (0..plan.keys).map(|key| format!("key-{key}")) {
            for turn in 0.. {
                let before = cast.taken(&key);
                let (status, id, _) = cast.ask(turn % plan.vms, "/", &[("x-key", &key)]);
                if status != 200 {
                    cast.close(turn % plan.vms, id);
                    break;
                }
                cast.take(&key);
                if plan.kind == Kind::Concurrent {
                    cast.open.borrow_mut().push((turn % plan.vms, id, key.clone()));
                } else {
                    cast.close(turn % plan.vms, id);
                }
                if before >= plan.units {
                    break;
                }
            }
        }
        for (key, taken) in cast.taken.borrow().iter() {
            if plan.kind != Kind::Concurrent && *taken != plan.units {
                cast.wrong(format!("{key}: {taken} of {} admitted in round {round}", plan.units));
            }
        }
        let brought = match plan.kind {
            Kind::Bucket => {
                let seconds = u32::try_from(cast.below(4)).unwrap();
                cast.host.clock().advance(Duration::from_secs(seconds.into()));
                seconds
            }
            Kind::Window => {
                cast.host.clock().advance(Duration::from_secs(10));
                u32::MAX
            }
            Kind::Concurrent => {
                loop {
                    let last = cast.open.borrow_mut().pop();
                    let Some((vm, id, key)) = last else { break };
                    cast.close(vm, id);
                    *cast.taken.borrow_mut().get_mut(&key).unwrap() -= 1;
                }
                0
            }
        };
        cast.taken.borrow_mut().values_mut().for_each(|taken| *taken = taken.saturating_sub(brought));
    }
    CAST.set(None);
    (cast.wrong.take(), cast.interruptions.get())
}

#[test]
fn whoever_reads_and_writes_in_between_the_limit_is_what_passes() {
    let mut interruptions = 0;
    for seed in 0..SEEDS {
        let (wrong, interrupted) = run(seed, false);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        interruptions += interrupted;
    }
    eprintln!("{SEEDS} orders, {interruptions} interruptions between a read and what follows");
    assert!(interruptions > 10_000, "{interruptions}");
}

#[test]
fn a_store_that_loses_updates_is_seen() {
    let seen = (0..60).filter(|seed| run(*seed, true).0.iter().any(|wrong| wrong.contains("admitted"))).count();
    eprintln!("{seen} of 60 orders show it");
    assert!(seen > 30, "{seen}");
}

/// Two policies with keys of their own: some requests take of one, others of both or of none.
fn run_two(seed: u64, is_blind: bool) -> Vec<String> {
    const UNITS: u32 = 5;
    const KEYS: [&str; 2] = ["a", "b"];
    const OTHERS: [&str; 2] = ["c", "d"];
    let limits = json!([{"units": UNITS, "per_ms": 3_600_000}]);
    let paths = |own: &str| json!([{"path": {"prefix": own}}, {"path": {"prefix": "/both"}}]);
    let configuration = json!({"table": {"rows": 1}, "policies": [
        {"name": "p", "matches": paths("/p"), "key": [{"header": "x-key"}], "limits": limits},
        {"name": "q", "matches": paths("/q"), "key": [{"header": "x-other"}], "limits": limits}]});
    let act = |cast: &Cast, vm: usize| {
        let (key, other) = (KEYS[cast.below(2)], OTHERS[cast.below(2)]);
        let path = ["/p", "/q", "/both", "/both"][cast.below(4)];
        let (status, id, _) = cast.ask(vm, path, &[("x-key", key), ("x-other", other)]);
        let takes = [(path != "/q").then_some(key), (path != "/p").then_some(other)];
        for key in takes.into_iter().flatten().filter(|_| status == 200) {
            if cast.taken(key) >= UNITS {
                cast.wrong(format!("{key}: admitted though all was taken"));
            }
            cast.take(key);
        }
        if ![200, 429].contains(&status) {
            cast.wrong(format!("{status}"));
        }
        cast.close(vm, id);
    };
    let vms = 2 + usize::try_from(seed % 3).unwrap();
    let cast = Cast::new(vms, seed, &configuration, act);
    if is_blind {
        cast.host.shared_data().ignore_numbers();
    }
    for _ in 0..30 {
        act(&cast, cast.below(vms));
    }
    // from here on nobody interrupts; what was taken for requests that another policy has refused was given back
    CAST.set(None);
    KEYS.iter().for_each(|key| cast.drain("/p", "x-key", key));
    OTHERS.iter().for_each(|key| cast.drain("/q", "x-other", key));
    for (key, taken) in cast.taken.borrow().iter().filter(|(_, taken)| **taken != UNITS) {
        cast.wrong(format!("{key}: {taken} of {UNITS} admitted"));
    }
    cast.wrong.take()
}

#[test]
fn two_policies_take_both_or_none_whoever_comes_in_between() {
    for seed in 0..SEEDS {
        let wrong = run_two(seed, false);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
    let seen = (0..60).filter(|seed| !run_two(*seed, true).is_empty()).count();
    assert!(seen > 30, "a store that loses updates is seen: {seen}");
}

/// One VM asks, and another one is admitted between each read and write of the first `times`. The status of the one, how many pass
/// afterwards, and how many errors are counted.
fn contend(times: u32, on_contention: &str) -> (u16, u32, u64) {
    let configuration = json!({"table": {"rows": 1, "on_contention": on_contention}, "policies": [
        {"name": "p", "key": [{"header": "x-key"}], "limits": [{"units": 40, "per_ms": 3_600_000}]}]});
    let cast = Cast::new(2, 0, &configuration, |_, _| {});
    // both know the secret, and the row is there
    for vm in [0, 1] {
        assert_eq!(cast.ask(vm, "/", &[("x-key", "a")]).0, 200);
    }
    let left = std::sync::atomic::AtomicU32::new(times);
    cast.host.shared_data().run_after_reads(move |_| {
        let cast = CAST.with_borrow(Clone::clone).unwrap();
        let one_less = |left: u32| left.checked_sub(1);
        let order = std::sync::atomic::Ordering::Relaxed;
        if cast.workers[1].try_borrow_mut().is_ok() && left.fetch_update(order, order, one_less).is_ok() {
            assert_eq!(cast.ask(1, "/", &[("x-key", "a")]).0, 200);
        }
    });
    let (status, ..) = cast.ask(0, "/", &[("x-key", "a")]);
    cast.drain("/", "x-key", "a");
    let passed = cast.taken("a");
    let errors = cast.host.metrics().counter("sluice_ratelimit.policy.p.result.error.requests_total");
    CAST.set(None);
    (status, passed, errors.unwrap_or(0))
}

#[test]
fn who_meets_others_sixteen_times_in_a_row_gets_what_is_configured() {
    // two have passed before, and as many others as were faster; the fifteenth loser still gets its unit
    assert_eq!(contend(15, "deny"), (200, 40 - 2 - 15 - 1, 0));
    assert_eq!(contend(16, "deny"), (503, 40 - 2 - 16, 1));
    assert_eq!(contend(16, "allow"), (200, 40 - 2 - 16, 1));
}
