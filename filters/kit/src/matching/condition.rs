//! All conditions of one rule.

use super::{
    BodyMatch, BodyMatchConfig, Cidr, GrpcMatch, GrpcMatchConfig, HostMatch, HostMatchConfig, MatchingConfig,
    NamedMatch, NamedMatchConfig, PathMatch, PathMatchConfig, Request, compile, header,
};
use crate::{ConfigError, head};
use serde::Deserialize;
use std::fmt::Write;

/// Conditions; all of them have to hold, and an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "write", derive(serde::Serialize))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct RequestMatchConfig {
    /// One of these hosts; the port of the request's host is ignored.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub hosts: Vec<HostMatchConfig>,
    /// One of these ports; the port that the connection came to, not what the host says.
    #[cfg_attr(feature = "schema", schemars(length(max = 64), inner(range(min = 1))))]
    pub ports: Vec<u16>,
    /// One of these methods, spelt as on the wire. `GET` does not imply `HEAD`.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub methods: Vec<String>,
    /// One of these schemes, `http` or `https`.
    #[cfg_attr(feature = "schema", schemars(length(max = 64), inner(regex(pattern = r"^https?$"))))]
    pub schemes: Vec<String>,
    /// The path, without its query.
    pub path: Option<PathMatchConfig>,
    /// Compares the path without case (ASCII letters).
    pub ignore_path_case: bool,
    /// Each of these headers.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub headers: Vec<NamedMatchConfig>,
    /// Each of these query parameters.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub query_parameters: Vec<NamedMatchConfig>,
    /// Each of these cookies; of several of one name the first counts.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub cookies: Vec<NamedMatchConfig>,
    /// One of these blocks, as in `10.0.0.0/8`, holds the client's address, as the host trusts it.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub source_addresses: Vec<String>,
    /// A gRPC call. It says what the path is, so `path` must not stand beside it.
    pub grpc: Option<GrpcMatchConfig>,
    /// Each of these fields of a JSON body. The request is held until its body is there; Envoy needs
    /// `allow_on_headers_stop_iteration: true` for that. A request for another protocol (`CONNECT`, WebSockets) has none.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub json_body: Vec<BodyMatchConfig>,
}

/// Compiled conditions.
#[derive(Debug, Clone)]
pub struct RequestMatch {
    /// One of these; empty for any.
    pub hosts: Vec<HostMatch>,
    /// One of these; empty for any.
    pub ports: Vec<u16>,
    /// One of these; empty for any.
    pub methods: Vec<Vec<u8>>,
    /// One of these; empty for any.
    pub schemes: Vec<Vec<u8>>,
    /// The path, also if a gRPC call says what it is.
    pub path: Option<PathMatch>,
    /// Each of these, gRPC metadata among them.
    pub headers: Vec<NamedMatch>,
    /// Each of these.
    pub query_parameters: Vec<NamedMatch>,
    /// Each of these.
    pub cookies: Vec<NamedMatch>,
    /// One of these; empty for any.
    pub source_addresses: Vec<Cidr>,
    /// The gRPC call.
    pub grpc: Option<GrpcMatch>,
    /// Each of these.
    pub json_body: Vec<BodyMatch>,
}

/// The first condition that a request did not meet; numbers count in the lists of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// None of the hosts.
    Hosts,
    /// The path.
    Path,
    /// None of the methods.
    Methods,
    /// None of the schemes.
    Schemes,
    /// Not this gRPC call.
    Grpc,
    /// A header; metadata counts behind the headers.
    Header(usize),
    /// A query parameter.
    QueryParameter(usize),
    /// A cookie.
    Cookie(usize),
    /// None of the ports.
    Ports,
    /// None of the blocks of addresses.
    SourceAddresses,
    /// A field of the body.
    JsonBody(usize),
}

/// Most conditions of one kind in one rule.
const MAX_CONDITIONS: usize = 64;

