//! Traps, endless loops, refused configurations, lethal misuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use host_test::{FailurePolicy, LoadError, Module, Worker};
use std::sync::Arc;
use std::time::Duration;
use support::{Bench, get, headers, host, lines, misc, plugin};

const ANSWER: &str = "response [:status: 503] end";

#[test]
fn a_trap_is_answered_503_and_reported_with_the_guests_functions_and_host_calls() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (id, effects) = bench.ask("panic");
    assert_eq!(effects, [ANSWER]);
    assert_eq!(bench.worker.close(id).details.as_deref(), Some("wasm_fail_stream"));
    let traps = bench.worker.take_traps();
    assert_eq!((traps.len(), traps[0].callback, traps[0].plugin.as_str()), (1, "proxy_on_request_headers", "misc"));
    assert!(traps[0].cause.contains("unreachable"), "{}", traps[0]);
    assert!(traps[0].backtrace.iter().any(|frame| frame.contains("guest_sdk_misc::explode")), "{}", traps[0]);
    let calls = &traps[0].host_calls;
    assert!(
        calls.iter().any(|call| call.starts_with("proxy_get_header_map_value(0,") && call.ends_with("\"x-do\" -> 0")),
        "{}",
        traps[0]
    );
    assert!(bench.log().iter().any(|line| line.contains("asked to")), "the panic's message is logged");
}

#[test]
fn other_traps_are_named() {
    for (action, cause) in [
        ("loop", "burnt all its fuel"),
        ("exit", "unreachable"),
        ("memory", "unreachable"),
        ("string-getter", "unreachable"),
    ] {
        let mut bench = Bench::new(&[plugin("misc", misc())]);
        bench.host.set_fuel_per_callback(50_000_000_000);
        if action == "loop" {
            bench.host.set_fuel_per_callback(1_000_000);
        }
        let id = bench.open();
        let mut request = get(&[("x-do", action)]);
        request.add("x-value", vec![0xff]);
        assert_eq!(lines(&bench.worker.request_headers(id, request, true)), [ANSWER], "{action}");
        let traps = bench.worker.take_traps();
        assert!(traps[0].cause.contains(cause), "{action}: {}", traps[0]);
        if action == "loop" {
            assert!(traps[0].backtrace[0].contains("guest_sdk_misc::spin"), "{}", traps[0]);
        }
    }
}

#[test]
fn fail_reload_waits_and_then_starts_a_new_vm() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (waiting, _) = bench.ask("nothing");
    let (paused, _) = bench.ask("pause");
    assert_eq!(bench.ask("panic").1, [ANSWER]);
    assert_eq!(bench.ask("nothing").1, [ANSWER], "until the wait is over");
    assert_eq!(
        lines(&bench.worker.response_headers(waiting, headers(&[(":status", "200")]), true)),
        [ANSWER],
        "its VM is dead"
    );
    bench.host.clock().advance(Duration::from_millis(1500));
    assert!(bench.ask("nothing").1[0].starts_with("request "));
    assert_eq!(bench.worker.reloads(), 1);
    for id in [waiting, paused] {
        bench.worker.close(id);
    }
}

#[test]
fn the_other_policies_close_or_open_for_ever() {
    for (policy, later) in [(FailurePolicy::FailClosed, ANSWER), (FailurePolicy::FailOpen, "request ")] {
        let mut misc = plugin("misc", misc());
        misc.failure_policy = policy;
        let mut bench = Bench::new(&[misc]);
        assert_eq!(bench.ask("panic").1, [ANSWER]);
        bench.host.clock().advance(Duration::from_secs(100));
        assert!(bench.ask("nothing").1[0].starts_with(later), "{policy:?}");
    }
}

#[test]
fn a_trap_in_the_response_is_a_503_or_a_cut() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (id, _) = bench.ask("panic-in-response");
    assert_eq!(lines(&bench.worker.response_headers(id, headers(&[(":status", "200")]), false)), [ANSWER]);
    bench.host.clock().advance(Duration::from_secs(2));
    let (id, _) = bench.ask("panic-in-response-body");
    bench.worker.response_headers(id, headers(&[(":status", "200")]), false);
    let cut = lines(&bench.worker.response_data(id, b"x".to_vec(), true));
    assert_eq!(cut, ["reset ReplyTooLate(\"wasm_fail_stream\")"]);
}

#[test]
fn lethal_misuse_is_reported_and_not_carried_out() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (id, _) = bench.ask("reply-in-log");
    bench.worker.response_headers(id, headers(&[(":status", "200")]), true);
    bench.worker.close(id);
    let misuse = bench.worker.take_misuse();
    assert_eq!((misuse.len(), misuse[0].callback), (1, "proxy_on_log"));
    assert!(misuse[0].what.contains("proxy_send_local_response"));
    assert!(bench.log().iter().any(|line| line.starts_with("critical: lethal misuse")));
}

#[test]
fn a_refused_configuration_carries_the_guests_words() {
    let mut misc = plugin("misc", misc());
    misc.configuration = b"refuse".to_vec();
    let error = Worker::start(host(), &[misc]).unwrap_err();
    assert_eq!(error.why, "proxy_on_configure refused the configuration");
    assert_eq!(error.logs.len(), 1);
    assert!(error.to_string().contains("error: configuration: expected anything but"));
}

#[test]
fn what_is_not_a_proxy_wasm_module_is_not_loaded() {
    let export = |name: &str| {
        // A module with one function, exported under that name.
        let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07".to_vec();
        bytes.push(u8::try_from(name.len()).unwrap() + 4);
        bytes.push(1);
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend(name.as_bytes());
        bytes.extend(b"\0\0\x0a\x04\x01\x02\0\x0b");
        bytes
    };
    assert!(matches!(Module::load(b"hello"), Err(LoadError::Invalid(_))));
    assert!(matches!(Module::load(&export("proxy_abi_version_0_9_9")), Err(LoadError::UnknownAbi)));
    assert!(matches!(Module::load(&export("proxy_abi_version_0_2_1")), Err(LoadError::NoAllocator)));
    assert!(Arc::strong_count(&misc()) > 0);
}
