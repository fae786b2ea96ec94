//! A real Envoy under load from many connections to both workers, seen by the test's own clock.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup};
use crate::{BURST, PER_SECOND, config};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One request, by this test's own clock.
struct Seen {
    sent: Instant,
    received: Instant,
    status: u16,
}

#[test]
fn envoy_admits_what_the_limit_says_whatever_worker_a_request_comes_to() {
    let Some(envoy) = Envoy::start(&Setup::new(config())) else { return };
    let by_worker = envoy.connections(4);
    let begin = Instant::now();
    let load = |mut connection: Connection| {
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
    let Some(envoy) = Envoy::start(&Setup::new(config())) else { return };
    let step = Barrier::new(2);
    let ask = |mut connection: Connection| {
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