impl RequestMatch {
    /// Checks and compiles.
    ///
    /// # Errors
    /// With a path relative to the configuration, as in `headers[0].match.regex`.
    pub fn new(config: RequestMatchConfig, options: &MatchingConfig) -> Result<Self, ConfigError> {
        for (at, len) in [
            ("hosts", config.hosts.len()),
            ("ports", config.ports.len()),
            ("methods", config.methods.len()),
            ("schemes", config.schemes.len()),
            ("headers", config.headers.len()),
            ("query_parameters", config.query_parameters.len()),
            ("cookies", config.cookies.len()),
            ("source_addresses", config.source_addresses.len()),
            ("grpc.metadata", config.grpc.as_ref().map_or(0, |grpc| grpc.metadata.len())),
            ("json_body", config.json_body.len()),
        ] {
            if len > MAX_CONDITIONS {
                return Err(ConfigError::new(at, format!("expected at most {MAX_CONDITIONS} entries, found {len}")));
            }
        }
        let hosts = compile("hosts", config.hosts, HostMatch::new)?;
        if config.ports.contains(&0) {
            return Err(ConfigError::new("ports", "expected ports from 1 to 65535, found 0"));
        }
        let methods = compile("methods", config.methods, method)?;
        let schemes = compile("schemes", config.schemes, |scheme| match scheme.as_str() {
            "http" | "https" => Ok(scheme.into_bytes()),
            _ => Err(ConfigError::new("", format!("expected \"http\" or \"https\", found {scheme:?}"))),
        })?;
        let ignore_case = config.ignore_path_case || options.ignore_path_case;
        if config.ignore_path_case && config.path.is_none() {
            return Err(ConfigError::new("ignore_path_case", "expected it together with \"path\""));
        }
        let path = config.path.map(|path| PathMatch::new(path, ignore_case)).transpose();
        let mut path = path.map_err(|error| error.within("path"))?;
        let mut headers = compile("headers", config.headers, header)?;
        let grpc = config.grpc.map(|grpc| GrpcMatch::new(grpc, &mut headers).map_err(|error| error.within("grpc")));
        let grpc = grpc.transpose()?;
        if let Some(grpc) = &grpc {
            if path.is_some() {
                return Err(ConfigError::new("path", "expected either \"path\" or \"grpc\", found both"));
            }
            path = grpc.path();
        }
        let query_parameters = compile("query_parameters", config.query_parameters, named)?;
        let cookies = compile("cookies", config.cookies, named)?;
        let source_addresses = compile("source_addresses", config.source_addresses, |block: String| Cidr::new(&block))?;
        let json_body = compile("json_body", config.json_body, BodyMatch::new)?;
        let ports = config.ports;
        Ok(Self {
            hosts,
            ports,
            methods,
            schemes,
            path,
            headers,
            query_parameters,
            cookies,
            source_addresses,
            grpc,
            json_body,
        })
    }

