//! Whole exchanges through filters built on the Rust SDK.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use host_test::{Answer, Attributes, LocalReply, RouteInfo, Value};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use support::{Bench, empty, get, headers, lines, misc, plugin};

const REQUEST: &str = "request [:method: GET, :scheme: http, :authority: a.test, :path: /p?q=1";

#[test]
fn an_empty_filter_passes_everything_on() {
    let mut bench = Bench::new(&[plugin("empty", empty())]);
    let id = bench.open();
    assert_eq!(lines(&bench.worker.request_headers(id, get(&[]), false)), [format!("{REQUEST}]")]);
    assert_eq!(lines(&bench.worker.request_data(id, b"ab".to_vec(), false)), ["request data \"ab\""]);
    assert_eq!(lines(&bench.worker.request_trailers(id, headers(&[("t", "1")]))), ["request trailers [t: 1]"]);
    assert_eq!(
        lines(&bench.worker.response_headers(id, headers(&[(":status", "200")]), false)),
        ["response [:status: 200]"]
    );
    assert_eq!(lines(&bench.worker.response_data(id, b"x".to_vec(), true)), ["response data \"x\" end"]);
    let meter = bench.worker.close(id).meter;
    assert_eq!((meter.callbacks, meter.total_host_calls()), (9, 0));
    assert!(meter.fuel > 100);
}

#[test]
fn a_filter_replies_and_only_the_filters_before_it_see_the_reply() {
    let chain = ["first", "second", "third"].map(|name| plugin(name, misc()));
    let mut bench = Bench::new(&chain);
    let (id, effects) = bench.ask("reply");
    assert_eq!(
        effects,
        [
            "response [:status: 418, x-from: filter, content-length: 15, content-type: text/plain, x-misc: seen] ",
            "response data \"short and stout\" end"
        ]
        .map(str::trim)
    );
    assert!(bench.worker.response_headers(id, headers(&[(":status", "200")]), true).is_empty());
    assert_eq!(bench.worker.reply_details(id).as_deref(), Some(""));
    bench.worker.close(id);
}

#[test]
fn a_request_body_is_buffered_changed_and_sent_at_the_end() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let id = bench.open();
    bench.worker.request_headers(id, get(&[("x-do", "upper-request")]), false);
    assert!(bench.worker.request_data(id, b"ab".to_vec(), false).is_empty());
    assert!(bench.worker.request_data(id, b"cd".to_vec(), false).is_empty());
    assert_eq!(lines(&bench.worker.request_data(id, Vec::new(), true)), ["request data \"ABCD\" end"]);
    bench.worker.close(id);
    let id = bench.open();
    bench.worker.request_headers(id, get(&[("x-do", "upper-request")]), false);
    assert!(bench.worker.request_data(id, b"ab".to_vec(), false).is_empty());
    let trailers = bench.worker.request_trailers(id, headers(&[("t", "1")]));
    assert_eq!(
        lines(&trailers),
        ["request data \"AB\"", "request trailers [t: 1]"],
        "trailers, no end in a body callback"
    );
}

#[test]
fn a_body_over_the_limit_is_answered_413_and_a_response_is_cut_off() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let open = |bench: &mut Bench, action| {
        let id = bench.worker.open(Attributes { buffer_limit: 4, ..Attributes::default() });
        bench.worker.request_headers(id, get(&[("x-do", action)]), false);
        id
    };
    let id = open(&mut bench, "upper-request");
    assert!(bench.worker.request_data(id, b"1234".to_vec(), false).is_empty(), "the limit itself fits");
    let reply = lines(&bench.worker.request_data(id, b"5".to_vec(), false));
    assert_eq!(reply[0], "response [:status: 413, content-length: 17, content-type: text/plain, x-misc: seen]");
    assert_eq!(reply[1], "response data \"Payload Too Large\" end");
    assert!(bench.worker.request_data(id, b"6".to_vec(), true).is_empty());
    let id = open(&mut bench, "upper-response");
    bench.worker.response_headers(id, headers(&[(":status", "200")]), false);
    assert!(bench.worker.response_data(id, b"1234".to_vec(), false).is_empty());
    let cut = lines(&bench.worker.response_data(id, b"5".to_vec(), false));
    assert_eq!(cut, ["reset ReplyTooLate(\"response_payload_too_large\")"]);
}

#[test]
fn a_reply_in_the_response_phase_replaces_the_response() {
    let chain = ["outer", "inner"].map(|name| plugin(name, misc()));
    let mut bench = Bench::new(&chain);
    let (id, _) = bench.ask("reply-in-response");
    let effects = lines(&bench.worker.response_headers(id, headers(&[(":status", "200"), ("x", "y")]), false));
    assert_eq!(
        effects,
        [
            "response [:status: 502, content-length: 15, content-type: text/plain]",
            "response data \"not good enough\" end"
        ]
    );
    assert!(bench.worker.response_data(id, b"late".to_vec(), true).is_empty());
}

#[test]
fn headers_can_be_replaced_as_a_whole() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (_, effects) = bench.ask("replace-all");
    assert_eq!(effects, [format!("{REQUEST}, x-do: replace-all, x-added: yes] end")]);
}

