//! Request heads that are held until their body is there, in a host that shows the body meanwhile
//! (`allow_on_headers_stop_iteration`) and in one that does not: there a request is neither misrouted nor left hanging.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "hold/envoy.rs"]
mod envoy;
mod support;

use envoy::{Envoy, IGNORES, SHOWS};
use host_test::{Metric, Module, PluginConfig, StreamId};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{Bench, dist, get, guest_path, lines, plugin};

pub const GUEST: &str = r#"{"max_body_bytes": 100, "suffix": "!", "hold": true}"#;

fn load(path: &Path) -> Arc<Module> {
    Arc::new(Module::load(&std::fs::read(path).unwrap()).unwrap())
}

fn guest(shows: bool) -> PluginConfig {
    let mut plugin = plugin("upper", load(&guest_path("body-upper")));
    plugin.configuration = GUEST.as_bytes().to_vec();
    plugin.allow_on_headers_stop_iteration = shows;
    plugin
}

impl Bench {
    fn post(&mut self) -> StreamId {
        let id = self.open();
        assert_eq!(lines(&self.worker.request_headers(id, get(&[("content-length", "4")]), false)), [""; 0]);
        id
    }

    /// Seconds go by; what happens to streams, with the second.
    fn wait(&mut self, seconds: u32) -> Vec<String> {
        let mut seen = Vec::new();
        for second in 1..=seconds {
            self.host.clock().advance(Duration::from_secs(1));
            let effects = self.worker.tick();
            seen.extend(effects.into_iter().flat_map(|(_, effect)| lines(&[effect])).map(|l| format!("{second}: {l}")));
        }
        seen
    }
}

#[test]
fn a_body_that_the_host_does_not_show_is_answered_with_500_and_told_once() {
    let mut bench = Bench::new(&[guest(false)]);
    let (silent, first) = (bench.post(), bench.post());
    assert_eq!(lines(&bench.worker.request_data(first, b"text".to_vec(), true)), [""; 0]);
    assert_eq!(bench.wait(2), [""; 0], "bytes have come until now");
    assert_eq!(bench.wait(1), ["1: response [:status: 500] end"]);
    assert_eq!(bench.worker.close(first).details.as_deref(), Some("sluice_body_not_shown"));
    let log = bench.log();
    assert!(log.len() == 1 && log[0].contains("set allow_on_headers_stop_iteration: true"), "{log:?}");

    let second = bench.post();
    bench.worker.request_data(second, b"te".to_vec(), false);
    assert_eq!(bench.wait(4), ["3: response [:status: 500] end"]);
    assert_eq!(bench.wait(60), [""; 0], "a client that sends nothing is waited for");
    bench.worker.request_data(silent, b"te".to_vec(), false);
    assert_eq!(bench.wait(2), [""; 0]);
    bench.worker.request_data(silent, b"xt".to_vec(), true);
    assert_eq!(bench.wait(3), ["3: response [:status: 500] end"], "so is one that still sends");
    assert_eq!(bench.log(), [""; 0]);

    bench.wait(1);
    assert_eq!(bench.worker.next_tick(), None, "nobody waits");
    let get_without_body = bench.open();
    let effects = lines(&bench.worker.request_headers(get_without_body, get(&[]), true));
    assert!(effects[0].contains("x-body-length: 0"), "{effects:?}");
    assert_eq!(bench.worker.next_tick(), None);
    assert!(bench.worker.take_traps().is_empty() && bench.worker.take_misuse().is_empty());
}

