//! Text with values of the request in it.

use crate::ConfigError;
use crate::config::nearest;
use crate::head::is_header_name;
use crate::matching::Request;
use crate::pattern::Captures;
use std::borrow::Cow;

/// A compiled template. `$1` and `${1}` are groups of the rule's pattern, `${name}` a group of that name; `${method}`,
/// `${scheme}`, `${host}` (without port), `${authority}`, `${path}` (without query), `${query}`, `${source_address}`,
/// `${header.x-user}`, `${query.page}`, `${cookie.session}`, `${rule}` and `${target}` are what they say; `$$` is a
/// dollar. What is absent is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Source),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Capture(usize),
    Method,
    Scheme,
    Host,
    Authority,
    Path,
    Query,
    ClientAddress,
    Rule,
    Target,
    Header(String),
    QueryParameter(String),
    Cookie(String),
}

/// What a template may draw on.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// Groups, and the text that they are groups of.
    pub captures: Option<(&'a Captures, &'a [u8])>,
    /// Name of the rule.
    pub rule: &'a str,
    /// Name of the target.
    pub target: &'a str,
}

/// How values of the request are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// For a path: groups and `${path}` as they are, all else with escapes, `/` among them.
    Path,
}

/// A template's result would be longer than [`MAX_RESULT`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Longest template and longest result, in bytes.
pub const MAX_TEMPLATE: usize = 4096;
/// Longest result in bytes.
pub const MAX_RESULT: usize = 64 * 1024;

const WORDS: [&str; 9] = ["method", "scheme", "host", "authority", "path", "query", "source_address", "rule", "target"];

impl Template {
    /// Compiles a template. `groups` are the names of the rule's groups, the whole match first; `None` if it has no
    /// pattern.
    ///
    /// # Errors
    /// For unknown names, groups that do not exist, and a `$` that stands for nothing.
    pub fn new(text: &str, groups: Option<&[Option<String>]>) -> Result<Self, ConfigError> {
        if text.len() > MAX_TEMPLATE {
            let why = format!("expected at most {MAX_TEMPLATE} bytes, found {}", text.len());
            return Err(ConfigError::new("", why));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (name, after) = name(after).ok_or_else(|| {
                let why = "expected \"$1\", \"${name}\" or \"$$\" for a dollar";
                ConfigError::new("", format!("{why}, found {:?}", format!("${after}")))
            })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Value(source(name, groups)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The text, if there are no values in it.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// All text in it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value(_) => None,
        })
    }

    /// Whether it begins with text, or with something that may begin a path.
    pub fn may_begin_path(&self) -> bool {
        match self.parts.first() {
            Some(Part::Text(text)) => text.starts_with('/'),
            Some(Part::Value(source)) => matches!(source, Source::Capture(_) | Source::Path),
            None => false,
        }
    }

    /// Whether it draws on groups.
    pub fn uses_captures(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Value(Source::Capture(_))))
    }

    /// Appends the result.
    ///
    /// # Errors
    /// If `out` would get too long.
    pub fn render(&self, values: &Values<'_>, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), TooLong> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(source) => {
                    let value = values.get(source);
                    let raw = matches!(source, Source::Capture(_) | Source::Path);
                    if encoding == Encoding::Path && !raw {
                        value.iter().for_each(|byte| push_escaped(out, *byte));
                    } else {
                        out.extend_from_slice(&value);
                    }
                }
            }
            if out.len() > MAX_RESULT {
                return Err(TooLong);
            }
        }
        Ok(())
    }
}

impl Values<'_> {
    fn get(&self, source: &Source) -> Cow<'_, [u8]> {
        let request = self.request;
        match source {
            Source::Capture(group) => {
                let found = self.captures.and_then(|(captures, text)| captures.get(text, *group));
                Cow::Borrowed(found.unwrap_or_default())
            }
            Source::Method => Cow::Borrowed(request.method),
            Source::Scheme => Cow::Borrowed(request.scheme()),
            Source::Host => Cow::Borrowed(request.host),
            Source::Authority => Cow::Borrowed(request.authority),
            Source::Path => Cow::Borrowed(request.path),
            Source::Query => Cow::Borrowed(request.query.unwrap_or_default()),
            Source::ClientAddress => match request.world.source_address() {
                Some(address) => Cow::Owned(address.to_string().into_bytes()),
                None => Cow::Borrowed(&[]),
            },
            Source::Rule => Cow::Borrowed(self.rule.as_bytes()),
            Source::Target => Cow::Borrowed(self.target.as_bytes()),
            Source::Header(name) => request.header(name).unwrap_or_default(),
            Source::QueryParameter(name) => request.query_parameter(name).unwrap_or_default(),
            Source::Cookie(name) => Cow::Borrowed(request.cookie(name).unwrap_or_default()),
        }
    }
}

/// What follows a dollar: the name, and the rest.
fn name(after: &str) -> Option<(&str, &str)> {
    if let Some(inner) = after.strip_prefix('{') {
        return inner.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| after.split_at(digits))
}

