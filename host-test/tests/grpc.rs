//! Unary gRPC callouts as a runner sees them. What guests see is in the conformance table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use host_test::{GrpcAnswer, GrpcCallout, StreamId};
use std::time::Duration;
use support::{Bench, get, headers, lines, plugin, probe, text};

fn bench(configuration: &str) -> Bench {
    let mut plugin = plugin("probe", probe());
    plugin.root_id = "a".to_owned();
    plugin.configuration = configuration.as_bytes().to_vec();
    let bench = Bench::new(&[plugin]);
    bench.host.set_clusters(["rpc", "none"].map(str::to_owned));
    bench.host.set_cluster_hosts("none", false);
    bench
}

fn ask(bench: &mut Bench, script: &str) -> (StreamId, Vec<String>) {
    bench.log();
    let id = bench.open();
    let effects = bench.worker.request_headers(id, get(&[("x-case", "c"), ("x-probe-a", script)]), true);
    (id, lines(&effects))
}

/// What the probe has said since the last time.
fn said(bench: &Bench) -> Vec<String> {
    let lines = bench.log();
    lines.iter().filter_map(|line| Some(line.split_once("PROBE|c-a|")?.1.to_owned())).collect()
}

fn only(mut callouts: Vec<GrpcCallout>) -> GrpcCallout {
    assert_eq!(callouts.len(), 1);
    callouts.remove(0)
}

#[test]
fn a_call_is_handed_out_and_its_answer_comes_in() {
    let mut bench = bench("");
    let script = "rh: grpc %0a%05%0a%03rpc 250 Do hello x-a=1; return 1 | grpc: buf 5 1 3; buf-status 5; status; \
                  replace 0 x-p v; continue 0";
    let (id, effects) = ask(&mut bench, script);
    assert!(effects.is_empty());
    assert_eq!(said(&bench)[1], "rh|grpc %0a%05%0a%03rpc 250 Do hello x-a=1 -> 0 low bits 1");
    let call = only(bench.worker.grpc_callouts());
    assert_eq!(
        (call.plugin.as_str(), call.cluster.as_str(), call.service.as_str(), call.method.as_str(), call.authority),
        ("probe", "rpc", "probe.S", "Do", None)
    );
    assert_eq!((call.message.as_slice(), call.timeout), (&b"hello"[..], Some(Duration::from_millis(250))));
    assert_eq!(text(&call.metadata), ["x-a: 1"]);
    assert!(bench.worker.answer_callout(call.token, host_test::Answer::Timeout).is_empty(), "it is no HTTP callout");
    let effects = bench.worker.answer_grpc(call.token, GrpcAnswer::Message(b"world".to_vec()));
    assert_eq!(effects[0].0, id);
    assert!(lines(&[effects[0].1.clone()])[0].ends_with("x-p: v] end"));
    assert_eq!(
        said(&bench)[..4],
        [
            "grpc|size 5 effective 0",
            "grpc|buf 5 1 3 -> 0 \"orl\"",
            "grpc|buf-status 5 -> 0 5 0",
            "grpc|status -> 0 0 null"
        ]
    );
    assert!(bench.worker.answer_grpc(call.token, GrpcAnswer::timeout()).is_empty());
    assert!(said(&bench).is_empty(), "a call is answered once");
}

#[test]
fn a_failed_call_tells_status_and_message() {
    let mut bench = bench("");
    let (_, _) = ask(&mut bench, "rh: grpc rpc 0 Do x; return 1 | gclose: status; reply 429 no");
    let call = only(bench.worker.grpc_callouts());
    assert_eq!(call.timeout, None);
    let failed = GrpcAnswer::Failed { status: 8, message: "too many".to_owned() };
    let effects = bench.worker.answer_grpc(call.token, failed);
    assert!(lines(&[effects[0].1.clone()])[0].starts_with("response [:status: 429"));
    let said = said(&bench);
    assert_eq!(said[2..4], ["gclose|status 8 effective 0", "gclose|status -> 8 0 \"too many\""]);
}

