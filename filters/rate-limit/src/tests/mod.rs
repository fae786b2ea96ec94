mod global;
mod settle;

use super::*;
use filter_kit::env::Store;
use filter_kit::{CounterId, Filter, FixedEnv, Flow, Head, Reply, Stream};

const SECOND: u64 = 1_000_000_000;

fn limit(policies: &str, rest: &str) -> RateLimit {
    RateLimit::from_config(format!(r#"{{"policies": [{policies}] {rest}}}"#).as_bytes()).unwrap()
}

const DEMO: &str = r#"{"name": "demo", "key": [{"header": "x-api-key"}], "limits": [{"units": 3, "per_ms": 60000}]}"#;

/// One request at a time; the status, and what the client is told.
fn send(filter: &RateLimit, env: &FixedEnv, headers: &[(&str, &str)]) -> (u16, Vec<String>) {
    let mut head = Head::from_fields([(":method", "GET"), (":path", "/"), (":authority", "a.test")]);
    headers.iter().for_each(|(name, value)| head.add(name, value.as_bytes()).unwrap());
    let mut stream = filter.stream();
    let shown = |name: &str, value: &[u8]| format!("{name}: {}", String::from_utf8_lossy(value));
    match stream.on_request_head(&mut head, env) {
        Flow::Reply(reply) => (reply.status, reply.headers.iter().map(|(name, value)| shown(name, value)).collect()),
        _ => {
            let mut response = Head::default();
            if stream.lasts() {
                stream.on_response_head(&mut response, env);
            }
            (200, response.iter().map(|(name, value)| shown(&String::from_utf8_lossy(name), value)).collect())
        }
    }
}

fn statuses(filter: &RateLimit, env: &FixedEnv, headers: &[(&str, &str)], times: usize) -> Vec<u16> {
    (0..times).map(|_| send(filter, env, headers).0).collect()
}

fn counted(filter: &RateLimit, env: &FixedEnv) -> Vec<String> {
    let names = (0u32..).zip(filter.metrics().names());
    let counted = names.map(|(id, name)| (name, env.counted(CounterId(id)))).filter(|(_, count)| *count > 0);
    counted.map(|(name, count)| format!("{name} {count}")).collect()
}

#[test]
fn a_key_gets_its_units_and_is_told_what_is_left() {
    let (filter, env) = (limit(DEMO, ""), FixedEnv::default());
    env.set_clocks(SECOND, SECOND);
    assert_eq!(
        send(&filter, &env, &[("x-api-key", "a")]),
        (200, vec![r#"ratelimit-policy: "demo";q=3;w=60"#.to_owned(), r#"ratelimit: "demo";r=2;t=20"#.to_owned()])
    );
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "a")], 3), [200, 200, 429]);
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "b")], 4), [200, 200, 200, 429]);
    env.set_clocks(11 * SECOND, 11 * SECOND);
    assert_eq!(
        send(&filter, &env, &[("x-api-key", "a")]),
        (
            429,
            [
                "retry-after: 10",
                r#"ratelimit-policy: "demo";q=3;w=60"#,
                r#"ratelimit: "demo";r=0;t=10"#,
                "content-type: application/problem+json"
            ]
            .map(String::from)
            .to_vec()
        )
    );
    env.set_clocks(21 * SECOND, 21 * SECOND);
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "a")], 2), [200, 429]);
    assert_eq!(
        counted(&filter, &env),
        [
            "sluice_ratelimit.policy.demo.result.allowed.requests_total 7",
            "sluice_ratelimit.policy.demo.result.limited.requests_total 4"
        ]
    );
}

