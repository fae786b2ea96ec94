use super::*;
use crate::FixedEnv;
use crate::matching::{MatchingConfig, World, split_query};
use proptest::prelude::*;

/// A rule's conditions and its rewrite, from JSON.
fn rule(matched: &str, rewrite: &str) -> Result<(RequestMatch, Rewrite), ConfigError> {
    let options = MatchingConfig::default();
    let matched = RequestMatch::new(crate::config::parse(matched.as_bytes())?, &options)?;
    let rewrite = Rewrite::new(crate::config::parse(rewrite.as_bytes())?, std::slice::from_ref(&matched))?;
    Ok((matched, rewrite))
}

/// The rewritten path and host; `None` if the rule does not take the request.
fn apply(
    (matched, rewrite): &(RequestMatch, Rewrite),
    path: &[u8],
    headers: &[(&str, &str)],
) -> Option<Result<Rewritten, InvalidHeader>> {
    let mut head = Head::from_fields([(":path", path), (":authority", b"a.test")]);
    headers.iter().for_each(|(name, value)| head.add(name, value.as_bytes()).unwrap());
    let (env, options) = (FixedEnv::default(), MatchingConfig::default());
    let world = World::new(&env, None);
    let request = Request::new(&head, path, &options, &world);
    matched.matches(&request).then(|| super::rewrite(rewrite, "r", matched, &request))
}

