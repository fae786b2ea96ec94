//! Requests that a condition takes, and others close to them.

use filter_kit::matching::{HostMatchConfig, NamedMatchConfig, PathMatchConfig, RequestMatchConfig, ValueMatchConfig};
use regex_syntax::hir::{Class, Hir, HirKind};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What is special about it.
    pub what: String,
    /// Method.
    pub method: String,
    /// Host.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The port that the connection comes to.
    pub port: Option<u16>,
    /// The client's address.
    pub source: Option<std::net::IpAddr>,
}

/// The host of requests when nobody asks for one.
pub const HOST: &str = "client.test";

/// A request that the conditions take, if one is found.
pub fn sample(matched: &RequestMatchConfig) -> Option<Sample> {
    let mut made = Sample {
        what: "as it says".to_owned(),
        method: matched.methods.first().cloned().unwrap_or_else(|| "GET".to_owned()),
        host: matched.hosts.first().map_or(HOST.to_owned(), host),
        path: match &matched.path {
            None => "/".to_owned(),
            Some(path) => self::path(path)?,
        },
        headers: Vec::new(),
        port: matched.ports.first().copied(),
        source: None,
    };
    if let Some(block) = matched.source_addresses.first() {
        made.source = block.split('/').next().and_then(|address| address.parse().ok());
    }
    if matched.schemes.first().is_some_and(|scheme| scheme == "https") {
        made.headers.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
    }
    if let Some(grpc) = &matched.grpc {
        let service = grpc.service.as_ref().map_or(Some("pkg.Service".to_owned()), value)?;
        let method = grpc.method.as_ref().map_or(Some("Method".to_owned()), value)?;
        made.path = format!("/{service}/{method}");
        "POST".clone_into(&mut made.method);
        made.headers.push(("content-type".to_owned(), "application/grpc".to_owned()));
    }
    let metadata = matched.grpc.iter().flat_map(|grpc| &grpc.metadata);
    for header in matched.headers.iter().chain(metadata) {
        if let Some(text) = named(header)? {
            match header.name.as_str() {
                ":authority" | "host" => made.host = text,
                ":method" => made.method = text,
                _ => made.headers.push((header.name.to_ascii_lowercase(), text)),
            }
        }
    }
    let mut query = Vec::new();
    for parameter in &matched.query_parameters {
        query.extend(named(parameter)?.map(|text| format!("{}={text}", parameter.name)));
    }
    if !query.is_empty() {
        made.path = format!("{}?{}", made.path, query.join("&"));
    }
    let mut cookies = Vec::new();
    for cookie in &matched.cookies {
        cookies.extend(named(cookie)?.map(|text| format!("{}={text}", cookie.name)));
    }
    if !cookies.is_empty() {
        made.headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    Some(made)
}

/// Requests that differ in one thing.
pub fn neighbours(matched: &RequestMatchConfig, sample: &Sample) -> Vec<Sample> {
    let mut all = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut Sample)| {
        let mut other = Sample { what: what.to_owned(), ..sample.clone() };
        change(&mut other);
        if (&other.path, &other.host, &other.method, &other.headers, other.port)
            != (&sample.path, &sample.host, &sample.method, &sample.headers, sample.port)
            && other.path.starts_with('/')
        {
            all.push(other);
        }
    };
    let with_path = |path: String| {
        move |other: &mut Sample| {
            let query = other.path.split_once('?').map(|(_, query)| format!("?{query}"));
            other.path = format!("{path}{}", query.unwrap_or_default());
        }
    };
    match &matched.path {
        Some(PathMatchConfig::Exact(text)) => {
            add("a path that goes on", &with_path(format!("{}/more", text.trim_end_matches('/'))));
            add("a slash behind the path", &with_path(format!("{}/", text.trim_end_matches('/'))));
        }
        Some(PathMatchConfig::Prefix(text) | PathMatchConfig::StringPrefix(text)) => {
            let bare = text.trim_end_matches('/');
            add("the prefix alone", &with_path(if bare.is_empty() { "/".to_owned() } else { bare.to_owned() }));
            add("the prefix inside a longer word", &with_path(format!("{bare}word")));
            add("the prefix and a slash", &with_path(format!("{bare}/")));
        }
        Some(PathMatchConfig::Regex(_) | PathMatchConfig::RegexPrefix(_)) => {
            let path = sample.path.split('?').next().unwrap_or_default().to_owned();
            add("a path that goes on", &with_path(format!("{path}/more")));
            add("another case", &with_path(path.to_ascii_uppercase()));
        }
        None => {}
    }
    add("another path", &with_path("/quite/another/path".to_owned()));
    if !matched.hosts.is_empty() {
        add("another host", &|other| "another.test".clone_into(&mut other.host));
        add("a port in the host", &|other| other.host.push_str(":8080"));
        add("a host with one more label", &|other| other.host = format!("more.{}", other.host));
    }
    if !matched.methods.is_empty() {
        add("another method", &|other| other.method = if other.method == "GET" { "POST" } else { "GET" }.to_owned());
    }
    for header in &matched.headers {
        let name = header.name.to_ascii_lowercase();
        add(&format!("without header {name}"), &|other| other.headers.retain(|(other, _)| *other != name));
        add(&format!("another value of header {name}"), &|other| {
            other.headers.retain(|(other, _)| *other != name);
            other.headers.push((name.clone(), "another".to_owned()));
        });
    }
    if !matched.query_parameters.is_empty() {
        add("without a query", &|other| other.path = other.path.split('?').next().unwrap_or_default().to_owned());
    }
    if !matched.cookies.is_empty() {
        add("without a cookie", &|other| other.headers.retain(|(name, _)| name != "cookie"));
    }
    if !matched.ports.is_empty() {
        add("another port", &|other| other.port = Some(4));
    }
    all
}