#[test]
fn requests_without_a_key_are_skipped_refused_or_share_one() {
    for (missing, expected) in [("skip", [200; 4]), ("deny", [429; 4]), ("shared", [200, 200, 200, 429])] {
        let policy = DEMO.replace(r#""limits""#, &format!(r#""missing_key": "{missing}", "limits""#));
        let (filter, env) = (limit(&policy, ""), FixedEnv::default());
        assert_eq!(statuses(&filter, &env, &[], 4), expected, "{missing}");
    }
}

#[test]
fn several_limits_are_taken_all_or_none() {
    let second = r#"{"name": "all", "limits": [{"units": 4, "per_ms": 60000, "name": "a"},
                     {"units": 100, "window": {"day": {}}, "name": "day"}]}"#;
    let (filter, env) = (limit(&format!("{DEMO}, {second}"), ""), FixedEnv::default());
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "a")], 5), [200, 200, 200, 429, 429]);
    // the refusals of `demo` have taken nothing of the others
    let (status, told) = send(&filter, &env, &[("x-api-key", "b")]);
    assert_eq!(status, 200);
    assert_eq!(told[1], r#"ratelimit: "demo";r=2;t=20, "a";r=0;t=15, "day";r=96;t=86400"#);
    let mut head = Head::from_fields([(":path", "/"), ("x-api-key", "a")]);
    let Flow::Reply(Reply { body, .. }) = filter.stream().on_request_head(&mut head, &env) else { panic!("passed") };
    assert!(String::from_utf8(body).unwrap().contains(r#""violated-policies":["demo","a"]"#));
    // and those of `all` have taken nothing of `demo`
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "b")], 3), [429; 3]);
    env.set_clocks(3600 * SECOND, 3600 * SECOND);
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "b")], 4), [200, 200, 200, 429]);
}

#[test]
fn tiers_have_numbers_of_their_own() {
    let policy = r#"{"name": "p", "key": [{"header": "k"}], "limits": [{"units": 1, "per_ms": 60000}],
        "tiers": {"gold": [{"units": 3}]}, "tier_keys": {"vip": "gold"}, "tier_header": "x-plan"}"#;
    let (filter, env) = (limit(policy, ""), FixedEnv::default());
    assert_eq!(statuses(&filter, &env, &[("k", "a")], 2), [200, 429]);
    assert_eq!(statuses(&filter, &env, &[("k", "vip")], 4), [200, 200, 200, 429]);
    assert_eq!(statuses(&filter, &env, &[("k", "b"), ("x-plan", "gold")], 4), [200, 200, 200, 429]);
    assert_eq!(statuses(&filter, &env, &[("k", "c"), ("x-plan", "none")], 2), [200, 429]);
}

#[test]
fn costs_come_from_headers() {
    let policy = r#"{"name": "p", "limits": [{"units": 10, "per_ms": 60000}], "cost": {"header": {"name": "x-cost", "otherwise": 2}}}"#;
    let (filter, env) = (limit(policy, ""), FixedEnv::default());
    assert_eq!(send(&filter, &env, &[("x-cost", "5")]).0, 200);
    assert_eq!(send(&filter, &env, &[("x-cost", "junk")]).1[1], r#"ratelimit: "p";r=3;t=6"#);
    assert_eq!(send(&filter, &env, &[("x-cost", "4")]).0, 429);
    assert_eq!(send(&filter, &env, &[("x-cost", "3")]).0, 200);
    // what never fits has no `retry-after`
    assert_eq!(send(&filter, &env, &[("x-cost", "11")]).1[0], r#"ratelimit-policy: "p";q=10;w=60"#);
    assert_eq!(send(&filter, &env, &[("x-cost", "99999999999999999999999")]).0, 429);
}

#[test]
fn shadow_limits_are_counted_and_not_told() {
    let policy = DEMO.replace(r#""limits""#, r#""enforced": 0, "limits""#);
    let (filter, env) = (limit(&policy, ""), FixedEnv::default());
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "a")], 5), [200; 5]);
    assert_eq!(send(&filter, &env, &[("x-api-key", "a")]).1, [""; 0]);
    assert_eq!(
        counted(&filter, &env),
        [
            "sluice_ratelimit.policy.demo.result.allowed.requests_total 3",
            "sluice_ratelimit.policy.demo.result.shadow_limited.requests_total 3"
        ]
    );
}

