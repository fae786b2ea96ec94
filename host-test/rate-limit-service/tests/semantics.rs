//! What is counted, and what is answered: a row for each rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use proptest::prelude::*;
use rate_limit_protocol::{Descriptor, Entry, Message, Override, Request, Response, Unit};
use rate_limit_service::{Answer, Config, Outcome, Service};
use std::collections::HashMap;
use std::time::Duration;

/// 2023-11-14 22:13:20 UTC: 40 s before the minute ends, 2,800 s before the hour does.
const NOW: Duration = Duration::from_secs(1_700_000_000);

const LIMITS: &str = "
domains:
- domain: shop
  descriptors:
  - key: user
    rate_limit: {requests_per_unit: 3, unit: hour}
    descriptors:
    - {key: path, value: /login, rate_limit: {requests_per_unit: 1, unit: minute, name: login}}
  - {key: user, value: gold, rate_limit: {requests_per_unit: 5, unit: day}}
  - {key: user, value: free, rate_limit: {unlimited: true}}
  - {key: user, value: nil, rate_limit: {requests_per_unit: 0}}
  - {key: try, shadow_mode: true, rate_limit: {requests_per_unit: 1, unit: week}}
  - {key: group, descriptors: [{key: user, rate_limit: {requests_per_unit: 1, unit: year}}]}
";

fn service(more: &str) -> Service {
    let config: Config = serde_saphyr::from_str(&format!("{LIMITS}{more}")).unwrap();
    Service::new(config).unwrap()
}

/// `user=a,path=/b`, with `*0` behind it for its own hits, `-` before them to give back, `@9` for a limit of 9 an hour.
fn descriptor(text: &str) -> Descriptor {
    let (text, limit) = match text.split_once('@') {
        Some((text, limit)) => {
            (text, Some(Override { requests_per_unit: limit.parse().unwrap(), unit: Unit::Hour.into() }))
        }
        None => (text, None),
    };
    let (text, hits) = text.split_once('*').map_or((text, None), |(text, hits)| (text, Some(hits)));
    let entries = text.split(',').map(|entry| entry.split_once('=').unwrap_or((entry, "")));
    Descriptor {
        entries: entries.map(|(key, value)| Entry { key: key.into(), value: value.into() }).collect(),
        limit,
        hits_addend: hits.map(|hits| hits.trim_start_matches('-').parse().unwrap()),
        is_negative_hits: hits.is_some_and(|hits| hits.starts_with('-')),
    }
}

fn request(domain: &str, descriptors: &[&str], hits_addend: u32) -> Vec<u8> {
    let descriptors = descriptors.iter().map(|text| descriptor(text)).collect();
    Request { domain: domain.into(), descriptors, hits_addend }.encode_to_vec()
}