fn host(host: &HostMatchConfig) -> String {
    match host {
        HostMatchConfig::Exact(host) => host.clone(),
        HostMatchConfig::Suffix(text) => format!("a{text}"),
        HostMatchConfig::Wildcard(text) | HostMatchConfig::LabelWildcard(text) => text.replacen('*', "a", 1),
    }
}

fn path(path: &PathMatchConfig) -> Option<String> {
    Some(match path {
        PathMatchConfig::Exact(text) => text.clone(),
        PathMatchConfig::Prefix(text) | PathMatchConfig::StringPrefix(text) => {
            format!("{}/sample", text.trim_end_matches('/'))
        }
        PathMatchConfig::Regex(pattern) => of_pattern(pattern)?,
        PathMatchConfig::RegexPrefix(pattern) => {
            let text = of_pattern(pattern)?;
            if text.starts_with('/') { text } else { return None }
        }
    })
}

/// The value that a condition asks for; `Some(None)` if it asks for none.
fn named(condition: &NamedMatchConfig) -> Option<Option<String>> {
    match (&condition.r#match, condition.invert) {
        (None | Some(ValueMatchConfig::Present(true)), false) | (Some(ValueMatchConfig::Present(false)), true) => {
            Some(Some("sample".to_owned()))
        }
        (None | Some(ValueMatchConfig::Present(true)), true) | (Some(ValueMatchConfig::Present(false)), false) => {
            Some(None)
        }
        (Some(wanted), false) => value(wanted).map(Some),
        // something that none of these conditions takes
        (Some(ValueMatchConfig::Range(range)), true) => Some(Some(range.end.to_string())),
        (Some(_), true) => Some(Some("#".to_owned())),
    }
}

fn value(wanted: &ValueMatchConfig) -> Option<String> {
    Some(match wanted {
        ValueMatchConfig::Exact(text) | ValueMatchConfig::Contains(text) => text.clone(),
        ValueMatchConfig::Prefix(text) => format!("{text}1"),
        ValueMatchConfig::Suffix(text) => format!("1{text}"),
        ValueMatchConfig::Regex(pattern) => of_pattern(pattern)?,
        ValueMatchConfig::Range(range) => range.start.to_string(),
        ValueMatchConfig::Present(_) => "sample".to_owned(),
    })
}

/// A text that a pattern takes as a whole: short, but with one round of every loop.
fn of_pattern(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let mut text = String::new();
    add(&parsed, &mut text, 0)?;
    let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$")).ok()?;
    whole.is_match(&text).then_some(text)
}

fn add(part: &Hir, text: &mut String, depth: usize) -> Option<()> {
    if depth > 50 || text.len() > 1000 {
        return None;
    }
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(member(class)?),
        HirKind::Repetition(loops) => {
            for _ in 0..loops.min.clamp(1, 64) {
                add(&loops.sub, text, depth + 1)?;
            }
        }
        HirKind::Capture(group) => add(&group.sub, text, depth + 1)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| add(part, text, depth + 1))?,
        HirKind::Alternation(parts) => add(parts.first()?, text, depth + 1)?,
    }
    Some(())
}

/// A member of a class, one that goes into a path if there is one.
fn member(class: &Class) -> Option<char> {
    let holds = |wanted: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| range.start() <= wanted && wanted <= range.end()),
        Class::Bytes(class) => u8::try_from(wanted)
            .is_ok_and(|byte| class.ranges().iter().any(|range| range.start() <= byte && byte <= range.end())),
    };
    ('a'..='z').chain('0'..='9').chain('A'..='Z').chain("-_./~:,=%".chars()).find(|wanted| holds(*wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_samples() {
        for (pattern, sample) in [
            ("/users/[0-9]+", Some("/users/0")),
            ("/(a|b)/.*", Some("/a/a")),
            (r"/v\d+(/.*)?", Some("/v0/a")),
            ("[^/]+", Some("a")),
            ("(?i)/Foo", Some("/FOO")),
            ("(", None),
            ("a{3}", Some("aaa")),
        ] {
            let found = of_pattern(pattern);
            assert_eq!(found.as_deref().map(str::to_lowercase), sample.map(str::to_lowercase), "{pattern}");
        }
    }
}
