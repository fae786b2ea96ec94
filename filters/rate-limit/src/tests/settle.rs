//! What is settled, or given back, after a request has passed.

use super::*;

/// A request that passes; its stream goes on.
fn begin(filter: &RateLimit, env: &FixedEnv, headers: &[(&str, &str)]) -> Option<RateLimitStream> {
    let mut head = Head::from_fields([(":method", "POST"), (":path", "/"), (":authority", "a.test")]);
    headers.iter().for_each(|(name, value)| head.add(name, value.as_bytes()).unwrap());
    let mut stream = filter.stream();
    matches!(stream.on_request_head(&mut head, env), Flow::Continue).then_some(stream)
}

/// The response comes; what is left of its head.
fn respond(stream: &mut RateLimitStream, env: &FixedEnv, headers: &[(&str, &str)]) -> Vec<String> {
    let mut head = Head::from_fields(headers.iter().copied());
    stream.on_response_head(&mut head, env);
    head.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

fn left(filter: &RateLimit, env: &FixedEnv) -> String {
    let told = send(filter, env, &[("x-estimate", "0")]).1;
    told.iter().find(|line| line.starts_with("ratelimit:")).unwrap().clone()
}

fn tokens(settle: &str) -> RateLimit {
    limit(
        &format!(
            r#"{{"name": "t", "cost": {{"header": {{"name": "x-estimate", "otherwise": 10}}}}, "settle": {{"header": "x-cost" {settle}}},
                "limits": [{{"units": 100, "per_ms": 100000}}, {{"units": 1000, "window": {{"day": {{}}}}}}]}}"#
        ),
        "",
    )
}

