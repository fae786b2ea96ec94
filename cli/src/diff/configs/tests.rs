use super::*;
use std::slice;

fn lines(old: &str, new: &str) -> Vec<String> {
    let parsed = |text: &str| vec![("header-router", crate::config_file::parse(text).ok().unwrap().value.to_json())];
    let changes = compare(&parsed(old), &parsed(new));
    changes.iter().map(|change| change.line(false).trim_end().to_owned()).collect()
}

#[test]
fn rules_field_by_field() {
    let rule = |rest: &str| format!("rules: [{{name: a, {rest}}}]");
    for (old, new, expected) in [
        ("targets: [{cluster: x}]", "targets: [{cluster: x}]", &[][..]),
        ("targets: [{cluster: x}]", "priority: 1000, targets: [{cluster: x, weight: 1}], matches: []", &[]),
        (
            "targets: [{cluster: x, weight: 100}, {cluster: z, weight: 0}]",
            "targets: [{cluster: x, weight: 90}, {cluster: z, weight: 10}]",
            &["rule a: x 100 -> 90, z 0 -> 10"],
        ),
        ("targets: [{cluster: x}]", "targets: [{cluster: z}]", &["rule a: x 1 -> none, z none -> 1"]),
        (
            "targets: [{cluster: x}, {cluster: z}]",
            "targets: [{cluster: z}, {cluster: x}]",
            &["rule a: order of targets \"x, z\" -> \"z, x\""],
        ),
        ("targets: [{status: 503}]", "targets: [{status: 503, weight: 2}]", &["rule a: status 503 1 -> 2"]),
        ("match: {path: {prefix: /a}}", "match: {path: {prefix: /b}}", &["rule a: match.path.prefix /a -> /b"]),
        (
            "match: {path: {prefix: /a}}",
            "match: {path: {exact: /a}}",
            &["rule a: match.path.prefix /a -> none, match.path.exact none -> /a"],
        ),
        ("match: {}", "match: {methods: [GET]}", &["rule a: match.methods none -> [\"GET\"]"]),
        ("match: {methods: [GET]}", "match: {methods: [GET, PUT]}", &["rule a: match.methods[1] none -> PUT"]),
        ("priority: 1", "targets: []", &["rule a: priority 1 -> 1000"]),
        ("redirect: {path: /b}", "service: s", &["rule a: redirect {\"path\":\"/b\"} -> none, service none -> s"]),
    ] {
        assert_eq!(lines(&rule(old), &rule(new)), expected, "{old} {new}");
    }
}

#[test]
fn rules_that_come_go_move_and_change_their_name() {
    let rules = |names: &str| {
        let rules: Vec<_> =
            names.split(' ').map(|name| format!("{{name: {name}, targets: [{{cluster: {name}}}]}}")).collect();
        format!("rules: [{}]", rules.join(","))
    };
    for (old, new, expected) in [
        ("a b", "a b c", &["rule c: added"][..]),
        ("a b", "b", &["rule a: removed"]),
        ("a b c d", "a d b c", &["rule d: moved behind a"]),
        ("a b c", "c a b", &["rule c: moved to the start"]),
    ] {
        assert_eq!(lines(&rules(old), &rules(new)), expected, "{old} {new}");
    }
    assert_eq!(
        lines("rules: [{name: a, priority: 1}]", "rules: [{name: b, priority: 1}]"),
        ["rule a: renamed, name a -> b"]
    );
}

#[test]
fn services_the_default_and_secrets() {
    let old = "default: {status: 404}\nservices: [{name: s, rules: [{name: x, priority: 1}]}]\ndebug: {secret: aaaaaaaaaaaaaaaa}";
    let new = "default: continue\nservices: [{name: s, host: h, rules: [{name: x, priority: 2}]}, {name: t}]\ndebug: {secret: bbbbbbbbbbbbbbbb}";
    assert_eq!(
        lines(old, new),
        [
            "service s: host none -> h",
            "rule s/x: priority 1 -> 2",
            "service t: added",
            "debug: secret (hidden) -> (hidden)",
            "default: {\"status\":404} -> continue",
        ]
    );
}

#[test]
fn a_secret_that_is_new_is_hidden_too() {
    let seen = lines("default: continue", "default: continue\ndebug: {header: x, secret: aaaaaaaaaaaaaaaa}");
    assert_eq!(seen, [r#"debug: none -> {"header":"x","secret":"(hidden)"}"#]);
}

#[test]
fn filters_of_a_chain() {
    let config = |name: &'static str| (name, serde_json::json!({"rules": []}));
    let told = |old: &[Config], new: &[Config]| -> Vec<String> {
        compare(old, new).iter().map(|change| change.line(true).trim_end().to_owned()).collect()
    };
    let (one, other) = (config("header-router"), config("prefix-rewrite"));
    assert_eq!(told(slice::from_ref(&one), &[one.clone(), other.clone()]), ["prefix-rewrite 2: filter: added"]);
    assert_eq!(told(&[one.clone(), other.clone()], slice::from_ref(&one)), ["prefix-rewrite 2: filter: removed"]);
    let turned = told(&[one.clone(), other.clone()], &[other, one]);
    assert_eq!(turned.len(), 1, "{turned:?}");
}
