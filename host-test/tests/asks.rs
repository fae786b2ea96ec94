//! Heads that wait for a call and then for their body, in a host that shows the body meanwhile and in one that does not. What calls look
//! like from outside is in `host-test/guests/asks/scenarios`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use host_test::{GrpcAnswer, Module, StreamId};
use std::sync::Arc;
use std::time::Duration;
use support::{Bench, get, guest_path, lines, plugin};

/// A stream whose filter has asked.
fn asked(order: &str, shows: bool) -> (Bench, StreamId) {
    let module = Module::load(&std::fs::read(guest_path("asks")).unwrap()).unwrap();
    let mut plugin = plugin("asks", Arc::new(module));
    let config = serde_json::json!({"domain": "d", "timeout_ms": 9, "order": order, "max_body_bytes": 100});
    plugin.configuration = config.to_string().into_bytes();
    plugin.allow_on_headers_stop_iteration = shows;
    let mut bench = Bench::new(&[plugin]);
    bench.host.set_clusters(["rate-limit-service".to_owned()]);
    let id = bench.open();
    assert_eq!(lines(&bench.worker.request_headers(id, get(&[("content-length", "4")]), false)), [""; 0]);
    (bench, id)
}

fn answer(bench: &mut Bench) -> Vec<String> {
    let call = bench.worker.grpc_callouts().pop().unwrap();
    let effects = bench.worker.answer_grpc(call.token, GrpcAnswer::Message(Vec::new()));
    lines(&effects.into_iter().map(|(_, effect)| effect).collect::<Vec<_>>())
}

fn wait(bench: &mut Bench, seconds: u32) -> Vec<String> {
    let mut seen = Vec::new();
    for second in 1..=seconds {
        bench.host.clock().advance(Duration::from_secs(1));
        let effects: Vec<_> = bench.worker.tick().into_iter().map(|(_, effect)| effect).collect();
        seen.extend(lines(&effects).into_iter().map(|line| format!("{second}: {line}")));
    }
    seen
}

#[test]
fn a_body_that_came_before_the_answer_and_is_not_shown_is_answered_with_500() {
    for order in ["ask_then_hold", "ask_then_buffer"] {
        let (mut bench, id) = asked(order, false);
        assert_eq!(lines(&bench.worker.request_data(id, b"text".to_vec(), true)), [""; 0]);
        assert_eq!(wait(&mut bench, 9), [""; 0], "nothing is waited for but the answer");
        assert_eq!(answer(&mut bench), [""; 0]);
        let seen = wait(&mut bench, 9);
        assert!(seen.len() == 1 && seen[0].contains("response [:status: 500"), "{order}: {seen:?}");
        assert_eq!(bench.worker.close(id).details.as_deref(), Some("sluice_body_not_shown"), "{order}");
    }
}

#[test]
fn a_client_that_is_slow_behind_the_answer_is_waited_for() {
    for order in ["ask_then_hold", "ask_then_buffer"] {
        for first in [&b""[..], b"te"] {
            let (mut bench, id) = asked(order, true);
            if !first.is_empty() {
                assert_eq!(lines(&bench.worker.request_data(id, first.to_vec(), false)), [""; 0]);
            }
            assert_eq!(answer(&mut bench), [""; 0]);
            assert_eq!(wait(&mut bench, 60), [""; 0], "{order} {first:?}");
            let rest = b"text"[first.len()..].to_vec();
            let effects = lines(&bench.worker.request_data(id, rest, true));
            assert!(effects[0].contains("x-asked: strange") && effects[1].contains("TEXT"), "{order}: {effects:?}");
            assert_eq!(bench.worker.next_tick(), None);
            assert!(bench.worker.take_traps().is_empty() && bench.worker.take_misuse().is_empty());
        }
    }
}