fn source(name: &str, groups: Option<&[Option<String>]>) -> Result<Source, ConfigError> {
    let word = match name {
        "method" => Some(Source::Method),
        "scheme" => Some(Source::Scheme),
        "host" => Some(Source::Host),
        "authority" => Some(Source::Authority),
        "path" => Some(Source::Path),
        "query" => Some(Source::Query),
        "source_address" => Some(Source::ClientAddress),
        "rule" => Some(Source::Rule),
        "target" => Some(Source::Target),
        _ => None,
    };
    if let Some(word) = word {
        return Ok(word);
    }
    if let Some(header) = name.strip_prefix("header.") {
        if is_header_name(header) {
            return Ok(Source::Header(header.to_ascii_lowercase()));
        }
        return Err(ConfigError::new("", format!("expected a header name, found {header:?}")));
    }
    if let Some(parameter) = name.strip_prefix("query.").filter(|name| !name.is_empty()) {
        return Ok(Source::QueryParameter(parameter.to_owned()));
    }
    if let Some(cookie) = name.strip_prefix("cookie.").filter(|name| !name.is_empty()) {
        return Ok(Source::Cookie(cookie.to_owned()));
    }
    let groups = groups.unwrap_or_default();
    let number = name.parse().ok().filter(|number| *number < groups.len());
    let group = number.or_else(|| groups.iter().position(|group| group.as_deref() == Some(name)));
    if let Some(group) = group {
        return Ok(Source::Capture(group));
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        let count = groups.len().saturating_sub(1);
        return Err(ConfigError::new(
            "",
            format!("expected one of {count} groups of the rule's pattern, found \"${name}\""),
        ));
    }
    let mut known: Vec<&str> = WORDS.to_vec();
    known.extend(groups.iter().flatten().map(String::as_str));
    let near = nearest(name, &known).map(|near| format!("; did you mean \"${{{near}}}\"?")).unwrap_or_default();
    Err(ConfigError::new("", format!("unknown value \"${{{name}}}\"{near}")))
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        return out.push(byte);
    }
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{MatchingConfig, World};
    use crate::pattern::{Pattern, Scope};
    use crate::{FixedEnv, Head};

    fn render(template: &str, encoding: Encoding) -> String {
        let pattern = Pattern::new("/(?<kind>[a-z]+)/([^/]*)", Scope::Whole, false).unwrap();
        let template = Template::new(template, Some(&pattern.groups())).unwrap();
        let head = Head::from_fields([
            (":method", "GET"),
            (":authority", "a.test:81"),
            (":scheme", "http"),
            ("x-a", "1/2"),
            ("x-a", "3"),
            ("cookie", "s=abc"),
        ]);
        let env = FixedEnv::default().with_source_address("10.0.0.1".parse().unwrap());
        let (world, options) = (World::new(&env, None), MatchingConfig::default());
        let request = Request::new(&head, b"/items/7%2F?page=2&x", &options, &world);
        let captures = pattern.captures(request.path).unwrap();
        let captures = Some((&captures, request.path));
        let mut out = Vec::new();
        template.render(&Values { request: &request, captures, rule: "r", target: "t" }, encoding, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_stand_where_they_are_named() {
        for (template, expected) in [
            ("plain", "plain"),
            ("$1-${kind}-$2-${0}", "items-items-7%2F-/items/7%2F"),
            ("$$1 ${method} ${scheme}", "$1 GET http"),
            ("${host} ${authority} ${path} ${query}", "a.test a.test:81 /items/7%2F page=2&x"),
            ("${source_address} ${rule} ${target}", "10.0.0.1 r t"),
            ("${header.X-A}|${header.none}|${query.page}|${cookie.s}", "1/2,3||2|abc"),
        ] {
            assert_eq!(render(template, Encoding::Raw), expected, "{template}");
        }
        assert_eq!(render("/$2/${header.x-a}", Encoding::Path), "/7%2F/1%2F2%2C3");
    }

    #[test]
    fn mistakes_say_what_is_known() {
        let pattern = Pattern::new("/(?<kind>[a-z]+)", Scope::Whole, false).unwrap();
        for (template, expected) in [
            ("$2", "expected one of 1 groups of the rule's pattern, found \"$2\""),
            ("${knd}", "unknown value \"${knd}\"; did you mean \"${kind}\"?"),
            ("${metod}", "unknown value \"${metod}\"; did you mean \"${method}\"?"),
            ("a$", "expected \"$1\", \"${name}\" or \"$$\" for a dollar, found \"$\""),
            ("${a", "expected \"$1\", \"${name}\" or \"$$\" for a dollar, found \"${a\""),
            ("${header.a b}", "expected a header name, found \"a b\""),
            ("${query.}", "unknown value \"${query.}\"; did you mean \"${query}\"?"),
        ] {
            assert_eq!(
                Template::new(template, Some(&pattern.groups())).unwrap_err().to_string(),
                expected,
                "{template}"
            );
        }
        assert!(Template::new("$1", None).unwrap_err().why.starts_with("expected one of 0 groups"));
        assert!(Template::new(&"a".repeat(5000), None).is_err());
    }
}