    /// Whether every condition holds.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.unmet(request).is_none()
    }

    /// Whether the body has a say.
    pub fn wants_body(&self) -> bool {
        !self.json_body.is_empty()
    }

    /// The first condition that does not hold. Cheap ones come first; as long as the body is not there, conditions on it
    /// count as holding.
    pub fn unmet(&self, request: &Request<'_>) -> Option<Unmet> {
        if self.path.as_ref().is_some_and(|path| !path.matches(request.path)) {
            return Some(Unmet::Path);
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| host.matches(request.host)) {
            return Some(Unmet::Hosts);
        }
        self.unmet_beside_path(request)
    }

    /// The same for a request that is known to fit path and hosts.
    pub(crate) fn unmet_beside_path(&self, request: &Request<'_>) -> Option<Unmet> {
        if !self.methods.is_empty() && !self.methods.iter().any(|method| method == request.method) {
            return Some(Unmet::Methods);
        }
        if !self.schemes.is_empty() && !self.schemes.iter().any(|scheme| scheme == request.scheme()) {
            return Some(Unmet::Schemes);
        }
        if self.grpc.as_ref().is_some_and(|grpc| !grpc.matches(request.head, request.path)) {
            return Some(Unmet::Grpc);
        }
        if let Some(at) = self.headers.iter().position(|header| !request.header_fits(header)) {
            return Some(Unmet::Header(at));
        }
        if let Some(at) = self.query_parameters.iter().position(|wanted| !request.query_parameter_fits(wanted)) {
            return Some(Unmet::QueryParameter(at));
        }
        if let Some(at) = self.cookies.iter().position(|cookie| !request.cookie_fits(cookie)) {
            return Some(Unmet::Cookie(at));
        }
        if !self.ports.is_empty() && !request.world.destination_port().is_some_and(|port| self.ports.contains(&port)) {
            return Some(Unmet::Ports);
        }
        if !self.source_addresses.is_empty()
            && !request
                .world
                .source_address()
                .is_some_and(|address| self.source_addresses.iter().any(|block| block.contains(address)))
        {
            return Some(Unmet::SourceAddresses);
        }
        let body = request.world.body?;
        self.json_body.iter().position(|field| !field.matches(body)).map(Unmet::JsonBody)
    }

    /// Every condition in words.
    pub fn describe(&self) -> Vec<String> {
        let lossy = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
        let mut all: Vec<String> = Vec::new();
        if !self.hosts.is_empty() {
            all.push(self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "));
        }
        all.extend(self.ports_text());
        if !self.methods.is_empty() {
            all.push(format!("method {}", self.methods.iter().map(lossy).collect::<Vec<_>>().join(" or ")));
        }
        if !self.schemes.is_empty() {
            all.push(format!("scheme {}", self.schemes.iter().map(lossy).collect::<Vec<_>>().join(" or ")));
        }
        match &self.grpc {
            Some(grpc) => all.push(grpc_text(grpc)),
            None => all.extend(self.path.as_ref().map(ToString::to_string)),
        }
        all.extend(self.headers.iter().map(|header| format!("header {header}")));
        all.extend(self.query_parameters.iter().map(|parameter| format!("query parameter {parameter}")));
        all.extend(self.cookies.iter().map(|cookie| format!("cookie {cookie}")));
        if !self.source_addresses.is_empty() {
            all.push(format!("source address in {}", join(&self.source_addresses)));
        }
        all.extend(self.json_body.iter().map(|field| format!("JSON body {}", field.field)));
        all
    }

    /// An unmet condition in words, with what was found instead.
    pub fn explain(&self, unmet: Unmet, request: &Request<'_>) -> String {
        let shown = |value: &[u8]| format!("{:?}", String::from_utf8_lossy(value));
        let found = |value: Option<std::borrow::Cow<'_, [u8]>>| match value {
            Some(value) => shown(&value),
            None => "none".to_owned(),
        };
        let named = |list: &[NamedMatch], at: usize| list.get(at).map(ToString::to_string).unwrap_or_default();
        match unmet {
            Unmet::Hosts => {
                let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
                format!("{}, found {}", hosts.join(" or "), shown(request.host))
            }
            Unmet::Path => {
                let path = self.path.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{path}, found {}", String::from_utf8_lossy(request.path))
            }
            Unmet::Methods => {
                let methods: Vec<_> = self.methods.iter().map(|method| String::from_utf8_lossy(method)).collect();
                format!("method {}, found {}", methods.join(" or "), String::from_utf8_lossy(request.method))
            }
            Unmet::Schemes => {
                let schemes: Vec<_> = self.schemes.iter().map(|scheme| String::from_utf8_lossy(scheme)).collect();
                format!("scheme {}, found {}", schemes.join(" or "), shown(request.scheme()))
            }
            Unmet::Grpc => {
                let grpc = self.grpc.as_ref().map(grpc_text).unwrap_or_default();
                format!("{grpc}, found {} as {}", shown(request.path), found(request.header("content-type")))
            }
            Unmet::Header(at) => {
                let name = self.headers.get(at).map_or("", |header| header.name.as_str());
                format!("header {}, found {}", named(&self.headers, at), found(request.header(name)))
            }
            Unmet::QueryParameter(at) => {
                let name = self.query_parameters.get(at).map_or("", |parameter| parameter.name.as_str());
                let value = request.query_parameter(name);
                format!("query parameter {}, found {}", named(&self.query_parameters, at), found(value))
            }
            Unmet::Cookie(at) => {
                let name = self.cookies.get(at).map_or("", |cookie| cookie.name.as_str());
                let value = request.cookie(name).map(Into::into);
                format!("cookie {}, found {}", named(&self.cookies, at), found(value))
            }
            Unmet::Ports => {
                let port = request.world.destination_port().map_or("none".to_owned(), |port| port.to_string());
                format!("{}, found {port}", self.ports_text().unwrap_or_default())
            }
            Unmet::SourceAddresses => {
                let address = request.world.source_address();
                let address = address.map_or("none".to_owned(), |address| address.to_string());
                format!("source address in {}, found {address}", join(&self.source_addresses))
            }
            Unmet::JsonBody(at) => {
                let Some(field) = self.json_body.get(at) else { return String::new() };
                format!("JSON body {}, found {}", field.field, field.found(request.world.body.unwrap_or_default()))
            }
        }
    }

    fn ports_text(&self) -> Option<String> {
        (!self.ports.is_empty()).then(|| format!("port {}", join(&self.ports)))
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn grpc_text(grpc: &GrpcMatch) -> String {
    let mut text = "gRPC".to_owned();
    if let Some(service) = &grpc.service {
        let _ = write!(text, " service {service}");
    }
    if let Some(method) = &grpc.method {
        let _ = write!(text, " method {method}");
    }
    text
}

fn method(method: String) -> Result<Vec<u8>, ConfigError> {
    if head::is_header_name(&method) && !method.starts_with(':') {
        return Ok(method.into_bytes());
    }
    Err(ConfigError::new("", format!("expected an HTTP method, found {method:?}")))
}

fn named(config: NamedMatchConfig) -> Result<NamedMatch, ConfigError> {
    if config.name.is_empty() || config.name.len() > 256 {
        let why = format!("expected a name of 1 to 256 bytes, found {:?}", config.name);
        return Err(ConfigError::new("name", why));
    }
    NamedMatch::new(config)
}