#[test]
fn a_callout_pauses_the_request_until_it_is_answered() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (_, refused) = bench.ask("call");
    assert_eq!(refused[1], "response data \"BadArgument\" end", "an unknown cluster is refused at once");
    bench.host.set_clusters(["side".to_owned()]);
    for (answer, status, body, count) in [
        (
            Answer::Response {
                headers: headers(&[(":status", "200"), ("a", "b")]),
                body: b"hi".to_vec(),
                trailers: headers(&[]),
            },
            "200",
            "hi",
            2,
        ),
        (Answer::Timeout, "504", "upstream request timeout", 3),
        (Answer::NoHealthyUpstream, "503", "no healthy upstream", 3),
    ] {
        let (id, effects) = bench.ask("call");
        assert!(effects.is_empty());
        let callouts = bench.worker.callouts();
        assert_eq!(
            (callouts.len(), callouts[0].cluster.as_str(), callouts[0].timeout),
            (1, "side", Some(Duration::from_millis(500)))
        );
        let effects = bench.worker.answer_callout(callouts[0].token, answer);
        assert_eq!(effects[0].0, id);
        let seen = lines(&[effects[0].1.clone()]);
        assert_eq!(
            seen,
            [format!(
                "{REQUEST}, x-do: call, x-call-status: {status}, x-call-body: {body}, x-call-headers: {count}] end"
            )]
        );
        bench.worker.close(id);
    }
    let (id, _) = bench.ask("call");
    let token = bench.worker.callouts()[0].token;
    bench.worker.close(id);
    assert!(bench.worker.answer_callout(token, Answer::Timeout).is_empty(), "the client has left");
    assert!(bench.worker.take_traps().is_empty());
}

#[test]
fn metrics_shared_data_queues_ticks_and_time_work() {
    let mut watcher = plugin("watcher", misc());
    watcher.configuration = b"queue".to_vec();
    let mut ticker = plugin("ticker", misc());
    ticker.configuration = b"tick".to_vec();
    let mut bench = Bench::new(&[watcher, ticker]);
    assert_eq!(bench.worker.next_tick(), Some(Duration::from_millis(100)));
    for action in ["metrics", "enqueue"] {
        bench.ask(action);
    }
    assert_eq!(bench.host.metrics().counter("requests"), Some(4), "two filters");
    assert_eq!(bench.host.metrics().gauge("open"), Some(u64::MAX - 1));
    let (_, effects) = bench.ask("shared");
    assert!(effects[0].contains("x-n: 2 Ok("), "{effects:?}");
    assert_eq!(bench.host.shared_data().get("", b"n").unwrap().0, [2]);
    assert_eq!(bench.worker.next_tick(), Some(Duration::ZERO), "the queue has something");
    bench.host.clock().advance(Duration::from_millis(350));
    bench.worker.tick();
    assert!(bench.log().iter().filter(|line| line.starts_with("info: took item")).count() == 2);
    assert_eq!(bench.host.metrics().counter("ticks"), Some(1), "the next period starts after the callback");
    assert_eq!(bench.worker.next_tick(), Some(Duration::from_millis(100)));
    let (_, effects) = bench.ask("wall");
    assert!(effects[0].contains("x-now: 1700000000]"), "{effects:?}");
}

#[test]
fn properties_come_from_the_attributes_and_the_route_follows_the_headers() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let route = |headers: &host_test::HeaderMap| {
        let name = if headers.get(b"x-path").is_some() { "changed" } else { "first" };
        Some(RouteInfo {
            name: name.to_owned(),
            metadata: BTreeMap::from([("a".to_owned(), Value::Double(1.0))]),
            ..RouteInfo::default()
        })
    };
    let id = bench.worker.open(Attributes { route: Some(Rc::new(route)), ..Attributes::default() });
    let effects = lines(&bench.worker.request_headers(id, get(&[("x-do", "property")]), true));
    assert_eq!(effects, [format!("{REQUEST}, x-do: property, x-path: /p?q=1, x-route: first, x-mine: state] end")]);
}

#[test]
fn a_gateways_own_reply_goes_through_the_filters() {
    let mut bench = Bench::new(&[plugin("misc", misc())]);
    let (id, _) = bench.ask("nothing");
    let reply = LocalReply { status: 404, details: "route_not_found".to_owned(), ..LocalReply::default() };
    assert_eq!(lines(&bench.worker.reply(id, reply)), ["response [:status: 404, x-misc: seen] end"]);
    assert_eq!(bench.worker.close(id).details.as_deref(), Some("route_not_found"));
}

#[test]
fn environment_and_standard_output_reach_the_log() {
    let mut misc = plugin("misc", misc());
    misc.configuration = b"environment".to_vec();
    misc.environment = BTreeMap::from([("A".to_owned(), "b".to_owned()), ("C".to_owned(), String::new())]);
    let bench = Bench::new(&[misc]);
    assert_eq!(bench.log(), ["info: A=b C="]);
}

#[test]
fn filters_log_in_request_order_and_read_headers_again() {
    let mut bench = Bench::new(&["one", "two"].map(|name| plugin(name, misc())));
    let (id, _) = bench.ask("log");
    bench.worker.response_headers(id, headers(&[(":status", "204")]), true);
    bench.worker.close(id);
    let log = bench.host.take_log();
    let seen: Vec<_> = log.iter().map(|record| (record.plugin.as_str(), record.text.as_str())).collect();
    assert_eq!(seen, [("one", "status Some([50, 48, 52])"), ("two", "status Some([50, 48, 52])")]);
}