fn path_of(kind: &str, from: &str, rewrite: &str, path: &str) -> String {
    let rule = rule(&format!(r#"{{"path": {{"{kind}": "{from}"}}}}"#), rewrite).unwrap();
    let rewritten = match apply(&rule, path.as_bytes(), &[]) {
        None => return "no match".to_owned(),
        Some(Err(_)) => return "refused".to_owned(),
        Some(Ok(rewritten)) => rewritten,
    };
    String::from_utf8(rewritten.target.unwrap_or_else(|| path.as_bytes().to_vec())).unwrap()
}

fn to(prefix: &str) -> String {
    format!(r#"{{"prefix": "{prefix}"}}"#)
}

#[test]
fn the_gateway_api_table_of_prefix_replacements() {
    for (path, from, to_, expected) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/bar", "/foo", "/", "/bar"),
        // and what it does not say
        ("/foo//bar", "/foo", "/", "/bar"),
        ("/foo//", "/foo", "/", "/"),
        ("/foo", "/", "/xyz", "/xyz/foo"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/foo?a=/foo&b", "/foo", "/", "/?a=/foo&b"),
        ("/foo/a%2Fb?x=1%2F2?&", "/foo", "/q", "/q/a%2Fb?x=1%2F2?&"),
        ("/foo?", "/foo", "/q", "/q?"),
    ] {
        assert_eq!(path_of("prefix", from, &to(to_), path), expected, "{path} {from} -> {to_}");
    }
}

#[test]
fn the_app_mesh_table_of_string_prefixes() {
    for (path, from, to_, expected) in [
        ("/products/items", "/products", "/", "/items"),
        ("/products", "/products", "/", "/"),
        ("/products/", "/products/", "/", "/"),
        ("/chapter1", "/chapter", "/", "/1"),
        ("/foobar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
    ] {
        assert_eq!(path_of("string_prefix", from, &to(to_), path), expected, "{path} {from} -> {to_}");
    }
}

#[test]
fn whole_paths_with_groups() {
    for (kind, from, rewrite, path, expected) in [
        // the ingress-nginx documentation's examples of rewrite-target
        ("regex_prefix", "/something(/|$)(.*)", r#"{"path": "/$2"}"#, "/something", "/"),
        ("regex_prefix", "/something(/|$)(.*)", r#"{"path": "/$2"}"#, "/something/", "/"),
        (
            "regex_prefix",
            "/something(/|$)(.*)",
            r#"{"path": "/$2"}"#,
            "/something/new?a=/something",
            "/new?a=/something",
        ),
        ("regex", "/users/(?<id>[0-9]+)", r#"{"path": "/u/${id}/profile"}"#, "/users/7?x", "/u/7/profile?x"),
        ("regex", "(/.*)/old(/.*)", r#"{"path": "$1/new$2"}"#, "/a/old/b%2Fc", "/a/new/b%2Fc"),
        ("regex", "/a(.*)", r#"{"path": "/$1"}"#, "/a//x", "/x"),
        ("regex", "/a(.*)", r#"{"path": "/$1"}"#, "/a../x", "refused"),
        ("regex", "/a(.*)", r#"{"path": "/$1"}"#, "/a%2E./x", "refused"),
        ("regex", "/a(.*)", r#"{"path": "/b$1"}"#, "/a/../x", "/b/../x"),
        ("regex", "/a(.*)", r#"{"path": "$1"}"#, "/ab", "refused"),
        ("prefix", "/", r#"{"path": "/t/${query.k}"}"#, "/?k=a/../b", "/t/a%2F..%2Fb?k=a/../b"),
        ("prefix", "/", r#"{"path": "/t/${query.k}/x"}"#, "/?k=..", "refused"),
        ("exact", "/cost$", r#"{"path": "/price$$"}"#, "/cost$", "/price$"),
    ] {
        assert_eq!(path_of(kind, from, rewrite, path), expected, "{path} {from} -> {rewrite}");
    }
}

#[test]
fn parts_by_pattern() {
    for (pattern, substitution, path, expected) in [
        ("^/service/([^/]+)(/.*)$", "$2/instance/$1", "/service/foo/v1/api?q", "/v1/api/instance/foo?q"),
        ("/v[0-9]+", "/latest", "/api/v2/x/v3", "/api/latest/x/v3"),
        ("zzz", "", "/api", "/api"),
        ("^/api", "", "/api/x", "/x"),
        ("^/api", "", "/api", "refused"),
        ("x", "..", "/a/x", "refused"),
        ("^", "/", "/a", "/a"),
    ] {
        let rewrite = format!(r#"{{"regex": {{"pattern": "{pattern}", "substitution": "{substitution}"}}}}"#);
        assert_eq!(path_of("prefix", "/", &rewrite, path), expected, "{pattern} {path}");
    }
}

#[test]
fn a_text_prefix_leaves_no_step_up_behind() {
    for rest in ["../admin", "..", ".", "./x", "%2e%2E/x", ".%2e", "..;a=1/x", "..\\x", "..?q"] {
        assert_eq!(path_of("string_prefix", "/foo", &to("/x/"), &format!("/foo{rest}")), "refused", "{rest}");
    }
    assert_eq!(path_of("string_prefix", "/foo", &to("/"), "/foo...x"), "/...x");
    assert_eq!(path_of("prefix", "/foo", &to("/"), "/foo/..x"), "/..x");
}

#[test]
fn hosts_are_literal_or_made_from_the_request() {
    let literal = rule(r#"{"path": {"exact": "/old"}}"#, r#"{"path": "/new", "host": "b:81"}"#).unwrap();
    let done = apply(&literal, b"/old?q=1", &[]).unwrap().unwrap();
    assert_eq!(done.target.as_deref(), Some(&b"/new?q=1"[..]));
    assert_eq!(done.authority.as_deref(), Some(&b"b:81"[..]));
    let made = rule(r#"{"path": {"regex": "/([a-z]+)/.*"}}"#, r#"{"host": "$1.${header.x-zone}"}"#).unwrap();
    let host = |value: &str| apply(&made, b"/shop/x", &[("x-zone", value)]).unwrap().map(|done| done.authority);
    assert_eq!(host("test"), Ok(Some(b"shop.test".to_vec())));
    assert_eq!(host("a b"), Err(InvalidHeader::Value));
    assert_eq!(host("evil/x"), Err(InvalidHeader::Value));
    let absent = rule("{}", r#"{"host": "${header.x-none}"}"#).unwrap();
    assert_eq!(apply(&absent, b"/", &[]), Some(Ok(Rewritten::default())));
}

#[test]
fn targets_that_are_no_paths_are_left_alone() {
    let whole = rule("{}", r#"{"path": "/new"}"#).unwrap();
    assert_eq!(apply(&whole, b"*", &[]), Some(Ok(Rewritten::default())));
    assert_eq!(apply(&whole, b"", &[]), Some(Ok(Rewritten::default())));
}

#[test]
fn rewrites_that_would_break_a_request_are_refused() {
    for (matched, rewrite, expected) in [
        ("prefix", r#"{"prefix": "x"}"#, "prefix: expected a path of visible ASCII"),
        ("prefix", r#"{"prefix": "//x"}"#, "prefix: expected a path of visible ASCII"),
        ("prefix", r#"{"prefix": "/a?b"}"#, "prefix: expected a path of visible ASCII"),
        ("prefix", r#"{"path": "/a b"}"#, "path: expected a path of visible ASCII"),
        ("prefix", r#"{"path": "/$1"}"#, "path: expected one of 0 groups"),
        ("regex", r#"{"path": "/$1"}"#, "path: expected one of 0 groups"),
        ("prefix", r#"{"path": "${method}"}"#, "path: expected a path that starts with one"),
        ("prefix", r#"{"path": "//${method}"}"#, "path: expected a path that starts with one"),
        ("prefix", r#"{"path": "/a?${query}"}"#, "path: expected visible ASCII without query"),
        ("prefix", r#"{"regex": {"pattern": "(", "substitution": ""}}"#, "regex.pattern: found open group"),
        ("prefix", r#"{"regex": {"pattern": "a", "substitution": "$1"}}"#, "regex.substitution: expected one of 0"),
        ("prefix", r#"{"host": "a b"}"#, "host: expected a host"),
        ("prefix", r#"{"host": ""}"#, "host: expected a host"),
        ("prefix", r#"{"prefix": "/", "path": "/"}"#, "expected one of \"prefix\", \"path\" and \"regex\""),
        ("exact", r#"{"prefix": "/"}"#, "prefix: expected a rule that matches"),
    ] {
        let error = rule(&format!(r#"{{"path": {{"{matched}": "/a"}}}}"#), rewrite).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{rewrite}: {error}");
    }
}

proptest! {
    #[test]
    fn a_rewritten_path_is_absolute_keeps_its_query_and_never_starts_with_two_slashes(
        rest in proptest::collection::vec(0x21u8..=0xff, 0..40),
        to in "(/[a-z]{0,3}){0,3}",
        kind in prop_oneof![Just("string_prefix"), Just("prefix"), Just("regex")],
    ) {
        let rest: Vec<u8> = rest.into_iter().filter(|b| *b != 0x7f && *b != b'#').collect();
        let path = [&b"/foo"[..], &rest].concat();
        let (from, rewrite) = match kind {
            "regex" => ("/foo(?s-u:(.*))".replace("-u", ""), format!(r#"{{"path": "{to}$1"}}"#)),
            _ => ("/foo".to_owned(), format!(r#"{{"prefix": "{to}"}}"#)),
        };
        // the pattern can yield `//a`, which is refused
        let Ok(rule) = rule(&format!(r#"{{"path": {{"{kind}": "{from}"}}}}"#), &rewrite) else { return Ok(()) };
        if let Some(Ok(done)) = apply(&rule, &path, &[]) {
            let target = done.target.unwrap_or_else(|| path.clone());
            let first = split_query(&target).0.split(|b| *b == b'/').nth(1).unwrap_or_default();
            let steps = split_query(&path).0.split(|b| *b == b'/').any(|s| matches!(s, b"." | b".."));
            prop_assert!(kind == "prefix" || steps || !matches!(first, b"." | b".."));
            prop_assert!(target.starts_with(b"/") && !target.starts_with(b"//"));
            prop_assert_eq!(split_query(&target).1, split_query(&path).1);
        }
    }
}
