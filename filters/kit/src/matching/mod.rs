//! Request conditions, shared by the filters: configuration types and what they compile to.

mod host;
mod path;
mod query;
mod value;

pub use host::{HostMatch, HostMatchConfig, strip_port};
pub use path::{PathMatch, PathMatchConfig};
pub use query::query_value;
pub use value::{RangeConfig, ValueMatch, ValueMatchConfig};

use crate::{ConfigError, Head, head};
use serde::Deserialize;

/// Conditions of one rule; all of them have to hold, and an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RequestMatchConfig {
    /// One of these hosts; the port of the request's host is ignored.
    pub hosts: Vec<HostMatchConfig>,
    /// One of these methods, spelt as on the wire. `GET` does not imply `HEAD`.
    pub methods: Vec<String>,
    /// The path, without its query.
    pub path: Option<PathMatchConfig>,
    /// Each of these headers.
    pub headers: Vec<NamedMatchConfig>,
    /// Each of these query parameters.
    pub query_parameters: Vec<NamedMatchConfig>,
}

/// A condition on a header or query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct NamedMatchConfig {
    /// Header names compare without case, parameter names with case and without decoding.
    pub name: String,
    /// What the value has to be; absent, any value will do (the header or parameter is present).
    pub r#match: Option<ValueMatchConfig>,
    /// Turns the condition round. A value condition never holds for an absent header, inverted or not; `invert` without
    /// `match` means absent.
    #[serde(default)]
    pub invert: bool,
}

/// Compiled conditions.
#[derive(Debug, Clone)]
pub struct RequestMatch {
    hosts: Vec<HostMatch>,
    methods: Vec<Vec<u8>>,
    path: Option<PathMatch>,
    headers: Vec<NamedMatch>,
    query_parameters: Vec<NamedMatch>,
}

#[derive(Debug, Clone)]
struct NamedMatch {
    name: String,
    value: ValueMatch,
    invert: bool,
}

/// The parts of a request that conditions look at, taken from its head once.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    head: &'a Head,
    /// `:path` up to the first `?`.
    pub path: &'a [u8],
    /// What follows the first `?`, without it.
    pub query: Option<&'a [u8]>,
    /// Host without its port.
    pub host: &'a [u8],
    /// The method.
    pub method: &'a [u8],
}

impl<'a> Request<'a> {
    /// Looks a head over.
    pub fn new(head: &'a Head) -> Self {
        let (path, query) = split_query(head.path());
        Self { head, path, query, host: strip_port(head.authority()), method: head.method() }
    }
}

/// Splits a request target at its first `?`.
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|b| *b == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        None => (target, None),
    }
}

/// Most conditions of one kind in one rule.
const MAX_CONDITIONS: usize = 64;

impl RequestMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path relative to the configuration, as in `headers[0].match.regex`.
    pub fn new(config: RequestMatchConfig) -> Result<Self, ConfigError> {
        for (at, len) in [
            ("hosts", config.hosts.len()),
            ("methods", config.methods.len()),
            ("headers", config.headers.len()),
            ("query_parameters", config.query_parameters.len()),
        ] {
            if len > MAX_CONDITIONS {
                return Err(ConfigError::new(at, format!("expected at most {MAX_CONDITIONS} entries, found {len}")));
            }
        }
        let hosts = compile("hosts", config.hosts, HostMatch::new)?;
        let methods = compile("methods", config.methods, |method| {
            if head::is_header_name(&method) && !method.starts_with(':') {
                Ok(method.into_bytes())
            } else {
                Err(ConfigError::new("", format!("expected an HTTP method, found {method:?}")))
            }
        })?;
        let path = config.path.map(PathMatch::new).transpose().map_err(|error| error.within("path"))?;
        let headers = compile("headers", config.headers, |header| {
            if head::is_header_name(&header.name) {
                NamedMatch::new(header)
            } else {
                Err(ConfigError::new("name", format!("expected a header name, found {:?}", header.name)))
            }
        })?;
        let query_parameters = compile("query_parameters", config.query_parameters, |parameter| {
            if parameter.name.is_empty() {
                Err(ConfigError::new("name", "expected a parameter name, found an empty one"))
            } else {
                NamedMatch::new(parameter)
            }
        })?;
        Ok(Self { hosts, methods, path, headers, query_parameters })
    }

    /// The path condition, for rewrites of the matched part.
    pub fn path(&self) -> Option<&PathMatch> {
        self.path.as_ref()
    }

    /// Whether every condition holds.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.path.as_ref().is_none_or(|path| path.matches(request.path))
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == request.method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(request.host)))
            && self.headers.iter().all(|header| header.matches(request.head.get_all(&header.name)))
            && self.query_parameters.iter().all(|parameter| {
                let value = request.query.and_then(|query| query_value(query, parameter.name.as_bytes()));
                parameter.matches(value.into_iter())
            })
    }
}

impl NamedMatch {
    fn new(config: NamedMatchConfig) -> Result<Self, ConfigError> {
        let value = match config.r#match {
            None => ValueMatch::Present(true),
            Some(value) => ValueMatch::new(value).map_err(|error| error.within("match"))?,
        };
        Ok(Self { name: config.name, value, invert: config.invert })
    }

    /// One of several values suffices; inverted, none of them may fit.
    fn matches<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut values = values.peekable();
        let present = values.peek().is_some();
        match self.value {
            ValueMatch::Present(wanted) => (present == wanted) != self.invert,
            _ => present && values.any(|value| self.value.matches(value)) != self.invert,
        }
    }
}

fn compile<C, T>(at: &str, configs: Vec<C>, one: impl Fn(C) -> Result<T, ConfigError>) -> Result<Vec<T>, ConfigError> {
    let numbered = configs.into_iter().enumerate();
    numbered.map(|(index, config)| one(config).map_err(|error| error.within(&format!("{at}[{index}]")))).collect()
}
