//! Conditions as Envoy's `RouteMatch`.

use super::Reasons;
use filter_kit::matching::{
    GrpcMatchConfig, MatchingConfig, NamedMatchConfig, PathKind, PathMatch, Repeated, RequestMatch, RequestMatchConfig,
    ValueMatchConfig,
};
use serde_json::{Map, Value, json};

/// What Envoy compares a request with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Match {
    /// One of `prefix`, `path`, `safe_regex` and so on; empty for any path.
    pub(super) path: Map<String, Value>,
    pub(super) headers: Vec<Value>,
    pub(super) query: Vec<Value>,
}

impl Match {
    /// Of one alternative of a rule.
    pub(super) fn new(
        config: &RequestMatchConfig,
        compiled: &RequestMatch,
        options: &MatchingConfig,
        reasons: &mut Reasons<'_>,
    ) -> Self {
        let mut made = Self::default();
        for (there, why) in [
            (!config.ports.is_empty(), "a condition on the port"),
            (!config.source_addresses.is_empty(), "a condition on the client's address"),
            (!config.cookies.is_empty(), "a condition on a cookie"),
            (!config.json_body.is_empty(), "a condition on the body"),
        ] {
            reasons.add_if(there, why);
        }
        let one_of = |name: &str, texts: &[String]| match texts {
            [] => None,
            [one] => Some(header(name, json!({"exact": one}))),
            _ => {
                let all: Vec<String> = texts.iter().map(|text| escape(text)).collect();
                Some(header(name, regex(&all.join("|"))))
            }
        };
        made.headers.extend(one_of(":method", &config.methods));
        made.headers.extend(one_of(":scheme", &config.schemes));
        match (&config.grpc, &compiled.path) {
            (Some(grpc), _) => {
                made.headers.push(header("content-type", regex(r"application/grpc([+;].*)?")));
                made.path = grpc_path(grpc, reasons);
            }
            (None, Some(path)) => made.path = specifier(path, reasons),
            (None, None) => {}
        }
        let metadata = config.grpc.iter().flat_map(|grpc| &grpc.metadata);
        for named in config.headers.iter().chain(metadata) {
            made.headers.extend(header_condition(named, options, reasons));
        }
        for named in &config.query_parameters {
            made.query.extend(query_condition(named, options, reasons));
        }
        made
    }

    /// As Envoy reads it.
    pub(super) fn json(&self) -> Value {
        let mut made = self.path.clone();
        if made.is_empty() {
            made.insert("prefix".to_owned(), json!("/"));
        }
        if !self.headers.is_empty() {
            made.insert("headers".to_owned(), json!(self.headers));
        }
        if !self.query.is_empty() {
            made.insert("query_parameters".to_owned(), json!(self.query));
        }
        Value::Object(made)
    }

    /// The same for fewer requests.
    pub(super) fn with(&self, header: Value) -> Self {
        let mut made = self.clone();
        made.headers.push(header);
        made
    }
}

/// Whether a path takes everything that starts with a slash.
pub(super) fn takes_all(path: Option<&PathMatch>) -> bool {
    match path.map(|path| &path.kind) {
        None => true,
        Some(PathKind::Prefix(text)) => text.is_empty(),
        Some(PathKind::StringPrefix(text)) => text == b"/",
        Some(_) => false,
    }
}

/// A condition on a header's text.
pub(super) fn header(name: &str, text: Value) -> Value {
    json!({"name": name, "string_match": text})
}

/// A `StringMatcher` that takes the whole value.
pub(super) fn regex(pattern: &str) -> Value {
    json!({"safe_regex": {"regex": pattern}})
}

/// Text as a pattern for itself.
pub(super) fn escape(text: &str) -> String {
    regex_syntax::escape(text)
}

/// The same for bytes of the configuration, which is text.
pub(super) fn escape_bytes(text: &[u8]) -> String {
    escape(&String::from_utf8_lossy(text))
}

