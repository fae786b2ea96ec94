//! Conditions and requests over a small alphabet, so that they often meet.
#![allow(dead_code, clippy::indexing_slicing, missing_docs)]

use filter_kit::matching::{
    BodyMatchConfig, GrpcMatchConfig, HostMatchConfig, MatchingConfig, NamedMatchConfig, PathMatchConfig, RangeConfig,
    Repeated, RequestMatchConfig, ValueMatchConfig,
};
use filter_kit::{FixedEnv, Head};

/// Numbers that follow from a seed (SplitMix64).
pub struct Draw(pub u64);

impl Draw {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// One time in so many.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub fn some(&mut self, all: &[&str]) -> String {
        self.of(all).to_owned()
    }

    pub fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }
}

const SEGMENTS: [&str; 9] = ["a", "b", "ab", "A", "%61", "..", ".", "", "a.b"];
const PATTERNS: [&str; 16] = [
    "/a/.*",
    "/a|/b",
    "/(a|b)/[ab]+",
    "/a/?",
    "/ab*",
    "(?i)/a",
    ".*b",
    "/a/b",
    "/[a-c]+",
    r"/a\.b/?.*",
    "/(?P<x>a)/(b)",
    "^/a$",
    "/a{1,2}",
    "(/a)+",
    "/A/.+",
    "/",
];
const VALUES: [&str; 12] = ["1", "2", "A", "a", "", "1,2", "-5", "10", "ab", "application/grpc", "/a", "a.test"];
const HOSTS: [&str; 5] = ["a.test", "b.test", "x.a.test", "test", "y.x.a.test"];

pub fn matching(draw: &mut Draw) -> MatchingConfig {
    let repeated = [Repeated::Each, Repeated::Joined, Repeated::First];
    MatchingConfig {
        normalize_path: draw.once_in(4),
        merge_slashes: draw.once_in(4),
        decode_unreserved: draw.once_in(4),
        ignore_path_case: draw.once_in(4),
        repeated_headers: draw.of(&repeated),
        repeated_query_parameters: draw.of(&repeated),
        decode_query_parameters: draw.once_in(2),
        most_specific_host_only: draw.once_in(3),
    }
}

fn path_text(draw: &mut Draw) -> String {
    let segments = draw.list(3, |draw| draw.some(&SEGMENTS));
    format!("/{}", segments.join("/"))
}

fn value(draw: &mut Draw) -> ValueMatchConfig {
    let filled = |draw: &mut Draw| draw.some(&["1", "a", "A", "ab", "/", "."]);
    match draw.below(8) {
        0 | 1 => ValueMatchConfig::Exact(draw.some(&VALUES)),
        2 => ValueMatchConfig::Prefix(filled(draw)),
        3 => ValueMatchConfig::Suffix(filled(draw)),
        4 => ValueMatchConfig::Contains(filled(draw)),
        5 => ValueMatchConfig::Regex(draw.some(&["1|2", "a+", "[0-9]+", ".*", "A?"])),
        6 => {
            let start = draw.of(&[-10, 0, 2]);
            ValueMatchConfig::Range(RangeConfig { start, end: start + draw.of(&[1, 10]) })
        }
        _ => ValueMatchConfig::Present(draw.once_in(2)),
    }
}

