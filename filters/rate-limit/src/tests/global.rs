//! Limits that a service keeps.

use super::*;
use filter_kit::{Answer, Callout};
use rate_limit_protocol::{Code, CurrentLimit, Duration, Header, Message, Request, Response, Status, Unit};

const SERVICE: &str = r#", "service": {"cluster": "rls", "domain": "shop", "timeout_ms": 70}"#;

fn global(mode: &str, rest: &str) -> RateLimit {
    global_of(&policy("a", mode, rest), "")
}

fn policy(name: &str, global: &str, rest: &str) -> String {
    format!(
        r#"{{"name": "{name}", "key": [{{"header": "x-api-key"}}], "global": {{"descriptor": ["key"] {global}}} {rest}}}"#
    )
}

fn global_of(policies: &str, rest: &str) -> RateLimit {
    limit(policies, &format!("{SERVICE}{rest}"))
}

/// A request up to its decision, or to the first question.
struct Sent {
    stream: RateLimitStream,
    head: Head,
    flow: Flow,
}

fn ask(filter: &RateLimit, env: &FixedEnv, key: &[u8]) -> Sent {
    let mut head = Head::from_fields([(":method", "GET"), (":path", "/"), (":authority", "a.test")]);
    head.add("x-api-key", key).unwrap();
    let mut stream = filter.stream();
    let flow = stream.on_request_head(&mut head, env);
    Sent { stream, head, flow }
}

impl Sent {
    fn callout(&self) -> &Callout {
        let Flow::Call(callout) = &self.flow else { panic!("it asks nobody: {:?}", self.flow) };
        callout
    }

    fn question(&self) -> Request {
        Request::decode(self.callout().message.as_slice()).unwrap()
    }

    fn answered(mut self, answer: Answer, env: &FixedEnv) -> Self {
        self.callout();
        self.flow = self.stream.on_answer(&mut self.head, None, answer, env);
        self
    }

    /// The status, and the headers of the response.
    fn done(mut self, env: &FixedEnv) -> (u16, Vec<String>) {
        let shown = |name: &str, value: &[u8]| format!("{name}: {}", String::from_utf8_lossy(value));
        match self.flow {
            Flow::Reply(reply) => {
                (reply.status, reply.headers.iter().map(|(name, value)| shown(name, value)).collect())
            }
            Flow::Continue => {
                let mut response = Head::default();
                self.stream.on_response_head(&mut response, env);
                self.stream.on_end(env);
                let headers = response.iter().map(|(name, value)| shown(&String::from_utf8_lossy(name), value));
                (200, headers.collect())
            }
            other => panic!("undecided: {other:?}"),
        }
    }
}

fn status(code: Code, remaining: u32) -> Status {
    Status {
        code: code.into(),
        current_limit: Some(CurrentLimit { requests_per_unit: 100, unit: Unit::Hour.into(), name: String::new() }),
        limit_remaining: remaining,
        duration_until_reset: Some(Duration { seconds: 30, nanos: 0 }),
    }
}

fn says(code: Code, statuses: Vec<Status>) -> Answer {
    Answer::Message(Response { overall_code: code.into(), statuses, ..Response::default() }.encode_to_vec())
}

fn env() -> FixedEnv {
    let env = FixedEnv::default();
    env.set_clocks(SECOND, SECOND);
    env
}