#[test]
fn a_host_that_shows_the_body_is_watched_until_it_has_shown_one() {
    let mut bench = Bench::new(&[guest(true)]);
    let first = bench.post();
    assert!(bench.worker.next_tick().is_some());
    assert_eq!(bench.wait(10), [""; 0], "a slow client is waited for");
    assert_eq!(lines(&bench.worker.request_data(first, b"te".to_vec(), false)), [""; 0]);
    assert_eq!(bench.worker.next_tick(), None);
    assert_eq!(bench.wait(10), [""; 0]);
    let effects = lines(&bench.worker.request_data(first, b"xt".to_vec(), true));
    assert!(effects[0].contains("x-body-length: 4, content-length: 5"), "{effects:?}");
    assert_eq!(effects[1], r#"request data "TEXT!" end"#);

    let calls = bench.post();
    assert_eq!(bench.worker.next_tick(), None, "no further request is watched");
    let meter = bench.worker.meter(calls).unwrap();
    let calls: Vec<_> = meter.host_calls().into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    assert_eq!(calls, ["proxy_add_header_map_value 1", "proxy_get_header_map_pairs 1"]);
    assert_eq!(bench.log(), [""; 0]);
}

#[test]
fn a_stream_that_ends_while_its_head_is_held_is_forgotten() {
    let mut bench = Bench::new(&[guest(false)]);
    let id = bench.post();
    bench.worker.request_data(id, b"te".to_vec(), false);
    bench.worker.close(id);
    assert_eq!(bench.wait(9), [""; 0]);
    assert_eq!((bench.worker.next_tick(), bench.log().len()), (None, 0));
}

fn router() -> Value {
    json!({"rules": [{"name": "r", "match": {"path": {"prefix": "/"}}, "targets": [{"cluster": "c", "weight": 2}]}],
           "default": {"status": 404}})
}

fn rewrite() -> Value {
    json!({"rules": [{"name": "r", "rewrite": {"path": "/"}}]})
}

/// Names and values of the gauges that tell which configuration is in force.
fn gauges() -> Vec<(String, u64)> {
    let of = |name, config: Value| filter_kit::metrics::config_gauges(name, config.to_string().as_bytes());
    [of("header-router", router()), of("prefix-rewrite", rewrite())].concat()
}

#[test]
fn gauges_tell_which_configuration_is_in_force() {
    let filter = |name: &str, config: Value| {
        let mut plugin = plugin(name, load(&dist().join(format!("{name}.wasm"))));
        plugin.configuration = config.to_string().into_bytes();
        plugin
    };
    let bench = Bench::new(&[filter("header-router", router()), filter("prefix-rewrite", rewrite())]);
    let seen = bench.host.metrics().snapshot();
    for (name, value) in gauges() {
        assert!(seen.contains(&(name.clone(), Metric::Gauge(value))), "{name} {value}: {seen:?}");
    }
}

#[test]
fn envoy_with_and_without_the_flag_and_its_gauges() {
    let Some(binary) = std::env::var_os("ENVOY") else {
        return eprintln!("SKIPPED: the variable ENVOY names none");
    };
    let envoy = Envoy::start(Path::new(&binary));
    let post = |body: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\ntext\r\n";

    // all of these wait at the same time
    let mut slow = envoy.connect(SHOWS);
    slow.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
    let mut waiting = [envoy.connect(IGNORES), envoy.connect(IGNORES), envoy.connect(IGNORES)];
    waiting[0].send(&post("text"));
    waiting[1].send(&post("text"));
    waiting[2].send(chunked);
    for connection in &mut waiting {
        assert_eq!(connection.status(), 500);
    }
    let details = envoy.access_log(IGNORES, 3);
    assert!(details.iter().all(|line| line == "500 sluice_body_not_shown -"), "{details:?}");
    let mut connection = envoy.connect(IGNORES);
    connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(connection.status(), 200);
    let told = envoy.log().matches("set allow_on_headers_stop_iteration: true").count();
    assert_eq!(told, 1, "{}", envoy.log());

    // this one has sent nothing for as long
    slow.send("text");
    assert_eq!(slow.status(), 200);
    assert_eq!(envoy.upstream().last().unwrap(), "/ x-body-length 4 content-length 5 TEXT!");
    assert_eq!(envoy.access_log(SHOWS, 1), ["200 via_upstream 4"]);

    // a body that has grown does not reach into the next request of its connection
    let mut pipelined = envoy.connect(SHOWS);
    let second = post("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").replace("POST /", "POST /second");
    pipelined.send(&[post("one").replace("POST /", "POST /first"), second].concat());
    assert_eq!((pipelined.status(), pipelined.status()), (200, 200));
    let seen = envoy.upstream();
    assert_eq!(seen[seen.len() - 2], "/first x-body-length 3 content-length 4 ONE!");
    assert!(seen[seen.len() - 1].starts_with("/second x-body-length 35 content-length 36 GET /SMUGGLED"), "{seen:?}");

    let stats = envoy.stats();
    for (name, value) in gauges() {
        assert!(stats.contains(&format!("wasmcustom.{name}: {value}\n")), "{name} {value}: {stats}");
    }
}
