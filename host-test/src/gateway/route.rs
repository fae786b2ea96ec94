//! Finds the route of a request in the route table, as Envoy does.

use super::bootstrap::{
    Domain, HeaderCondition, HeaderTest, HostRewrite, PathRewrite, PathTest, Proxy, QueryCondition, QueryTest, Route,
    RouteTable, TextTest, VirtualHost,
};
use crate::HeaderMap;

impl RouteTable {
    /// The first route of the best virtual host that matches. Without `x-forwarded-proto`, `:path` or a leading `/`
    /// there is none: filters can remove these, and Envoy then answers 404.
    pub fn find(&self, request: &HeaderMap) -> Option<(&VirtualHost, &Route)> {
        let path = request.get(b":path")?;
        if !path.starts_with(b"/") || request.get(b"x-forwarded-proto").is_none_or(<[u8]>::is_empty) {
            return None;
        }
        let host = self.host(request.get(b":authority").unwrap_or_default())?;
        let route = host.routes.iter().find(|route| route.matches(path, request))?;
        Some((host, route))
    }

    /// Exact domains before suffixes before prefixes (the longest first) before `*`. Ports are part of the name.
    fn host(&self, authority: &[u8]) -> Option<&VirtualHost> {
        let mut name = authority.to_ascii_lowercase();
        if self.ignore_port {
            name.truncate(port_start(&name).unwrap_or(name.len()));
        }
        let mut best: Option<((u8, usize), &VirtualHost)> = None;
        for host in &self.hosts {
            for domain in &host.domains {
                let rank = match domain {
                    Domain::Exact(text) if name == text.as_bytes() => (4, 0),
                    // The star stands for one character at least.
                    Domain::Suffix(text) if name.len() > text.len() && name.ends_with(text.as_bytes()) => {
                        (3, text.len())
                    }
                    Domain::Prefix(text) if name.len() > text.len() && name.starts_with(text.as_bytes()) => {
                        (2, text.len())
                    }
                    Domain::Any => (1, 0),
                    _ => continue,
                };
                if best.is_none_or(|(other, _)| rank > other) {
                    best = Some((rank, host));
                }
            }
        }
        best.map(|(_, host)| host)
    }
}

impl Route {
    fn matches(&self, path_and_query: &[u8], request: &HeaderMap) -> bool {
        let path = without_query(path_and_query);
        let starts = |text: &[u8], prefix: &str| match text.get(..prefix.len()) {
            Some(start) if self.case_sensitive => start == prefix.as_bytes(),
            Some(start) => start.eq_ignore_ascii_case(prefix.as_bytes()),
            None => false,
        };
        let path_matches = match &self.path {
            PathTest::Prefix(prefix) => starts(path_and_query, prefix),
            PathTest::Exact(text) => path.len() == text.len() && starts(path, text),
            PathTest::Segments(text) => starts(path, text) && matches!(path.get(text.len()), None | Some(b'/')),
            PathTest::Regex(pattern) => std::str::from_utf8(path).is_ok_and(|path| pattern.is_match(path)),
        };
        path_matches
            && self.headers.iter().all(|condition| condition.holds(request))
            && (self.query.is_empty() || {
                let query = query(path_and_query);
                self.query.iter().all(|condition| condition.holds(query))
            })
    }
}

impl QueryCondition {
    /// The first parameter of the name counts; nothing is decoded.
    fn holds(&self, query: &[u8]) -> bool {
        let value = query.split(|byte| *byte == b'&').find_map(|parameter| {
            let end = parameter.iter().position(|byte| *byte == b'=').unwrap_or(parameter.len());
            let (name, value) = parameter.split_at(end);
            (name == self.name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
        });
        match &self.test {
            QueryTest::Present(expected) => value.is_some() == *expected,
            QueryTest::Text(test, ignore_case) => value.is_some_and(|value| test.holds(value, *ignore_case)),
        }
    }
}

impl HeaderCondition {
    fn holds(&self, request: &HeaderMap) -> bool {
        let name = if self.name == "host" { ":authority" } else { &self.name };
        // Envoy asks each value of a repeated header by itself; commas within a value do not separate.
        let mut values = request.get_all(name.as_bytes()).peekable();
        if values.peek().is_none() && !self.missing_as_empty {
            // An absent header fails every test but "absent", and only that one is turned round.
            return match self.test {
                HeaderTest::Present(expected) => expected == self.invert,
                _ => false,
            };
        }
        let absent = values.peek().is_none().then_some(&b""[..]);
        let outcome = values.chain(absent).any(|value| match &self.test {
            HeaderTest::Present(expected) => *expected,
            HeaderTest::Range(start, end) => integer(value).is_some_and(|number| number >= *start && number < *end),
            HeaderTest::Text(test, ignore_case) => test.holds(value, *ignore_case),
        });
        outcome != self.invert
    }
}

impl TextTest {
    fn holds(&self, value: &[u8], ignore_case: bool) -> bool {
        let folded: Vec<u8>;
        let value = if ignore_case {
            folded = value.to_ascii_lowercase();
            folded.as_slice()
        } else {
            value
        };
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Contains(text) => value.windows(text.len().max(1)).any(|window| window == text.as_bytes()),
            Self::Regex(pattern) => std::str::from_utf8(value).is_ok_and(|value| pattern.is_match(value)),
        }
    }
}