#[test]
fn what_was_too_little_is_a_debt_and_what_was_too_much_comes_back() {
    let (filter, env) = (tokens(""), FixedEnv::default());
    env.set_clocks(SECOND, SECOND);
    let mut stream = begin(&filter, &env, &[("x-estimate", "60")]).unwrap();
    assert!(stream.lasts());
    assert_eq!(left(&filter, &env), r#"ratelimit: "t-1";r=40;t=1, "t-2";r=940;t=86399"#);
    respond(&mut stream, &env, &[(":status", "200"), ("x-cost", "20")]);
    assert_eq!(left(&filter, &env), r#"ratelimit: "t-1";r=80;t=1, "t-2";r=980;t=86399"#);
    stream.on_end(&env);
    assert_eq!(left(&filter, &env), r#"ratelimit: "t-1";r=80;t=1, "t-2";r=980;t=86399"#, "settled once");
    let mut stream = begin(&filter, &env, &[("x-estimate", "1")]).unwrap();
    respond(&mut stream, &env, &[(":status", "200"), ("x-cost", "150")]);
    // 70 less than nothing: the next one is 71 seconds away
    assert_eq!(send(&filter, &env, &[("x-estimate", "1")]).1[0], "retry-after: 71");
    env.set_clocks(72 * SECOND, 72 * SECOND);
    assert_eq!(statuses(&filter, &env, &[("x-estimate", "1")], 2), [200, 429]);
}

#[test]
fn a_debt_outlives_a_new_configuration_and_the_keys_own_place() {
    let (store, env) = (Store::default(), FixedEnv::default());
    let env = env.with_store(Store::clone(&store));
    env.set_clocks(SECOND, 20_000 * 86_400 * SECOND + SECOND);
    let mut stream = begin(&tokens(""), &env, &[("x-estimate", "0")]).unwrap();
    // nothing was taken, so nothing is known of the key; the debt is known all the same
    store.borrow_mut().retain(|key, _| key.ends_with("secret"));
    respond(&mut stream, &env, &[(":status", "200"), ("x-cost", "150")]);
    assert_eq!(send(&tokens(""), &env, &[("x-estimate", "1")]).1[0], "retry-after: 51");
    assert_eq!(left(&tokens(""), &env), r#"ratelimit: "t-1";r=0;t=51, "t-2";r=850;t=86399"#);
}

#[test]
fn without_a_stated_cost_it_stays_or_comes_back() {
    let answers: [Option<&[(&str, &str)]>; 4] = [
        Some(&[(":status", "200")]),
        Some(&[(":status", "503"), ("x-cost", "junk")]),
        None,
        Some(&[(":status", "404")]),
    ];
    for (settle, expected) in [
        ("", [90; 4]),
        (r#", "missing": "refund""#, [100; 4]),
        (r#", "missing": "refund_on_error""#, [90, 100, 100, 100]),
    ] {
        for (answer, expected) in answers.iter().zip(expected) {
            let (filter, env) = (tokens(settle), FixedEnv::default());
            env.set_clocks(SECOND, SECOND);
            let mut stream = begin(&filter, &env, &[]).unwrap();
            if let Some(answer) = answer {
                respond(&mut stream, &env, answer);
            }
            stream.on_end(&env);
            let told = left(&filter, &env);
            assert!(told.contains(&format!("r={expected};")), "{settle} {answer:?}: {told}");
        }
    }
}

#[test]
fn the_header_can_be_kept_from_the_client() {
    for (settle, expected) in [("", true), (r#", "remove": true"#, false)] {
        let (filter, env) = (tokens(settle), FixedEnv::default());
        let mut stream = begin(&filter, &env, &[]).unwrap();
        let names = respond(&mut stream, &env, &[(":status", "200"), ("x-cost", "3")]);
        assert_eq!(names.contains(&"x-cost".to_owned()), expected);
    }
}

#[test]
fn a_request_that_a_shadow_limit_let_through_has_nothing_to_settle() {
    let policy =
        r#"{"name": "t", "enforced": 0, "settle": {"header": "x-cost"}, "limits": [{"units": 1, "per_ms": 100000}]}"#;
    let (filter, env) = (limit(policy, ""), FixedEnv::default());
    begin(&filter, &env, &[]).unwrap();
    let second = begin(&filter, &env, &[]).unwrap();
    assert!(!second.lasts());
}

#[test]
fn bodies_cost_by_their_size_which_may_be_known_at_the_end_only() {
    let policy = r#"{"name": "t", "cost": {"body_bytes": {"per": 10, "otherwise": 2}},
                     "limits": [{"units": 100, "per_ms": 100000}]}"#;
    let filter = limit(policy, "");
    let store = Store::default();
    let env = |size: Option<u64>| {
        let env = FixedEnv::default().with_store(Store::clone(&store));
        env.set_clocks(SECOND, SECOND);
        match size {
            Some(size) => env.with_property(&["request", "size"], &size.to_le_bytes()),
            None => env,
        }
    };
    let left = |expected: &str| {
        let told = send(&filter, &env(None), &[("content-length", "0")]).1;
        assert!(told.iter().any(|line| line.contains(expected)), "{told:?}");
    };
    let stream = begin(&filter, &env(None), &[("content-length", "95")]).unwrap();
    left("r=90;");
    drop(stream);
    let mut stream = begin(&filter, &env(None), &[("transfer-encoding", "chunked")]).unwrap();
    left("r=88;");
    stream.on_end(&env(Some(201)));
    left("r=69;");
    // a host that cannot tell
    let mut stream = begin(&filter, &env(None), &[]).unwrap();
    stream.on_end(&env(None));
    left("r=67;");
    assert!(
        begin(&filter, &env(None), &[("content-length", "99999999999999999999")]).is_some(),
        "no number: it counts at the end"
    );
}

#[test]
fn places_among_those_in_flight_become_free_at_the_end() {
    let policy = r#"{"name": "t", "key": [{"header": "x-api-key"}], "cost": {"constant": 9}, "limits": [{"concurrent": 2}, {"units": 90, "per_ms": 1000}]}"#;
    let (filter, env) = (limit(policy, ""), FixedEnv::default());
    env.set_clocks(SECOND, SECOND);
    let mut first = begin(&filter, &env, &[("x-api-key", "a")]).unwrap();
    let second = begin(&filter, &env, &[("x-api-key", "a")]).unwrap();
    let (status, headers) = send(&filter, &env, &[("x-api-key", "a")]);
    assert_eq!(status, 429);
    assert_eq!(
        headers[..2],
        [
            r#"ratelimit-policy: "t-1";q=2;qu="concurrent-requests", "t-2";q=90;w=1"#,
            r#"ratelimit: "t-1";r=0, "t-2";r=72;t=1"#
        ],
        "no retry-after, and nothing taken of the other limit"
    );
    assert!(begin(&filter, &env, &[("x-api-key", "b")]).is_some(), "another key");
    respond(&mut first, &env, &[(":status", "200")]);
    assert!(begin(&filter, &env, &[("x-api-key", "a")]).is_none(), "the response has begun only");
    first.on_end(&env);
    assert!(begin(&filter, &env, &[("x-api-key", "a")]).is_some());
    // one that nobody sees the end of
    drop(second);
    env.set_clocks(400 * SECOND, SECOND);
    assert!(begin(&filter, &env, &[("x-api-key", "a")]).is_some());
}

#[test]
fn an_estimate_is_cut_down_to_what_fits_and_settled_in_full() {
    let policy = r#"{"name": "t", "limits": [{"units": 100, "per_ms": 100000}]}"#;
    let (filter, env) = (limit(policy, ""), FixedEnv::default());
    env.set_clocks(SECOND, SECOND);
    let head = Head::from_fields([(":method", "POST"), (":path", "/"), (":authority", "a.test")]);
    let Reserved::Passed(passed) = filter.reserve(&head, 5000, &env) else { panic!("refused") };
    assert!(matches!(filter.reserve(&head, 1, &env), Reserved::Refused(reply) if reply.status == 429));
    let mut reservation = passed.reservation.unwrap();
    reservation.settle(130, &env);
    reservation.settle(7, &env);
    reservation.end(&env);
    assert_eq!(send(&filter, &env, &[]).1[0], "retry-after: 31");
}

#[test]
fn settling_to_and_fro_changes_nothing() {
    use proptest::prelude::*;
    let policy = r#"{"name": "t", "limits": [{"units": 100, "per_ms": 100000}, {"units": 500, "window": {"epoch_ms": 1000000}}]}"#;
    let head = Head::from_fields([(":method", "POST"), (":path", "/"), (":authority", "a.test")]);
    proptest!(|(costs in prop::collection::vec((1u64..40, 0u64..40), 1..8))| {
        // what is reserved and settled at the actual cost leaves what taking the actual cost at once leaves
        let (one, other) = (limit(policy, ""), limit(policy, ""));
        let stores = [Store::default(), Store::default()];
        let [env, direct] = stores.each_ref().map(|store| FixedEnv::default().with_store(Store::clone(store)));
        env.set_clocks(SECOND, SECOND);
        direct.set_clocks(SECOND, SECOND);
        for (estimate, actual) in costs {
            let Reserved::Passed(passed) = one.reserve(&head, estimate, &env) else { break };
            let Reserved::Passed(taken) = other.reserve(&head, actual, &direct) else { break };
            drop(taken);
            let mut reservation = passed.reservation.unwrap();
            reservation.settle(actual, &env);
            reservation.end(&env);
            let row = |store: &Store| {
                store.borrow().iter().find(|(key, _)| key.starts_with("l2")).map(|(_, row)| row[8..40].to_vec())
            };
            prop_assert_eq!(row(&stores[0]), row(&stores[1]));
        }
    });
}
