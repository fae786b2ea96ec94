//! New configurations and new VMs while keys are exhausted and in debt, in a real Envoy.

use crate::client::Connection;
use crate::envoy::{Envoy, Setup};
use crate::upstream::Upstream;
use serde_json::{Value, json};

const HOUR: u64 = 3_600_000;

/// Buckets that bring nothing while the test runs, and a window that does not end.
fn configuration(bucket: &Value, window: &Value) -> Value {
    let policy = |path: &str, name: &str, limit: &Value| {
        json!({"name": name, "match": {"path": {"prefix": path}}, "key": [{"header": "x-key"}],
               "limits": [limit], "settle": {"header": "x-cost"}})
    };
    json!({"policies": [policy("/bucket", "bucket", bucket), policy("/window", "window", window)]})
}

/// How many of the next requests pass, on connections of both workers.
fn passing(connections: &mut [Connection], path: &str, key: &str) -> usize {
    let mut asked = 0;
    std::iter::repeat_with(|| {
        asked += 1;
        let count = connections.len();
        connections[asked % count].ask(path, key)
    })
    .take_while(|status| *status == 200)
    .count()
}

#[test]
fn limits_stay_exhausted_when_the_configuration_or_the_vm_is_a_new_one() {
    let upstream = Upstream::start();
    let bucket = |burst: u64| json!({"units": 5, "per_ms": HOUR, "burst": burst});
    let window = |units: u64| json!({"units": units, "window": {"first_use_ms": HOUR}});
    let first = configuration(&bucket(5), &window(5));
    let mut setup = Setup { upstream: Some(upstream.port), ..Setup::new(first) };
    let Some(envoy) = Envoy::start(&setup) else { return };
    let both = |envoy: &Envoy| -> Vec<Connection> { envoy.connections(1).into_iter().flatten().collect() };
    let mut connections = both(&envoy);
    for path in ["/bucket", "/window"] {
        assert_eq!(passing(&mut connections, path, "spent"), 5, "{path}");
        // five units below nothing
        assert_eq!(connections[0].ask_with(path, &[("x-key", "owes"), ("x-do", "cost 10")]).status, 200);
        assert_eq!(connections[1].ask(path, "owes"), 429, "{path}");
    }
    // six units until the next one passes, at five in an hour
    let waits = |connection: &mut Connection| {
        let response = connection.ask_with("/bucket", &[("x-key", "owes")]);
        assert_eq!(response.status, 429);
        let seconds: u64 = response.field("retry-after").unwrap().parse().unwrap();
        assert!((4200..=4320).contains(&seconds), "{seconds}");
    };
    waits(&mut connections[0]);
    let made = || envoy.stat("wasm.envoy.wasm.runtime.v8.created");
    let at_start = made();

    setup.version = 2;
    setup.configuration = configuration(&bucket(7), &window(8));
    envoy.update(&setup);
    let with_configuration = made() - at_start;
    let mut connections = both(&envoy);
    assert_eq!(passing(&mut connections, "/bucket", "spent"), 2, "a larger burst holds at once");
    assert_eq!(passing(&mut connections, "/window", "spent"), 3, "and so do more units");
    assert_eq!(passing(&mut connections, "/window", "owes"), 0);
    assert_eq!(connections[0].ask("/bucket", "owes"), 429);

    setup.version = 3;
    setup.configuration = configuration(&bucket(5), &window(5));
    setup.vm_configuration = "another";
    envoy.update(&setup);
    let with_vm = made() - at_start - with_configuration;
    // the main thread tries every configuration out in a VM that it throws away; only now there is one for each worker as well
    eprintln!("VMs made: {at_start} at start, {with_configuration} with a configuration, {with_vm} with another VM");
    assert!(with_vm >= with_configuration + 2);
    let mut connections = both(&envoy);
    for path in ["/bucket", "/window"] {
        assert_eq!(passing(&mut connections, path, "spent"), 0, "{path}");
        assert_eq!(passing(&mut connections, path, "owes"), 0, "{path}");
        assert_eq!(passing(&mut connections, path, "another"), 5, "{path}");
    }
    waits(&mut connections[1]);

    setup.version = 4;
    let renamed = setup.configuration.to_string().replace(r#""name":"bucket""#, r#""name":"other""#);
    setup.configuration = serde_json::from_str(&renamed).unwrap();
    envoy.update(&setup);
    let mut connections = both(&envoy);
    assert_eq!(passing(&mut connections, "/bucket", "spent"), 5, "a policy of another name starts anew");
    assert_eq!(passing(&mut connections, "/window", "spent"), 0, "the others go on");
    envoy.assert_calm();
}