pub fn named(draw: &mut Draw, names: &[&str]) -> NamedMatchConfig {
    let r#match = if draw.once_in(6) { None } else { Some(value(draw)) };
    let text = !matches!(r#match, None | Some(ValueMatchConfig::Present(_)));
    let folds = text && !matches!(r#match, Some(ValueMatchConfig::Range(_)));
    NamedMatchConfig {
        name: draw.some(names),
        r#match,
        invert: draw.once_in(4),
        ignore_case: folds && draw.once_in(4),
        treat_missing_as_empty: text && draw.once_in(5),
    }
}

fn host(draw: &mut Draw) -> HostMatchConfig {
    let host = draw.some(&HOSTS);
    match draw.below(4) {
        0 => HostMatchConfig::Exact(if draw.once_in(4) { host.to_uppercase() } else { host }),
        1 => HostMatchConfig::Suffix(if draw.once_in(2) { format!(".{host}") } else { host }),
        2 => HostMatchConfig::Wildcard(format!("*.{host}")),
        _ => HostMatchConfig::LabelWildcard(format!("*.{host}")),
    }
}

pub fn conditions(draw: &mut Draw) -> RequestMatchConfig {
    let mut config = RequestMatchConfig {
        hosts: if draw.once_in(2) { draw.list(2, host) } else { Vec::new() },
        headers: if draw.once_in(2) {
            draw.list(2, |draw| named(draw, &["x-a", "X-B", "x-a", "host", ":path", ":authority", "cookie"]))
        } else {
            Vec::new()
        },
        ..RequestMatchConfig::default()
    };
    match draw.below(8) {
        0 => {}
        1 => {
            let service = draw.once_in(2).then(|| ValueMatchConfig::Exact("a".into()));
            let method = draw.once_in(2).then(|| value(draw));
            let metadata = draw.list(1, |draw| named(draw, &["x-a"]));
            config.grpc = Some(GrpcMatchConfig {
                service: service.or_else(|| draw.once_in(2).then(|| value(draw))),
                method,
                metadata,
            });
        }
        2 => config.path = Some(PathMatchConfig::Regex(draw.some(&PATTERNS))),
        3 => config.path = Some(PathMatchConfig::RegexPrefix(draw.some(&PATTERNS))),
        4 => config.path = Some(PathMatchConfig::Exact(path_text(draw))),
        5 => config.path = Some(PathMatchConfig::StringPrefix(path_text(draw))),
        _ => config.path = Some(PathMatchConfig::Prefix(path_text(draw))),
    }
    config.ignore_path_case = config.path.is_some() && draw.once_in(5);
    if draw.once_in(5) {
        config.query_parameters = draw.list(2, |draw| named(draw, &["k", "l"]));
    }
    if draw.once_in(8) {
        config.cookies = draw.list(1, |draw| named(draw, &["c", "d"]));
    }
    if draw.once_in(6) {
        config.methods = draw.list(2, |draw| draw.some(&["GET", "POST"]));
    }
    if draw.once_in(10) {
        config.schemes = vec![draw.some(&["http", "https"])];
    }
    if draw.once_in(10) {
        config.ports = vec![draw.of(&[80, 443])];
    }
    if draw.once_in(10) {
        config.source_addresses = vec![draw.some(&["10.0.0.0/8", "10.1.0.0/16", "::1", "2001:db8::/32"])];
    }
    if draw.once_in(12) {
        let mut field = named(draw, &["/m", "/n/0"]);
        field.treat_missing_as_empty = false;
        let NamedMatchConfig { name, r#match, invert, ignore_case, .. } = field;
        config.json_body = vec![BodyMatchConfig { pointer: name, r#match, invert, ignore_case }];
    }
    config
}

/// Conditions that differ in the value of a header more than in their paths, as many rules of one route do.
pub fn crowded(draw: &mut Draw) -> RequestMatchConfig {
    let exact = |draw: &mut Draw| NamedMatchConfig {
        name: draw.some(&["x-a", "x-a", "x-b", "X-B", ":path", "host", "cookie"]),
        r#match: Some(ValueMatchConfig::Exact(draw.some(&["1", "2", "A", "a", "", "1,2", "/a", "/", "a.test", "c=1"]))),
        invert: false,
        ignore_case: draw.once_in(8),
        treat_missing_as_empty: draw.once_in(8),
    };
    let path = draw.some(&["/", "/a", "/a"]);
    let path = if draw.once_in(6) { PathMatchConfig::Regex("/.*".into()) } else { PathMatchConfig::Prefix(path) };
    let mut headers = draw.list(1, exact);
    headers.extend(draw.list(1, |draw| named(draw, &["x-a", "x-b"])));
    headers.push(exact(draw));
    RequestMatchConfig { path: Some(path), headers, ..RequestMatchConfig::default() }
}

/// What a filter sees of a request.
pub struct Arrived {
    pub head: Head,
    pub body: Option<Vec<u8>>,
    pub env: FixedEnv,
}

pub fn request(draw: &mut Draw) -> Arrived {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, value: &[u8]| fields.push((name.to_owned(), value.to_vec()));
    if !draw.once_in(30) {
        add(":method", draw.of(&["GET", "POST", "PUT"]).as_bytes());
    }
    if !draw.once_in(30) {
        add(":scheme", draw.of(&["http", "https"]).as_bytes());
    }
    if !draw.once_in(20) {
        let host =
            draw.some(&["a.test", "b.test", "x.a.test", "test", "y.x.a.test", "A.Test", "other", "atest", ".a.test"]);
        let host = format!("{host}{}", draw.of(&["", "", "", ".", ":80", ".:80", ":x"]));
        add(":authority", host.as_bytes());
    }
    if !draw.once_in(40) {
        let mut path = path_text(draw).into_bytes();
        match draw.below(40) {
            0 => path.extend(b"\xff\xfe"),
            1 => path = b"*".to_vec(),
            2 => path.insert(0, b'/'),
            3 => path.extend(b"%0a\x01#"),
            4 => path = b"a".to_vec(),
            _ => {}
        }
        let query =
            draw.list(3, |draw| draw.some(&["k=1", "k=2", "k", "k=", "l=1", "k=%31", "k=a+b", "%6B=A", "", "l=ab"]));
        if !query.is_empty() {
            path.push(b'?');
            path.extend(query.join("&").bytes());
        }
        add(":path", &path);
    }
    for name in ["x-a", "x-a", "x-b"] {
        if draw.once_in(2) {
            add(name, draw.of(&VALUES).as_bytes());
        }
    }
    if draw.once_in(8) {
        add("x-b", b"\xff");
    }
    if draw.once_in(3) {
        add("cookie", draw.of(&["c=1", "c=1; d=A", "d=\"1\"; c=", "c", "c=2; c=1"]).as_bytes());
    }
    if draw.once_in(3) {
        add("content-type", draw.of(&["application/grpc", "application/grpc+proto", "text/plain"]).as_bytes());
    }
    let bodies: [&[u8]; 6] = [b"", b"{}", br#"{"m":"1"}"#, br#"{"m":{},"n":["a"]}"#, b"no", br#"{"m":10,"n":[]}"#];
    let body = if draw.once_in(3) { None } else { Some(draw.of(&bodies).to_vec()) };
    let mut env = FixedEnv::new(draw.number());
    if !draw.once_in(4) {
        env = env.with_source_address(draw.of(&["10.1.2.3", "10.2.0.1", "::1", "2001:db8::5"]).parse().unwrap());
    }
    if !draw.once_in(4) {
        env = env.with_destination_port(draw.of(&[80, 443]));
    }
    Arrived { head: Head::from_fields(fields), body, env }
}