/// The pattern as RE2 reads it, with what it says in the front that case does not count.
pub(super) fn pattern(text: &str, ignore_case: bool, reasons: &mut Reasons<'_>) -> String {
    reasons.add_if(!is_common(text), "a pattern that Envoy's regular expressions (RE2) do not have");
    if ignore_case { format!("(?i){text}") } else { text.to_owned() }
}

/// Whether both kinds of regular expressions have all of it, with one meaning.
fn is_common(text: &str) -> bool {
    let escapes = [r"\<", r"\>", r"\b{", r"\B{", r"\u", r"\U", r"\x"];
    let flags = text.split("(?").skip(1).any(|rest| {
        let flags = rest.split([':', ')', '<', 'P']).next().unwrap_or_default();
        flags.contains(['x', 'R', 'u', 'm'])
    });
    let counts = text.split('{').skip(1).any(|rest| {
        let inner = rest.split('}').next().unwrap_or_default();
        inner.split(',').any(|number| number.trim().parse::<u32>().is_ok_and(|number| number > 1000))
    });
    !flags && !counts && !escapes.iter().any(|escape| text.contains(escape))
}

fn specifier(path: &PathMatch, reasons: &mut Reasons<'_>) -> Map<String, Value> {
    let mut made = Map::new();
    let text = |text: &[u8]| json!(String::from_utf8_lossy(text));
    let (name, value) = match &path.kind {
        PathKind::Exact(exact) => ("path", text(exact)),
        PathKind::Prefix(prefix) if prefix.is_empty() => ("prefix", json!("/")),
        // Envoy refuses a slash at the end
        PathKind::Prefix(prefix) if prefix.ends_with(b"/") => {
            let folded = if path.ignore_case { "(?i)" } else { "" };
            ("safe_regex", json!({"regex": format!("{folded}{}(/.*)?", escape_bytes(prefix))}))
        }
        PathKind::Prefix(prefix) => ("path_separated_prefix", text(prefix)),
        PathKind::StringPrefix(prefix) => ("prefix", text(prefix)),
        PathKind::Regex(wanted) => ("safe_regex", json!({"regex": pattern(wanted.text(), path.ignore_case, reasons)})),
        PathKind::RegexPrefix(wanted) => {
            let wanted = format!("(?:{}).*", wanted.text());
            ("safe_regex", json!({"regex": pattern(&wanted, path.ignore_case, reasons)}))
        }
    };
    made.insert(name.to_owned(), value);
    if path.ignore_case && name != "safe_regex" {
        made.insert("case_sensitive".to_owned(), json!(false));
    }
    made
}

/// `/package.Service/Method`.
fn grpc_path(grpc: &GrpcMatchConfig, reasons: &mut Reasons<'_>) -> Map<String, Value> {
    let mut exact = true;
    let mut part = |value: &Option<ValueMatchConfig>| {
        let one = matches!(value, Some(ValueMatchConfig::Exact(_)));
        exact &= one;
        let made = match value {
            None | Some(ValueMatchConfig::Present(true)) => Some((String::new(), "[^/]+".to_owned())),
            Some(ValueMatchConfig::Exact(text)) => Some((text.clone(), escape(text))).filter(|_| !text.is_empty()),
            Some(ValueMatchConfig::Prefix(text)) => Some((text.clone(), format!("{}[^/]*", escape(text)))),
            Some(ValueMatchConfig::Suffix(text)) => Some((text.clone(), format!("[^/]*{}", escape(text)))),
            Some(ValueMatchConfig::Contains(text)) => Some((text.clone(), format!("[^/]*{}[^/]*", escape(text)))),
            Some(_) => None,
        };
        let made = made.filter(|(text, _)| !text.contains('/'));
        reasons.add_if(made.is_none(), "a gRPC service or method that is no plain text");
        made.unwrap_or_default()
    };
    let (service, method) = (part(&grpc.service), part(&grpc.method));
    let mut made = Map::new();
    if exact {
        made.insert("path".to_owned(), json!(format!("/{}/{}", service.0, method.0)));
    } else {
        made.insert("safe_regex".to_owned(), json!({"regex": format!("/{}/{}", service.1, method.1)}));
    }
    made
}