impl PathRewrite {
    /// What becomes of a path with its query.
    pub(crate) fn apply(&self, matched: &PathTest, old: &[u8]) -> Vec<u8> {
        let path = without_query(old);
        match self {
            Self::Prefix(new) => {
                let kept = match matched {
                    PathTest::Prefix(text) | PathTest::Segments(text) => old.get(text.len()..),
                    PathTest::Exact(_) | PathTest::Regex(_) => old.get(path.len()..),
                };
                [new.as_bytes(), kept.unwrap_or_default()].concat()
            }
            Self::Regex(rewrite) => match std::str::from_utf8(path) {
                Ok(text) => [rewrite.apply(text).as_bytes(), old.get(path.len()..).unwrap_or_default()].concat(),
                Err(_) => old.to_vec(),
            },
        }
    }
}

impl Proxy {
    /// Rewrites path and host as the route says and leaves the old ones in `x-envoy-original-*`.
    pub(crate) fn rewrite(&self, matched: &PathTest, request: &mut HeaderMap) {
        let old = request.get(b":path").unwrap_or_default().to_vec();
        if let Some(rewrite) = &self.path_rewrite {
            request.replace(":path", rewrite.apply(matched, &old));
            request.replace("x-envoy-original-path", old.clone());
        }
        let host = match &self.host_rewrite {
            None => None,
            Some(HostRewrite::Literal(host)) => Some(host.clone()),
            Some(HostRewrite::FromPath(rewrite)) => {
                std::str::from_utf8(without_query(&old)).ok().map(|path| rewrite.apply(path))
            }
        };
        if let Some(host) = host {
            let old = request.get(b":authority").map(<[u8]>::to_vec).unwrap_or_default();
            request.replace(":authority", host);
            if request.get(b"x-envoy-original-host").is_none() {
                request.add("x-envoy-original-host", old);
            }
        }
    }
}

/// Where the query begins; Envoy's path conditions also stop at a fragment.
pub(crate) fn without_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

/// The query of a path.
fn query(path: &[u8]) -> &[u8] {
    let rest = path.get(without_query(path).len()..).unwrap_or_default();
    let rest = rest.strip_prefix(b"?").unwrap_or_default();
    rest.split(|byte| *byte == b'#').next().unwrap_or_default()
}