#[test]
fn calls_that_cannot_be_made_fail_at_once() {
    let mut bench = bench("");
    let (id, effects) = ask(&mut bench, "rh: grpc nowhere 9 Do x; grpc none 9 Do x; grpc %0a%03%0a%01x 9 Do x");
    assert!(effects[0].starts_with("request"), "what fails at once does not stop the stream");
    let log = bench.log();
    let statuses: Vec<&str> = log.iter().filter_map(|line| Some(line.split_once(" -> ")?.1)).collect();
    assert_eq!(statuses, ["4 token 77777", "10 token 77777", "10 token 77777"]);
    let closed = log.iter().filter(|line| line.contains("answer|gclose|status 14 to nobody")).count();
    assert_eq!(closed, 2, "as in Envoy, of tokens that the guest never got");
    assert!(bench.worker.grpc_callouts().is_empty());
    bench.worker.close(id);
    ask(&mut bench, "rh: grpc users 9 Do x");
    let misuse = bench.worker.take_misuse();
    assert!(misuse[0].what.contains("without a target"), "{}", misuse[0]);
}

#[test]
fn cancelled_calls_are_not_answered() {
    let mut bench = bench("");
    let (id, _) = ask(&mut bench, "rh: grpc rpc 9 Do x; grpc-cancel last; grpc-cancel last; grpc-close last");
    assert_eq!(said(&bench)[2..], ["rh|grpc-cancel last -> 0", "rh|grpc-cancel last -> 1", "rh|grpc-close last -> 1"]);
    assert!(bench.worker.grpc_callouts().is_empty(), "it was not even sent");
    assert!(bench.worker.cancelled_callouts().is_empty());
    bench.worker.close(id);
    let (id, _) = ask(&mut bench, "rh: grpc rpc 9 Do x | ph: grpc-close last");
    let call = only(bench.worker.grpc_callouts());
    bench.worker.response_headers(id, headers(&[(":status", "200")]), true);
    assert_eq!(bench.worker.cancelled_callouts(), [call.token]);
    bench.log();
    bench.worker.answer_grpc(call.token, GrpcAnswer::timeout());
    assert!(said(&bench).is_empty());
}

#[test]
fn answers_outlive_the_stream_and_end_with_the_vm() {
    let mut bench = bench("");
    let (id, _) =
        ask(&mut bench, "rh: grpc rpc 9 Do x | log: grpc rpc 9 Do y | delete: grpc rpc 9 Do z | grpc: get 0 :path");
    bench.worker.close(id);
    let calls = bench.worker.grpc_callouts();
    let messages: Vec<&[u8]> = calls.iter().map(|call| call.message.as_slice()).collect();
    assert_eq!(messages, [b"x", b"y", b"z"]);
    said(&bench);
    for call in &calls[..2] {
        assert!(bench.worker.answer_grpc(call.token, GrpcAnswer::Message(Vec::new())).is_empty());
        assert_eq!(said(&bench), ["grpc|size 0 effective 2", "grpc|get 0 :path -> 2 null", "grpc|end"]);
    }
    ask(&mut bench, "rh: trap");
    assert_eq!(bench.worker.take_traps().len(), 1);
    assert_eq!(bench.worker.cancelled_callouts(), [calls[2].token]);
    assert!(bench.worker.answer_grpc(calls[2].token, GrpcAnswer::refused()).is_empty());
}

#[test]
fn a_call_made_at_configure_time_is_handed_out() {
    let mut bench = bench("cfg: grpc rpc 9 Do x");
    assert!(bench.worker.grpc_callouts().is_empty(), "no cluster is known yet");
    let host = support::host();
    host.set_clusters(["rpc".to_owned()]);
    let mut configured = plugin("probe", probe());
    configured.root_id = "a".to_owned();
    configured.configuration = b"cfg: grpc rpc 9 Do x".to_vec();
    bench.worker = host_test::Worker::start(host.clone(), &[configured]).unwrap();
    let call = only(bench.worker.grpc_callouts());
    host.take_log();
    bench.worker.answer_grpc(call.token, GrpcAnswer::Message(b"ab".to_vec()));
    assert!(host.take_log()[0].text.ends_with("PROBE|root-a|grpc|size 2 effective 0"));
}