#[test]
fn a_refused_client_is_not_told_of_shadow_limits_either() {
    let shadow = r#"{"name": "tried", "enforced": 0, "limits": [{"units": 9, "per_ms": 60000}]}"#;
    let (filter, env) = (limit(&format!("{shadow}, {DEMO}"), ""), FixedEnv::default());
    assert_eq!(statuses(&filter, &env, &[("x-api-key", "a")], 3), [200; 3]);
    let (status, told) = send(&filter, &env, &[("x-api-key", "a")]);
    assert_eq!((status, told[2].as_str()), (429, r#"ratelimit: "demo";r=0;t=20"#));
}

#[test]
fn a_key_without_a_place_is_not_told_to_wait() {
    let policy = DEMO.replace(r#""units": 3"#, r#""units": 1"#);
    let (filter, env) = (limit(&policy, r#", "table": {"rows": 1, "on_full": "deny"}"#), FixedEnv::default());
    for key in 0..8 {
        assert_eq!(send(&filter, &env, &[("x-api-key", &format!("{key}"))]).0, 200);
    }
    let (status, told) = send(&filter, &env, &[("x-api-key", "9")]);
    assert_eq!((status, told), (429, vec!["content-type: application/problem+json".to_owned()]));
}

#[test]
fn a_limit_that_becomes_one_of_the_other_kind_starts_anew() {
    let window = r#"{"name": "p", "limits": [{"units": 1, "window": {"epoch_ms": 1000}}]}"#;
    let bucket = r#"{"name": "p", "limits": [{"units": 1, "per_ms": 1000}]}"#;
    let env = FixedEnv::default();
    env.set_clocks(SECOND, 1_700_000_000 * SECOND);
    assert_eq!(statuses(&limit(window, ""), &env, &[], 2), [200, 429]);
    assert_eq!(statuses(&limit(bucket, ""), &env, &[], 2), [200, 429]);
    assert_eq!(statuses(&limit(&bucket.replace("1000", "500"), ""), &env, &[], 1), [429], "and else goes on");
}

#[test]
fn workers_share_their_state_or_do_not() {
    let store = Store::default();
    for (scope, expected) in [("process", [200, 429, 429]), ("worker", [200, 200, 429])] {
        let table = format!(r#", "table": {{"scope": "{scope}"}}"#);
        let policy = DEMO.replace("demo", scope);
        let workers = [limit(&policy, &table), limit(&policy, &table)];
        let envs = [(); 2].map(|()| FixedEnv::new(7).with_store(Store::clone(&store)));
        assert_eq!(statuses(&workers[0], &envs[0], &[("x-api-key", "a")], 2), [200; 2]);
        let mut seen = statuses(&workers[1], &envs[1], &[("x-api-key", "a")], 2);
        seen.extend(statuses(&workers[0], &envs[0], &[("x-api-key", "a")], 2).last());
        assert_eq!(seen, expected, "{scope}");
    }
}

#[test]
fn a_lost_race_is_decided_anew_and_an_endless_one_ends() {
    let (filter, env) = (limit(DEMO, ""), FixedEnv::default());
    assert_eq!(send(&filter, &env, &[("x-api-key", "a")]).0, 200);
    env.contend(5);
    assert_eq!(send(&filter, &env, &[("x-api-key", "a")]).1[1], r#"ratelimit: "demo";r=1;t=20"#);
    assert!(counted(&filter, &env).contains(&"sluice_ratelimit.policy.demo.cas_retries_total 5".to_owned()));
    env.contend(1000);
    assert_eq!(send(&filter, &env, &[("x-api-key", "a")]).0, 503);
    let open = limit(DEMO, r#", "table": {"on_contention": "allow"}"#);
    assert_eq!(send(&open, &env, &[("x-api-key", "a")]).0, 200);
}

#[test]
fn a_hundred_thousand_keys_need_no_more_memory_than_ten_thousand() {
    for on_full in ["evict", "deny"] {
        let filter = limit(DEMO, &format!(r#", "table": {{"rows": 16, "on_full": "{on_full}"}}"#));
        let store = Store::default();
        let env = FixedEnv::new(3).with_store(Store::clone(&store));
        let size = || store.borrow().iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let mut sizes = Vec::new();
        for keys in [10_000, 100_000] {
            (0..keys).for_each(|key| {
                send(&filter, &env, &[("x-api-key", &format!("key-{key}"))]);
            });
            sizes.push(size());
        }
        assert_eq!(sizes[0], sizes[1]);
        assert_eq!(u64::try_from(sizes[0]).unwrap(), filter.state_bytes() + 16 + 8 + 16 * 19);
        // 128 keys fit; the others make room or are refused
        let places: u64 = counted(&filter, &env)
            .iter()
            .filter(|line| line.contains("evictions") || line.contains("table_full"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert!(places > 109_000, "{places}");
    }
}

#[test]
fn a_key_without_a_place_is_counted_once() {
    let shadow = |name: &str| {
        format!(
            r#"{{"name": "{name}", "key": [{{"header": "x-api-key"}}], "enforced": 0, "limits": [{{"units": 1, "per_ms": 60000}}]}}"#
        )
    };
    let filter = limit(&[shadow("a"), shadow("b")].join(","), r#", "table": {"rows": 1, "on_full": "deny"}"#);
    let env = FixedEnv::default();
    for key in 0..9 {
        assert_eq!(send(&filter, &env, &[("x-api-key", &key.to_string())]).0, 200);
    }
    let full: Vec<_> = counted(&filter, &env).into_iter().filter(|line| line.contains("table_full")).collect();
    assert_eq!(full, ["a", "b"].map(|name| format!("sluice_ratelimit.policy.{name}.table_full_total 1")));
}

#[test]
fn upstreams_see_the_path_that_policies_have_seen() {
    let policy = r#"{"name": "p", "match": {"path": {"prefix": "/a"}}, "limits": [{"units": 1, "per_ms": 60000}]}"#;
    let (filter, env) = (limit(policy, r#", "matching": {"normalize_path": true}"#), FixedEnv::default());
    let mut head = Head::from_fields([(":path", "/x/../a?b=/../")]);
    assert_eq!(filter.stream().on_request_head(&mut head, &env), Flow::Continue);
    assert_eq!(head.path(), b"/a?b=/../");
    assert!(matches!(filter.stream().on_request_head(&mut head, &env), Flow::Reply(reply) if reply.status == 429));
}

#[test]
fn mistakes_are_refused_with_their_place() {
    for (json, expected) in [
        (r#"{"policies": [{"name": "a", "limits": []}]}"#, "policies[0].limits: expected 1 to 8 limits, found 0"),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 0, "per_ms": 1}]}]}"#,
            "policies[0].limits[0].units: expected 1 to 1099511627775, found 0",
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 9999999999}]}]}"#,
            "policies[0].limits[0].per_ms: expected 1 to 4503599627, found 9999999999",
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1}]}]}"#,
            r#"policies[0].limits[0]: expected one of "per_ms", "window" and "concurrent""#,
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "window": {"day": {"utc_offset_minutes": 2000}}}]}]}"#,
            "policies[0].limits[0].window.day.utc_offset_minutes: expected -1080 to 1080, found 2000",
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 1}], "tiers": {"g": []}}]}"#,
            "policies[0].tiers.g: expected numbers for 1 limits, found 0",
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 1}], "tier_keys": {"secret": "gold"}}]}"#,
            r#"policies[0].tier_keys: expected names of tiers, found "gold""#,
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 1}]}, {"name": "a", "limits": [{"units": 1, "per_ms": 1}]}]}"#,
            r#"policies[1].name: expected a name unlike that of policies[0], found "a""#,
        ),
        (
            r#"{"policies": [{"name": "a", "limits": [{"units": 1, "per_ms": 1}]}], "table": {"rows": 70000}}"#,
            "table.rows: expected 1 to 65536, found 70000",
        ),
        (
            r#"{"policies": [{"name": "a", "key": [{"source_address": {"ipv4_bits": 33}}], "limits": [{"units": 1, "per_ms": 1}]}]}"#,
            "policies[0].key[0].source_address.ipv4_bits: expected 1 to 32, found 33",
        ),
        (r#"{"policies": [], "answer": {"status": 200}}"#, "answer.status: expected 400 to 599, found 200"),
    ] {
        assert_eq!(RateLimit::from_config(json.as_bytes()).unwrap_err().to_string(), expected, "{json}");
    }
}