/// Where the port of a host begins, with its colon.
pub(crate) fn port_start(host: &[u8]) -> Option<usize> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let bracket = host.iter().rposition(|byte| *byte == b']');
    bracket.is_none_or(|bracket| bracket < colon).then_some(colon)
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::bootstrap;
    use super::*;

    /// Routes as YAML, one per line; every route answers with its own status.
    fn table(hosts: &str) -> RouteTable {
        let text = format!(
            r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          route_config:
            virtual_hosts:
{hosts}
          http_filters:
          - name: r
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - {{name: c, load_assignment: {{cluster_name: c}}}}
"#
        );
        bootstrap::parse(&text).unwrap().listeners.remove(0).http.routes
    }

    fn routes(matches: &[&str]) -> RouteTable {
        let mut text = String::from("            - name: all\n              domains: [\"*\"]\n              routes:\n");
        for (index, condition) in matches.iter().enumerate() {
            let status = 200 + index;
            text.push_str(&format!(
                "              - {{name: r{index}, match: {{{condition}}}, direct_response: {{status: {status}}}}}\n"
            ));
        }
        table(&text)
    }

    fn request(path: &[u8], headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.add(":authority", "h");
        map.add(":path", path);
        map.add("x-forwarded-proto", "http");
        for (name, value) in headers {
            map.add(*name, *value);
        }
        map
    }

    #[test]
    fn paths_are_matched_as_envoy_matches_them() {
        for (condition, path, expected) in [
            ("prefix: /a", &b"/ab"[..], true),
            ("prefix: /a?x", b"/a?x=1", true),
            ("prefix: /a", b"/b", false),
            ("path: /a", b"/a?x", true),
            ("path: /a", b"/a/", false),
            ("path: /A, case_sensitive: false", b"/a", true),
            ("path_separated_prefix: /a", b"/a/b", true),
            ("path_separated_prefix: /a", b"/a?b", true),
            ("path_separated_prefix: /a", b"/ab", false),
            ("safe_regex: {regex: '/[a-c]+'}", b"/abc?zzz", true),
            ("safe_regex: {regex: '/[a-c]+'}", b"/abcd", false),
            ("safe_regex: {regex: '(?i)/CI/x'}", b"/ci/X", true),
            ("safe_regex: {regex: '/.*'}", b"/\xff", false),
            ("prefix: /", b"/\xff\xfe", true),
        ] {
            let found = routes(&[condition]).find(&request(path, &[])).is_some();
            assert_eq!(found, expected, "{condition} on {:?}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn headers_are_matched_as_envoy_matches_them() {
        let x = |value: &'static str| vec![("x", value)];
        for (condition, headers, expected) in [
            ("{name: x}", x(""), true),
            ("{name: x}", vec![], false),
            ("{name: x, present_match: false}", vec![], true),
            ("{name: x, present_match: true, invert_match: true}", vec![], true),
            ("{name: x, present_match: true, invert_match: true}", x("1"), false),
            ("{name: X, string_match: {exact: a}}", x("a"), true),
            ("{name: x, string_match: {exact: a}}", x("A"), false),
            ("{name: x, string_match: {exact: A, ignore_case: true}}", x("a"), true),
            ("{name: x, string_match: {exact: 'a,b'}}", vec![("x", "a"), ("x", "b")], false),
            ("{name: x, string_match: {exact: 'a,b'}}", x("a,b"), true),
            ("{name: x, string_match: {exact: b}}", vec![("x", "a"), ("x", "b")], true),
            ("{name: x, string_match: {exact: b}, invert_match: true}", vec![("x", "a"), ("x", "b")], false),
            ("{name: x, string_match: {exact: c}, invert_match: true}", vec![("x", "a"), ("x", "b")], true),
            ("{name: x, range_match: {start: 1, end: 3}}", vec![("x", "9"), ("x", "1")], true),
            ("{name: x, string_match: {prefix: a}}", x("ab"), true),
            ("{name: x, string_match: {suffix: b}}", x("ab"), true),
            ("{name: x, string_match: {contains: b}}", x("abc"), true),
            ("{name: x, string_match: {safe_regex: {regex: 'a.c'}}}", x("abc"), true),
            ("{name: x, string_match: {safe_regex: {regex: 'a.c'}}}", x("abcd"), false),
            ("{name: x, string_match: {exact: a}, invert_match: true}", x("b"), true),
            ("{name: x, string_match: {exact: a}, invert_match: true}", vec![], false),
            (
                "{name: x, string_match: {exact: a}, invert_match: true, treat_missing_header_as_empty: true}",
                vec![],
                true,
            ),
            ("{name: x, range_match: {start: 1, end: 3}}", x("2"), true),
            ("{name: x, range_match: {start: 1, end: 3}}", x("3"), false),
            ("{name: x, range_match: {start: 1, end: 3}}", x("2.0"), false),
            ("{name: x, range_match: {start: -3, end: 3}}", x("-2"), true),
            ("{name: host, string_match: {exact: h}}", vec![], true),
        ] {
            let table = routes(&[&format!("prefix: /, headers: [{condition}]")]);
            assert_eq!(table.find(&request(b"/", &headers)).is_some(), expected, "{condition} on {headers:?}");
        }
    }

    #[test]
    fn parameters_are_matched_as_envoy_matches_them() {
        for (conditions, path, expected) in [
            ("{name: a, string_match: {exact: '1%202'}}", "/?a=1%202&a=x", true),
            ("{name: a, string_match: {exact: '1%202'}}", "/?a=x&a=1%202", false),
            ("{name: a, string_match: {exact: '1 2'}}", "/?a=1%202", false),
            ("{name: a, string_match: {exact: 'B', ignore_case: true}}", "/?c&a=b", true),
            ("{name: a, string_match: {safe_regex: {regex: '(?i)abc'}}}", "/?a=ABC", true),
            ("{name: a, string_match: {safe_regex: {regex: '(?i)abc'}}}", "/?a=xABC", false),
            ("{name: a}", "/?a", true),
            ("{name: a}", "/?A=1", false),
            ("{name: a}", "/", false),
            ("{name: a, present_match: true}, {name: b, present_match: false}", "/?a=", true),
            ("{name: a, present_match: true}, {name: b, present_match: false}", "/?b&a=", false),
        ] {
            let table = routes(&[&format!("prefix: /, query_parameters: [{conditions}]")]);
            assert_eq!(table.find(&request(path.as_bytes(), &[])).is_some(), expected, "{conditions} on {path}");
        }
    }

    #[test]
    fn ports_of_hosts_can_be_ignored() {
        let mut table = table(
            "            - {name: a, domains: [a.test, 'c.*', '*.b.test', '[::1]'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}\n",
        );
        for (host, with, without) in [
            ("a.test", true, true),
            ("A.test:80", false, true),
            ("x.b.test:81", false, true),
            ("c.foo:81", true, true),
            ("[::1]:80", false, true),
            ("[::1]", true, true),
            ("d.test:80", false, false),
        ] {
            let mut request = request(b"/", &[]);
            request.replace(":authority", host);
            for (ignore_port, expected) in [(false, with), (true, without)] {
                table.ignore_port = ignore_port;
                assert_eq!(table.find(&request).is_some(), expected, "{host} {ignore_port}");
            }
        }
    }

    #[test]
    fn the_first_route_that_matches_is_taken() {
        let table = routes(&["prefix: /a", "path: /a", "prefix: /"]);
        for (path, name) in [(&b"/a"[..], "r0"), (b"/b", "r2")] {
            assert_eq!(table.find(&request(path, &[])).unwrap().1.name, name);
        }
    }

    #[test]
    fn the_most_specific_domain_is_taken() {
        let domains = ["*", "foo.*", "*.com", "*.foo.com", "www.foo.com"];
        let mut text = String::new();
        for domain in domains {
            text.push_str(&format!("            - {{name: '{domain}', domains: ['{domain}'], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}\n"));
        }
        let table = table(&text);
        for (host, name) in [
            ("WWW.foo.com", "www.foo.com"),
            ("a.foo.com", "*.foo.com"),
            ("a.com", "*.com"),
            ("foo.org", "foo.*"),
            ("www.foo.com:80", "*"),
            ("", "*"),
        ] {
            let mut request = request(b"/", &[]);
            request.replace(":authority", host);
            assert_eq!(table.find(&request).unwrap().0.name, name, "{host}");
        }
    }

    #[test]
    fn what_filters_may_take_away_ends_in_no_route() {
        let table = routes(&["prefix: /"]);
        for name in [&b":path"[..], b"x-forwarded-proto"] {
            let mut request = request(b"/", &[]);
            request.remove(name);
            assert!(table.find(&request).is_none());
        }
        assert!(table.find(&request(b"no-slash", &[])).is_none());
    }

    #[test]
    fn rewrites_keep_what_the_match_left() {
        for (condition, path, rewritten) in [
            ("prefix: /re", "/re/a?q", "//a?q"),
            ("path_separated_prefix: /sep", "/sep?x", "/?x"),
            ("path: /exact", "/exact?q", "/?q"),
            ("safe_regex: {regex: '/rx.*'}", "/rx/a?b", "/?b"),
        ] {
            let table = routes(&[condition]);
            let mut request = request(path.as_bytes(), &[]);
            let matched = table.find(&request).unwrap().1.path.clone();
            let proxy = Proxy {
                path_rewrite: Some(PathRewrite::Prefix("/".into())),
                host_rewrite: Some(HostRewrite::Literal("new".into())),
                ..Proxy::to(bootstrap::ClusterChoice::Named("c".into()))
            };
            proxy.rewrite(&matched, &mut request);
            let text = |name: &str| String::from_utf8_lossy(request.get(name.as_bytes()).unwrap()).into_owned();
            assert_eq!(text(":path"), rewritten);
            assert_eq!(text("x-envoy-original-path"), path);
            assert_eq!((text(":authority"), text("x-envoy-original-host")), ("new".into(), "h".into()));
        }
    }
}