#[test]
fn each_request_asks_and_is_told() {
    let (filter, env) = (global("", ""), env());
    let sent = ask(&filter, &env, b"k1");
    let question = sent.question();
    assert_eq!((sent.callout().cluster.as_str(), sent.callout().timeout_ms), ("rls", 70));
    assert_eq!((question.domain.as_str(), question.hits_addend), ("shop", 1));
    let [descriptor] = question.descriptors.as_slice() else { panic!("{question:?}") };
    assert_eq!((descriptor.entries[0].key.as_str(), descriptor.entries[0].value.as_str()), ("key", "k1"));
    assert_eq!((descriptor.hits_addend, descriptor.is_negative_hits, descriptor.limit.clone()), (None, false, None));
    let told = sent.answered(says(Code::Ok, vec![status(Code::Ok, 7)]), &env).done(&env);
    assert_eq!(
        told,
        (200, [r#"ratelimit-policy: "a";q=100;w=3600"#, r#"ratelimit: "a";r=7;t=30"#].map(String::from).to_vec())
    );
    let sent = ask(&filter, &env, b"k1");
    let told = sent.answered(says(Code::OverLimit, vec![status(Code::OverLimit, 0)]), &env).done(&env);
    assert_eq!((told.0, told.1[0].as_str()), (429, "retry-after: 30"));
    assert_eq!(
        counted(&filter, &env),
        [
            "sluice_ratelimit.policy.a.result.allowed.requests_total 1",
            "sluice_ratelimit.policy.a.result.limited.requests_total 1",
            "sluice_ratelimit.outcome.ok.service_calls_total 1",
            "sluice_ratelimit.outcome.over_limit.service_calls_total 1"
        ]
    );
    assert_eq!(filter.state_bytes(), 0);
}

#[test]
fn a_service_that_tells_no_statuses_is_obeyed_all_the_same() {
    let (filter, env) = (global("", ""), env());
    assert_eq!(ask(&filter, &env, b"k").answered(says(Code::Ok, vec![]), &env).done(&env), (200, vec![]));
    let (code, headers) = ask(&filter, &env, b"k").answered(says(Code::OverLimit, vec![]), &env).done(&env);
    assert_eq!(
        (code, headers.as_slice()),
        (429, &["retry-after: 1".to_owned(), "content-type: application/problem+json".to_owned()][..])
    );
}

#[test]
fn nonsense_and_silence_are_failures_and_the_mode_decides() {
    let local = r#", "limits": [{"units": 1, "per_ms": 60000}]"#;
    let failures = [
        Answer::Failed(14),
        Answer::Failed(4),
        Answer::Message(vec![0xff; 9]),
        Answer::Message(Vec::new()),
        says(Code::Unknown, vec![status(Code::Ok, 1)]),
        Answer::Message(vec![0x08, 0x63]),
    ];
    for answer in failures {
        for mode in ["strict", "lease"] {
            for (on_error, limits, expected) in
                [("open", "", [200, 200]), ("closed", "", [503, 503]), ("local", local, [200, 429])]
            {
                let filter = global(&format!(r#", "mode": "{mode}", "on_error": "{on_error}""#), limits);
                let env = env();
                let said = [0, 1].map(|_| ask(&filter, &env, b"k").answered(answer.clone(), &env).done(&env).0);
                assert_eq!(said, expected, "{mode} {on_error} {answer:?}");
                assert_eq!(env.errors().len(), 1, "{:?}", env.errors());
            }
        }
    }
}

#[test]
fn descriptors_hold_text_of_a_length_that_a_store_can_bear() {
    let env = env();
    let value =
        |filter: &RateLimit, key: &[u8]| ask(filter, &env, key).question().descriptors[0].entries[0].value.clone();
    let plain = global("", "");
    assert_eq!(value(&plain, "gr\u{fc}n".as_bytes()), "gr\u{fc}n");
    for key in [&b"\xff\xfe"[..], &[b'x'; 257]] {
        let hashed = value(&plain, key);
        assert!(hashed.len() == 32 && hashed.bytes().all(|b| b.is_ascii_hexdigit()), "{hashed}");
    }
    assert_ne!(value(&plain, b"\xff"), value(&plain, b"\xfe"));
    assert_eq!(value(&plain, &[b'x'; 256]).len(), 256);
    let hashing = global(r#", "hash_values": true"#, "");
    assert_eq!(value(&hashing, b"secret").len(), 32);
    let address = r#"{"name": "a", "key": [{"source_address": {"ipv4_bits": 24}}, "method"], "global": {"descriptor": ["from", "how"]}}"#;
    let env = FixedEnv::default().with_source_address("10.1.2.3".parse().unwrap());
    let entries = ask(&global_of(address, ""), &env, b"k").question().descriptors.remove(0).entries;
    let entries: Vec<_> = entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
    assert_eq!(entries, ["from=10.1.2.0", "how=GET"]);
}

#[test]
fn all_policies_ask_in_one_call_and_the_one_that_refused_is_named() {
    let two = format!("{}, {}, {}", policy("a", "", ""), policy("b", "", r#", "cost": {"constant": 3}"#), DEMO);
    let (filter, env) = (global_of(&two, ""), env());
    let sent = ask(&filter, &env, b"k");
    let question = sent.question();
    let hits: Vec<_> = question.descriptors.iter().map(|descriptor| descriptor.hits_addend).collect();
    assert_eq!(
        (question.hits_addend, hits),
        (3, vec![Some(1), Some(3)]),
        "who knows no hits of a descriptor counts too many"
    );
    let answer = says(Code::OverLimit, vec![status(Code::Ok, 5), status(Code::OverLimit, 0)]);
    let sent = sent.answered(answer, &env);
    let Flow::Reply(reply) = &sent.flow else { panic!() };
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""violated-policies":["b"]"#));
    // the local policy has got back what it gave: it has three
    for expected in [200, 200, 200, 429] {
        let sent = ask(&filter, &env, b"k");
        let said = if matches!(sent.flow, Flow::Call(_)) { sent.answered(says(Code::Ok, vec![]), &env) } else { sent };
        assert_eq!(said.done(&env).0, expected);
    }
}

#[test]
fn a_request_that_a_local_policy_refuses_asks_nobody() {
    let one = policy("a", "", "");
    let (filter, env) =
        (global_of(&format!(r#"{one}, {{"name": "l", "limits": [{{"units": 1, "per_ms": 60000}}]}}"#), ""), env());
    assert_eq!(ask(&filter, &env, b"k").answered(says(Code::Ok, vec![]), &env).done(&env).0, 200);
    assert_eq!(ask(&filter, &env, b"k").done(&env).0, 429);
}

#[test]
fn headers_and_body_of_the_service_are_passed_on_if_they_are_fit_for_it() {
    let header = |key: &str, value: &str| Header { key: key.into(), value: value.into(), raw_value: Vec::new() };
    let raw = Header { key: "x-raw".into(), value: String::new(), raw_value: vec![0xff] };
    let bad =
        [header("content-length", "9"), header(":status", "200"), header("a b", "x"), header("x-split", "a\r\nb: c")];
    let response = |code: Code| {
        let mut headers = vec![header("X-Good", "1"), raw.clone()];
        headers.extend(bad.clone());
        let response = Response {
            overall_code: code.into(),
            response_headers_to_add: headers.clone(),
            request_headers_to_add: headers,
            raw_body: b"slow down".to_vec(),
            ..Response::default()
        };
        Answer::Message(response.encode_to_vec())
    };
    let (filter, env) = (global("", ""), env());
    let sent = ask(&filter, &env, b"k").answered(response(Code::Ok), &env);
    let seen: Vec<_> = sent.head.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(seen[4..], ["x-good", "x-raw"]);
    assert_eq!(sent.done(&env).1.len(), 2);
    let sent = ask(&filter, &env, b"k").answered(response(Code::OverLimit), &env);
    let Flow::Reply(reply) = sent.flow else { panic!() };
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(
        (names, reply.body.as_slice()),
        (vec!["retry-after", "x-good", "x-raw", "content-type"], &b"slow down"[..])
    );
}

#[test]
fn a_lease_is_spent_here_and_filled_up_while_nobody_waits() {
    let (filter, env) = (global(r#", "mode": "lease", "lease": {"units": 8}"#, ""), env());
    let sent = ask(&filter, &env, b"k");
    assert_eq!(sent.question().hits_addend, 8);
    assert_eq!(sent.answered(says(Code::Ok, vec![status(Code::Ok, 92)]), &env).done(&env).0, 200);
    for _ in 0..6 {
        assert_eq!(ask(&filter, &env, b"k").done(&env).0, 200);
    }
    let calls = env.take_calls();
    let [(callout, tag)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(Request::decode(callout.message.as_slice()).unwrap().hits_addend, 8);
    filter.on_answer(*tag, says(Code::Ok, vec![status(Code::Ok, 84)]), &env);
    filter.on_answer(*tag, says(Code::Ok, vec![status(Code::Ok, 84)]), &env);
    let spent = (0..100).take_while(|_| matches!(ask(&filter, &env, b"k").flow, Flow::Continue)).count();
    assert_eq!(spent, 9, "each answer counts once");
    assert!(matches!(ask(&filter, &env, b"other").flow, Flow::Call(_)));
    assert_eq!(filter.state_bytes(), 4096 * 8 * (8 + 32));
}

#[test]
fn a_lease_that_is_too_much_is_followed_by_a_question_for_one() {
    let (filter, env) = (global(r#", "mode": "lease", "lease": {"units": 8}"#, ""), env());
    let no = || says(Code::OverLimit, vec![status(Code::OverLimit, 0)]);
    let sent = ask(&filter, &env, b"k").answered(no(), &env);
    assert_eq!(sent.question().hits_addend, 1);
    assert_eq!(sent.answered(says(Code::Ok, vec![status(Code::Ok, 3)]), &env).done(&env).0, 200);
    // three are left there, so it asks for one at a time now
    let sent = ask(&filter, &env, b"k").answered(no(), &env);
    assert_eq!(sent.done(&env).0, 429);
    let (code, headers) = ask(&filter, &env, b"k").done(&env);
    assert_eq!((code, headers[0].as_str()), (429, "retry-after: 30"), "nobody is asked any more");
    env.set_clocks(32 * SECOND, 32 * SECOND);
    assert!(matches!(ask(&filter, &env, b"k").flow, Flow::Call(_)));
}

#[test]
fn usage_is_told_afterwards_and_a_no_closes() {
    let limits = r#", "limits": [{"units": 10, "per_ms": 60000}]"#;
    let (filter, env) = (global(r#", "mode": "report", "report": {"units": 3}"#, limits), env());
    let passes = || ask(&filter, &env, b"k").done(&env).0;
    assert_eq!([passes(), passes()], [200; 2]);
    assert!(env.take_calls().is_empty());
    assert_eq!(passes(), 200);
    let (callout, tag) = env.take_calls().remove(0);
    assert_eq!(Request::decode(callout.message.as_slice()).unwrap().hits_addend, 3);
    // nobody has heard it: it is told with what comes
    filter.on_answer(tag, Answer::Failed(14), &env);
    assert_eq!(passes(), 200);
    let (callout, tag) = env.take_calls().remove(0);
    assert_eq!(Request::decode(callout.message.as_slice()).unwrap().hits_addend, 4);
    filter.on_answer(tag, says(Code::OverLimit, vec![status(Code::OverLimit, 0)]), &env);
    let (code, headers) = ask(&filter, &env, b"k").done(&env);
    assert_eq!((code, headers[0].as_str()), (429, "retry-after: 30"));
    assert_eq!(ask(&filter, &env, b"other").done(&env).0, 200);
    env.set_clocks(32 * SECOND, 32 * SECOND);
    assert_eq!(passes(), 200);
}

#[test]
fn debts_are_told_to_the_service_and_refunds_if_it_takes_them() {
    for refunds in [false, true] {
        let service = SERVICE.replace('}', &format!(r#", "refunds": {refunds}}}"#));
        let settling = policy("a", "", r#", "cost": {"constant": 5}, "settle": {"header": "x-cost"}"#);
        let (filter, env) = (limit(&settling, &service), env());
        for (cost, expected) in [("5", None), ("9", Some((4, false))), ("2", refunds.then_some((3, true)))] {
            let mut sent = ask(&filter, &env, b"k").answered(says(Code::Ok, vec![]), &env);
            sent.stream.on_response_head(&mut Head::from_fields([(":status", "200"), ("x-cost", cost)]), &env);
            sent.stream.on_end(&env);
            let told = env.take_calls().pop().map(|(callout, _)| {
                let question = Request::decode(callout.message.as_slice()).unwrap();
                let descriptor = &question.descriptors[0];
                (descriptor.hits_addend.unwrap_or(question.hits_addend.into()), descriptor.is_negative_hits)
            });
            assert_eq!(told, expected, "{cost} {refunds}");
        }
    }
}

#[test]
fn limits_are_sent_along_in_the_services_terms() {
    for (limits, expected) in [
        (r#"[{"units": 7, "per_ms": 1000}]"#, (7, Unit::Second)),
        (r#"[{"units": 7, "window": {"epoch_ms": 60000}}]"#, (7, Unit::Minute)),
        (r#"[{"units": 7, "window": {"day": {}}}]"#, (7, Unit::Day)),
    ] {
        let filter = global(r#", "send_limit": true"#, &format!(r#", "limits": {limits}"#));
        let sent = ask(&filter, &env(), b"k").question().descriptors.remove(0).limit.unwrap();
        assert_eq!((sent.requests_per_unit, sent.unit()), expected);
    }
}

#[test]
fn shadow_policies_ask_and_let_pass() {
    let (filter, env) = (global("", r#", "enforced": 0"#), env());
    let no = says(Code::OverLimit, vec![status(Code::OverLimit, 0)]);
    assert_eq!(ask(&filter, &env, b"k").answered(no, &env).done(&env), (200, vec![]));
    assert!(counted(&filter, &env)[0].contains("shadow_limited"));
}

#[test]
fn who_leaves_while_the_service_is_asked_has_taken_nothing() {
    let own = r#"{"name": "places", "limits": [{"concurrent": 1}]}, {"name": "units", "limits": [{"units": 1, "per_ms": 60000}]}"#;
    let (filter, env) = (limit(&format!("{own}, {}", policy("a", "", "")), SERVICE), env());
    for _ in 0..3 {
        let mut sent = ask(&filter, &env, b"k");
        sent.callout();
        assert!(sent.stream.lasts(), "else nobody tells it of the end");
        sent.stream.on_end(&env);
    }
    let sent = ask(&filter, &env, b"k").answered(says(Code::Ok, vec![]), &env);
    assert_eq!(sent.flow, Flow::Continue);
    let Flow::Reply(reply) = ask(&filter, &env, b"k").flow else { panic!("the place is taken") };
    assert_eq!(reply.status, 429);
}

const LEASE: &str = r#", "mode": "lease", "lease": {"units": 10, "lasts_ms": 60000}"#;

/// How many requests pass, with nobody there to ask.
fn pass_alone(filter: &RateLimit, env: &FixedEnv, times: usize) -> usize {
    let once = || {
        let sent = ask(filter, env, b"k");
        let sent = if matches!(sent.flow, Flow::Call(_)) { sent.answered(Answer::Failed(14), env) } else { sent };
        for (_, tag) in env.take_calls() {
            filter.on_answer(tag, Answer::Failed(14), env);
        }
        sent.done(env).0 == 200
    };
    (0..times).filter(|_| once()).count()
}

#[test]
fn a_lease_is_spent_to_its_end_without_the_service_and_no_further() {
    let (filter, env) = (global(&format!(r#"{LEASE}, "on_error": "closed""#), ""), env());
    let sent = ask(&filter, &env, b"k").answered(says(Code::Ok, vec![status(Code::Ok, 90)]), &env);
    assert_eq!(sent.done(&env).0, 200);
    assert_eq!(pass_alone(&filter, &env, 40), 9);
}

#[test]
fn what_own_limits_decide_in_place_of_the_service_pays_no_lease() {
    let rest = r#", "limits": [{"units": 4, "per_ms": 3600000}], "settle": {"header": "x-cost"}"#;
    let leased = policy("a", &format!(r#"{LEASE}, "on_error": "local""#), rest);
    let strict = policy("b", r#", "on_error": "closed""#, "");
    let yes = |count| says(Code::Ok, vec![status(Code::Ok, 90); count]);

    // what costs less than was taken goes back to who has paid
    let (filter, env) = (limit(&leased, SERVICE), env());
    ask(&filter, &env, b"k").answered(yes(1), &env).done(&env);
    assert_eq!(pass_alone(&filter, &env, 9), 9);
    for _ in 0..5 {
        let mut sent = ask(&filter, &env, b"k").answered(Answer::Failed(14), &env);
        assert_eq!(sent.flow, Flow::Continue);
        sent.stream.on_response_head(&mut Head::from_fields([(":status", "200"), ("x-cost", "0")]), &env);
        sent.stream.on_end(&env);
    }
    assert_eq!(pass_alone(&filter, &env, 40), 4);

    // and so does what was taken for a request that another policy refuses
    let (filter, env) = (limit(&format!("{leased}, {strict}"), SERVICE), self::env());
    ask(&filter, &env, b"k").answered(yes(2), &env).done(&env);
    for _ in 0..9 {
        let sent = ask(&filter, &env, b"k");
        assert_eq!(sent.question().descriptors.len(), 1, "the lease pays");
        assert_eq!(sent.answered(yes(1), &env).done(&env).0, 200);
        for (_, tag) in env.take_calls() {
            filter.on_answer(tag, Answer::Failed(14), &env);
        }
    }
    for _ in 0..5 {
        let sent = ask(&filter, &env, b"k");
        assert_eq!(sent.question().descriptors.len(), 2, "it is spent");
        assert_eq!(sent.answered(Answer::Failed(14), &env).done(&env).0, 503);
    }
}