fn presence(named: &NamedMatchConfig) -> Option<bool> {
    match named.r#match {
        None => Some(!named.invert),
        Some(ValueMatchConfig::Present(present)) => Some(present != named.invert),
        Some(_) => None,
    }
}

/// A `StringMatcher`, for what is text.
fn string_match(value: &ValueMatchConfig, ignore_case: bool, reasons: &mut Reasons<'_>) -> Option<Value> {
    let mut made = match value {
        ValueMatchConfig::Exact(text) => json!({"exact": text}),
        ValueMatchConfig::Prefix(text) => json!({"prefix": text}),
        ValueMatchConfig::Suffix(text) => json!({"suffix": text}),
        ValueMatchConfig::Contains(text) => json!({"contains": text}),
        ValueMatchConfig::Regex(text) => return Some(regex(&pattern(text, ignore_case, reasons))),
        ValueMatchConfig::Range(_) | ValueMatchConfig::Present(_) => return None,
    };
    if let (true, Some(entries)) = (ignore_case, made.as_object_mut()) {
        entries.insert("ignore_case".to_owned(), json!(true));
    }
    Some(made)
}

fn header_condition(named: &NamedMatchConfig, options: &MatchingConfig, reasons: &mut Reasons<'_>) -> Option<Value> {
    let lower = named.name.to_ascii_lowercase();
    let name = if lower == "host" { ":authority" } else { lower.as_str() };
    let mut made = Map::new();
    made.insert("name".to_owned(), json!(name));
    if let Some(wanted) = presence(named) {
        made.insert("present_match".to_owned(), json!(wanted));
        return Some(Value::Object(made));
    }
    // of what starts with a colon there is only one
    if !name.starts_with(':') {
        let repeated = options.repeated_headers;
        reasons.add_if(repeated == Repeated::First, "a condition on the first of several headers");
        reasons.add_if(repeated == Repeated::Joined, "a condition on headers joined with commas");
    }
    match named.r#match.as_ref()? {
        ValueMatchConfig::Range(range) => {
            // numbers of 64 bits are text where doubles would round them
            let number = |number: i64| i32::try_from(number).map_or_else(|_| json!(number.to_string()), |n| json!(n));
            let range = json!({"start": number(range.start), "end": number(range.end)});
            made.insert("range_match".to_owned(), range);
        }
        value => {
            made.insert("string_match".to_owned(), string_match(value, named.ignore_case, reasons)?);
        }
    }
    if named.invert {
        made.insert("invert_match".to_owned(), json!(true));
    }
    if named.treat_missing_as_empty {
        made.insert("treat_missing_header_as_empty".to_owned(), json!(true));
    }
    Some(Value::Object(made))
}

fn query_condition(named: &NamedMatchConfig, options: &MatchingConfig, reasons: &mut Reasons<'_>) -> Option<Value> {
    reasons.add_if(options.decode_query_parameters, "a condition on a decoded query parameter");
    if presence(named) == Some(true) {
        return Some(json!({"name": named.name, "present_match": true}));
    }
    let repeated = options.repeated_query_parameters;
    for (there, why) in [
        (named.invert || presence(named).is_some(), "an inverted condition on a query parameter"),
        (named.treat_missing_as_empty, "a query parameter that counts as empty where it is absent"),
        (repeated == Repeated::Each, "a condition on each of several query parameters"),
        (repeated == Repeated::Joined, "a condition on query parameters joined with commas"),
        (matches!(named.r#match, Some(ValueMatchConfig::Range(_))), "a range for a query parameter"),
    ] {
        reasons.add_if(there, why);
    }
    let text = string_match(named.r#match.as_ref()?, named.ignore_case, reasons)?;
    Some(json!({"name": named.name, "string_match": text}))
}