fn ask(service: &mut Service, descriptors: &[&str], hits: u32, now: Duration) -> Response {
    match service.answer(&request("shop", descriptors, hits), now).outcome {
        Outcome::Reply(message) => Response::decode(message.as_slice()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// `Ok: Ok 2/3 Hour 2800` for each descriptor: code, left, limit, unit, seconds to the end.
fn told(response: &Response) -> String {
    let statuses = response.statuses.iter().map(|status| {
        let limit = status.current_limit.as_ref();
        let limit = limit
            .map_or("none".into(), |limit| format!("{} {:?}{}", limit.requests_per_unit, limit.unit(), limit.name));
        let reset = status.duration_until_reset.map_or(0, |reset| reset.seconds);
        format!("{:?} {}/{limit} {reset}", status.code(), status.limit_remaining)
    });
    format!("{:?}: {}", response.overall_code(), statuses.collect::<Vec<_>>().join(", "))
}

#[test]
fn each_rule_of_the_service() {
    type Step<'a> = (&'a [&'a str], u32, &'a str);
    let rows: &[(&str, &str, &[Step<'_>])] = &[
        (
            "a limit is for each value of its key",
            "",
            &[
                (&["user=a"], 0, "Ok: Ok 2/3 Hour 2800"),
                (&["user=b"], 1, "Ok: Ok 2/3 Hour 2800"),
                (&["user=a"], 2, "Ok: Ok 0/3 Hour 2800"),
                (&["user=a"], 1, "OverLimit: OverLimit 0/3 Hour 2800"),
            ],
        ),
        ("a value of its own comes first", "", &[(&["user=gold"], 1, "Ok: Ok 4/5 Day 6400")]),
        (
            "hits that are refused count",
            "",
            &[
                (&["user=a"], 9, "OverLimit: OverLimit 0/3 Hour 2800"),
                (&["user=a"], 1, "OverLimit: OverLimit 0/3 Hour 2800"),
            ],
        ),
        (
            "or do not, where the service checks first",
            "check_first: true",
            &[
                (&["user=a"], 9, "OverLimit: OverLimit 3/3 Hour 2800"),
                (&["user=a", "user=nil"], 1, "OverLimit: Ok 3/3 Hour 2800, OverLimit 0/0 Hour 2800"),
                (&["user=a", "user=a"], 2, "OverLimit: Ok 3/3 Hour 2800, OverLimit 1/3 Hour 2800"),
                (&["user=a"], 3, "Ok: Ok 0/3 Hour 2800"),
            ],
        ),
        (
            "descriptors count by themselves, and one over its limit is enough",
            "",
            &[(
                &["user=a", "user=nil", "user=b"],
                1,
                "OverLimit: Ok 2/3 Hour 2800, OverLimit 0/0 Hour 2800, Ok 2/3 Hour 2800",
            )],
        ),
        (
            "nested entries",
            "",
            &[
                (&["user=a,path=/login"], 1, "Ok: Ok 0/1 Minutelogin 40"),
                (&["user=a,path=/login"], 1, "OverLimit: OverLimit 0/1 Minutelogin 40"),
                (
                    &["user=a,path=/other", "user=a,path=/login,more=x", "path=/login"],
                    1,
                    "Ok: Ok 0/none 0, Ok 0/none 0, Ok 0/none 0",
                ),
                // a sibling with the value has no entries behind it, and hides the one for any value
                (&["user=gold,path=/login"], 1, "Ok: Ok 0/none 0"),
                (&["group=x"], 1, "Ok: Ok 0/none 0"),
                (&["group=x,user=a", "group=y,user=a"], 1, "Ok: Ok 0/1 Year 2944000, Ok 0/1 Year 2944000"),
            ],
        ),
        ("nothing known", "", &[(&["nobody=a"], 1, "Ok: Ok 0/none 0")]),
        ("no limit by name", "", &[(&["user=free"], 99, "Ok: Ok 4294967295/none 0")]),
        ("a limit of nothing", "", &[(&["user=nil"], 1, "OverLimit: OverLimit 0/0 Hour 2800")]),
        ("shadow mode tells and does not refuse", "", &[(&["try=a"], 2, "Ok: Ok 0/1 Week 92800")]),
        (
            "hits of a descriptor, and none",
            "",
            &[
                (&["user=a*2", "user=b*0", "user=c"], 3, "Ok: Ok 1/3 Hour 2800, Ok 3/3 Hour 2800, Ok 0/3 Hour 2800"),
                (&["user=a*0"], 3, "Ok: Ok 1/3 Hour 2800"),
                (&["user=a*4"], 0, "OverLimit: OverLimit 0/3 Hour 2800"),
                (&["user=a*0"], 3, "OverLimit: OverLimit 0/3 Hour 2800"),
            ],
        ),
        (
            "or those of the request only",
            "ignore_descriptor_hits: true",
            &[(&["user=a*0", "user=b*7"], 0, "Ok: Ok 2/3 Hour 2800, Ok 2/3 Hour 2800")],
        ),
        (
            "hits are given back, to no less than none",
            "",
            &[
                (&["user=a"], 3, "Ok: Ok 0/3 Hour 2800"),
                (&["user=a*-2"], 0, "Ok: Ok 2/3 Hour 2800"),
                (&["user=a*-9"], 0, "Ok: Ok 3/3 Hour 2800"),
            ],
        ),
        (
            "a limit of the request's own",
            "",
            &[
                (&["user=a@9"], 1, "Ok: Ok 8/9 Hour 2800"),
                (&["user=a"], 1, "Ok: Ok 1/3 Hour 2800"),
                (&["nobody=a@1"], 2, "OverLimit: OverLimit 0/1 Hour 2800"),
            ],
        ),
        ("no statuses", "statuses: none", &[(&["user=a"], 3, "Ok: "), (&["user=a"], 1, "OverLimit: ")]),
    ];
    for (name, more, steps) in rows {
        let mut service = service(more);
        for (descriptors, hits, expected) in *steps {
            assert_eq!(told(&ask(&mut service, descriptors, *hits, NOW)), *expected, "{name}: {descriptors:?}");
        }
    }
}

#[test]
fn windows_begin_at_multiples_of_their_length() {
    let mut service = service("");
    let at = |seconds: u64| Duration::from_secs(1_700_000_000 + seconds) + Duration::from_millis(999);
    let login: &[&str] = &["user=a,path=/login"];
    assert_eq!(told(&ask(&mut service, login, 1, at(39))), "Ok: Ok 0/1 Minutelogin 1");
    assert_eq!(told(&ask(&mut service, login, 1, at(40))), "Ok: Ok 0/1 Minutelogin 60");
    assert_eq!(told(&ask(&mut service, login, 1, at(99))), "OverLimit: OverLimit 0/1 Minutelogin 1");
    assert_eq!(told(&ask(&mut service, &["user=a"], 3, at(0))), "Ok: Ok 0/3 Hour 2800");
    assert_eq!(told(&ask(&mut service, &["user=a"], 1, at(2800))), "Ok: Ok 2/3 Hour 3600");
}

#[test]
fn a_refusal_has_a_body_and_every_answer_the_headers() {
    let more = "{response_headers: [{key: x-a, value: b}], request_headers: [{key: x-c, value: d, raw: true}], raw_body: slow down}";
    let mut config: Config = serde_saphyr::from_str(LIMITS).unwrap();
    let extra: Config = serde_saphyr::from_str(more).unwrap();
    config = Config { domains: std::mem::take(&mut config.domains), ..extra };
    let mut service = Service::new(config).unwrap();
    for (hits, body) in [(1, &b""[..]), (3, b"slow down")] {
        let response = ask(&mut service, &["user=a"], hits, NOW);
        assert_eq!(response.raw_body, body);
        let (to_client, to_upstream) = (&response.response_headers_to_add[0], &response.request_headers_to_add[0]);
        assert_eq!(
            (to_client.key.as_str(), to_client.value.as_str(), to_client.raw_value.as_slice()),
            ("x-a", "b", &b""[..])
        );
        assert_eq!(
            (to_upstream.key.as_str(), to_upstream.value.as_str(), to_upstream.raw_value.as_slice()),
            ("x-c", "", &b"d"[..])
        );
    }
}

#[test]
fn what_is_no_request_is_an_error() {
    let mut service = service("");
    let failed = |answer: Answer| match answer.outcome {
        Outcome::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(service.answer(b"\xff", NOW)), 13);
    assert_eq!(failed(service.answer(b"", NOW)), 2);
    assert_eq!(failed(service.answer(&request("shop", &[], 1), NOW)), 2);
    assert_eq!(service.calls().len(), 2, "bytes that are no message are not told");
}

#[test]
fn failures_happen_to_whom_they_concern() {
    let mut service = service(
        "faults:
- {value: late, fault: {delay_ms: 70}}
- {value: hang, fault: hang}
- {value: busy, skip: 1, times: 2, fault: {error: {code: 8, message: busy}}}
- {value: bad, fault: garbage}
- {value: empty, fault: empty}
- {value: gone, fault: drop}
",
    );
    let mut ask = |value: &str| service.answer(&request("shop", &["user=a", &format!("x={value}")], 1), NOW);
    assert_eq!(ask("late").after, Duration::from_millis(70));
    assert_eq!(ask("hang").outcome, Outcome::Hang);
    let busy: Vec<bool> = (0..4).map(|_| matches!(ask("busy").outcome, Outcome::Failed { code: 8, .. })).collect();
    assert_eq!(busy, [false, true, true, false]);
    assert!(matches!(ask("bad").outcome, Outcome::Reply(bytes) if Response::decode(bytes.as_slice()).is_err()));
    assert_eq!(ask("empty").outcome, Outcome::Reply(Vec::new()));
    assert_eq!(ask("gone").outcome, Outcome::Drop);
    // only the late answer and the two good ones counted
    assert!(
        matches!(ask("").outcome, Outcome::Reply(bytes) if told(&Response::decode(bytes.as_slice()).unwrap()).starts_with("OverLimit"))
    );
    assert_eq!(service.calls().len(), 10);
}

#[test]
fn calls_are_kept_as_a_test_reads_them() {
    let mut service = service("");
    for (descriptors, hits) in [(&["user=a,path=/b", "x="][..], 0), (&["user=a@9"], 3), (&["user=a*-2", "user=b"], 1)] {
        service.answer(&request("shop", descriptors, hits), NOW);
    }
    let lines: Vec<String> = service.calls().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "shop [user=a, path=/b] [x=] hits 1",
            "shop [user=a, limit 9/hour] hits 3",
            "shop [user=a] [user=b] hits [-2, 1]"
        ]
    );
    let same: Vec<rate_limit_service::Call> = serde_saphyr::from_str(
        "[{domain: shop, descriptors: [[user=a, path=/b], [x=]]}, {domain: shop, descriptors: [[user=a, limit 9/hour]], hits: 3},
          {domain: shop, descriptors: [[user=a], [user=b]], hits: [-2, 1]}]",
    )
    .unwrap();
    assert_eq!(service.calls(), same);
}

#[test]
fn configurations_that_cannot_be_meant_are_refused() {
    for (text, expected) in [
        ("domains: [{domain: ''}]", "domains[0].domain: expected a name"),
        ("domains: [{domain: a}, {domain: a}]", "domains[1].domain: expected names that differ"),
        ("domains: [{domain: a, descriptors: [{key: ''}]}]", "domains[0].descriptors[0].key: expected a name"),
        (
            "domains: [{domain: a, descriptors: [{key: b, descriptors: [{key: c}, {key: c}]}]}]",
            "domains[0].descriptors[0].descriptors[1]: expected entries that differ",
        ),
        ("faults: [{fault: {error: {code: 0}}}]", "faults[0].fault.error.code: expected a gRPC status from 1 to 16"),
    ] {
        let config: Config = serde_saphyr::from_str(text).unwrap();
        assert_eq!(Service::new(config).unwrap_err().to_string(), expected);
    }
}

proptest! {
    /// The naive model: a map from window and entries to a sum.
    #[test]
    fn counts_are_those_of_a_naive_model(
        steps in prop::collection::vec((prop::collection::vec((0..4usize, prop::option::of(0..4u64), any::<bool>()), 1..4), 0..3u32, 0..30u64), 1..60)
    ) {
        const USERS: [(&str, u64, u64); 4] = [("user=a", 3, 3600), ("user=b", 3, 3600), ("user=gold", 5, 86_400), ("user=a,path=/login", 1, 60)];
        let mut service = service("");
        let mut model: HashMap<(usize, u64), u64> = HashMap::new();
        let mut now = NOW;
        for (descriptors, of_request, passes) in steps {
            now += Duration::from_secs(passes);
            let texts: Vec<String> = descriptors.iter().map(|(user, hits, back)| match hits {
                Some(hits) => format!("{}*{}{hits}", USERS[*user].0, if *back { "-" } else { "" }),
                None => USERS[*user].0.to_owned(),
            }).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let response = ask(&mut service, &texts, of_request, now);
            for ((user, hits, back), status) in descriptors.iter().zip(&response.statuses) {
                let (_, limit, length) = USERS[*user];
                let sum = model.entry((*user, now.as_secs() / length)).or_default();
                let taken = hits.unwrap_or(u64::from(of_request.max(1)));
                *sum = if *back && hits.is_some() { sum.saturating_sub(taken) } else { *sum + taken };
                prop_assert_eq!(u64::from(status.limit_remaining), limit.saturating_sub(*sum));
                prop_assert_eq!(status.code() as i32, if *sum > limit { 2 } else { 1 });
            }
        }
    }
}
