use super::*;
use crate::matching::{MatchingConfig, RequestMatchConfig};
use crate::table::Order;

/// Remarks on rules `a`, `b`, ... given as priority and conditions.
fn remarks(rules: &[(u16, &[&str])], order: Order, options: &str) -> Vec<String> {
    let options: MatchingConfig = crate::config::parse(options.as_bytes()).unwrap();
    let one = |json: &&str| {
        let config: RequestMatchConfig = crate::config::parse(json.as_bytes()).unwrap();
        RequestMatch::new(config, &options).unwrap()
    };
    let compiled = rules.iter().map(|(priority, all)| (*priority, all.iter().map(one).collect())).collect();
    let compiled = Table::new(compiled, order, options.clone()).unwrap();
    let names: Vec<_> = (b'a'..=b'z').take(rules.len()).map(|name| char::from(name).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    table(&compiled, &names).into_iter().map(|Remark { at, why }| format!("{at}: {why}")).collect()
}

fn plain(rules: &[(u16, &[&str])]) -> Vec<String> {
    remarks(rules, Order::Specificity, "{}")
}

const ALL: &str = "{}";
const A: &str = r#"{"path": {"prefix": "/a"}}"#;
const A_B: &str = r#"{"path": {"prefix": "/a/b"}}"#;
const A_X1: &str = r#"{"path": {"prefix": "/a"}, "headers": [{"name": "x", "match": {"exact": "1"}}]}"#;
const A_X2: &str = r#"{"path": {"prefix": "/a"}, "headers": [{"name": "x", "match": {"exact": "2"}}]}"#;
const A_Y: &str = r#"{"path": {"prefix": "/a"}, "headers": [{"name": "y"}]}"#;

#[test]
fn rules_that_others_leave_nothing() {
    for (rules, expected) in [
        (&[(1000, &[A][..]), (1000, &[A_B])][..], &[][..]),
        (
            &[(1, &[A]), (1000, &[A_B])],
            &["rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (
            &[(1000, &[ALL]), (1, &[ALL])],
            &["rules[0]: never takes a request: \"b\" (rules[1]) comes first and takes all of them"],
        ),
        (&[(1, &[A_X1]), (1000, &[A])], &[]),
        (
            &[(1, &[A]), (1000, &[A_X1])],
            &["rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (
            &[
                (1, &[r#"{"hosts": [{"wildcard": "*.test"}]}"#]),
                (1000, &[r#"{"hosts": [{"exact": "a.test"}, {"exact": "b"}]}"#]),
            ],
            &[
                "rules[1]: never takes a request with host = \"a.test\": \"a\" (rules[0]) comes first and takes all of them",
            ],
        ),
        (
            &[(1, &[A]), (1000, &[A_B, r#"{"path": {"exact": "/c"}}"#])],
            &["rules[1].matches[0]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (
            &[(1, &[A]), (1, &[r#"{"path": {"prefix": "/c"}}"#]), (1000, &[A_B, r#"{"path": {"exact": "/c/d"}}"#])],
            &["rules[2]: never takes a request: \"a\" (rules[0]) and \"b\" (rules[1]) come first and take all of them"],
        ),
        // a slash of text takes all that the segment prefix does
        (
            &[(1, &[r#"{"path": {"string_prefix": "/"}}"#]), (1000, &[r#"{"path": {"prefix": "/"}}"#])],
            &["rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (
            &[(1, &[r#"{"path": {"regex": "/a.*"}}"#]), (1000, &[r#"{"path": {"exact": "/abc"}}"#])],
            &["rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (
            &[(1, &[r#"{"path": {"prefix": "/A"}, "ignore_path_case": true}"#]), (1000, &[A_B])],
            &["rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them"],
        ),
        (&[(1, &[A_B]), (1000, &[r#"{"path": {"prefix": "/A/B"}, "ignore_path_case": true}"#])], &[]),
    ] {
        assert_eq!(plain(rules), expected, "{rules:?}");
    }
    let twice = remarks(&[(1, &[A, A_X1])], Order::File, "{}");
    assert_eq!(
        twice,
        ["rules[0].matches[1]: never takes a request: another alternative of the rule takes all of them"]
    );
    // only rules of the most specific host are asked
    let rules = [(1, &[ALL][..]), (1000, &[r#"{"hosts": [{"exact": "a.test"}]}"#])];
    assert_eq!(plain(&rules).len(), 1);
    assert!(remarks(&rules, Order::Specificity, r#"{"most_specific_host_only": true}"#).is_empty());
}

#[test]
fn rules_between_which_only_the_file_decides() {
    let tie =
        "rules[1]: as specific as \"a\" (rules[0]), and a request can fit both: only their order in the file decides";
    for (rules, expected) in [
        (&[(1000, &[A_X1][..]), (1000, &[A_Y])][..], &[tie][..]),
        (&[(1000, &[A_X1]), (999, &[A_Y])], &[]),
        (&[(1000, &[A_X1]), (1000, &[A_X2])], &[]),
        (
            &[
                (1000, &[r#"{"path": {"prefix": "/a"}, "methods": ["GET"]}"#]),
                (1000, &[r#"{"path": {"prefix": "/a"}, "methods": ["PUT"]}"#]),
            ],
            &[],
        ),
        (
            &[
                (1000, &[r#"{"path": {"prefix": "/a"}, "methods": ["GET"]}"#]),
                (1000, &[r#"{"path": {"prefix": "/a"}, "methods": ["PUT", "GET"]}"#]),
            ],
            &[tie],
        ),
        (&[(1000, &[A]), (1000, &[r#"{"path": {"prefix": "/b"}}"#])], &[]),
        (&[(1000, &[r#"{"hosts": [{"exact": "a"}]}"#]), (1000, &[r#"{"hosts": [{"exact": "b"}]}"#])], &[]),
    ] {
        assert_eq!(plain(rules), expected, "{rules:?}");
    }
    // each rule is told once
    let three =
        [(1000, &[A_X1][..]), (1000, &[A_Y]), (1000, &[r#"{"path": {"prefix": "/a"}, "headers": [{"name": "z"}]}"#])];
    assert_eq!(plain(&three).len(), 2);
    assert!(remarks(&three, Order::File, "{}").is_empty(), "whoever orders by the file means it");
}

#[test]
fn patterns_and_texts_that_take_more_than_they_seem_to() {
    for (rules, expected) in [
        (
            &[
                (1000, &[r#"{"path": {"regex": "/users/[a-z]+"}}"#][..]),
                (1000, &[r#"{"path": {"prefix": "/users/me"}}"#]),
            ][..],
            &["rules[1]: \"a\" (rules[0]) comes first, and its pattern takes /users/me too"][..],
        ),
        (
            &[(1000, &[r#"{"path": {"regex": "/users/[a-z]+"}}"#]), (1000, &[r#"{"path": {"exact": "/users/me"}}"#])],
            &[],
        ),
        (
            &[(1000, &[r#"{"path": {"regex": "/users/[0-9]+"}}"#]), (1000, &[r#"{"path": {"prefix": "/users/me"}}"#])],
            &[],
        ),
        (
            &[
                (1, &[r#"{"path": {"string_prefix": "/v1"}}"#]),
                (1000, &[r#"{"path": {"prefix": "/v10"}, "headers": [{"name": "x"}]}"#]),
            ],
            &[
                "rules[1]: never takes a request: \"a\" (rules[0]) comes first and takes all of them",
                "rules[0]: the string prefix /v1 takes /v10 too, which \"b\" (rules[1]) is about; \"prefix\" takes whole segments",
            ],
        ),
        (
            &[
                (1000, &[r#"{"path": {"string_prefix": "/v1"}}"#]),
                (1000, &[r#"{"path": {"prefix": "/v10"}, "headers": [{"name": "x"}]}"#]),
            ],
            &[
                "rules[0]: the string prefix /v1 takes /v10 too, which \"b\" (rules[1]) is about; \"prefix\" takes whole segments",
            ],
        ),
        (&[(1000, &[r#"{"path": {"string_prefix": "/v1"}}"#]), (1000, &[r#"{"path": {"prefix": "/v10"}}"#])], &[]),
        (&[(1, &[r#"{"path": {"string_prefix": "/v1/"}}"#]), (1000, &[r#"{"path": {"prefix": "/v10"}}"#])], &[]),
    ] {
        assert_eq!(plain(rules), expected, "{rules:?}");
    }
}

/// Names of as many rules.
fn large(rules: Vec<(u16, RequestMatchConfig)>) -> Vec<Remark> {
    let options = MatchingConfig::default();
    let names: Vec<_> = (0..rules.len()).map(|number| format!("r{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rules =
        rules.into_iter().map(|(priority, config)| (priority, vec![RequestMatch::new(config, &options).unwrap()]));
    let compiled = Table::new(rules.collect(), Order::Specificity, options.clone()).unwrap();
    table(&compiled, &names)
}

#[test]
fn ten_thousand_rules_of_every_shape_are_looked_at() {
    let rule = |json: String| (1000, crate::config::parse(json.as_bytes()).unwrap());
    let paths = (0..10_000).map(|n| rule(format!(r#"{{"path": {{"prefix": "/api/v{}/svc{n}"}}}}"#, n % 7)));
    let hosts = (0..10_000)
        .map(|n| rule(format!(r#"{{"hosts": [{{"exact": "t{n}.example.test"}}], "path": {{"prefix": "/"}}}}"#)));
    let header = |n: usize| {
        format!(r#"{{"path": {{"prefix": "/a"}}, "headers": [{{"name": "x-t", "match": {{"exact": "{n}"}}}}]}}"#)
    };
    let headers = (0..10_000).map(|n| rule(header(n)));
    let patterns = (0..10_000).map(|n| rule(format!(r#"{{"path": {{"regex": "/api/svc{n}/[0-9]+"}}}}"#)));
    for (shape, rules) in [
        ("paths", paths.collect::<Vec<_>>()),
        ("hosts", hosts.collect()),
        ("headers", headers.collect()),
        ("patterns", patterns.collect()),
    ] {
        assert_eq!(large(rules), [], "{shape}");
    }
    // the last of these is told, and the others are as before
    let mut twice: Vec<_> = (0..9_999).map(|n| rule(header(n))).collect();
    twice.push(rule(header(7)));
    assert_eq!(large(twice).len(), 1);
}

#[test]
fn rules_that_cannot_be_told_apart_end_in_a_remark() {
    let rule = |n: usize| {
        format!(r#"{{"path": {{"prefix": "/a"}}, "headers": [{{"name": "x", "match": {{"prefix": "{n:05}"}}}}]}}"#)
    };
    let rules = (0..10_000).map(|n| (1000, crate::config::parse(rule(n).as_bytes()).unwrap()));
    let remarks = large(rules.collect());
    assert!(
        remarks.last().is_some_and(|remark| remark.why.contains("too many rules of one kind")),
        "{:?}",
        remarks.last()
    );
}
