//! Rules that answer by themselves: redirects and direct responses.

use crate::config::{DirectResponseConfig, RedirectConfig};
use filter_kit::header_edits::HeaderEdits;
use filter_kit::matching::{Request, RequestMatch};
use filter_kit::rewrite::{Rewrite, RewriteConfig};
use filter_kit::template::Values;
use filter_kit::{ConfigError, InvalidHeader, Reply};
use std::borrow::Cow;

/// A compiled redirect.
#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    scheme: Option<String>,
    port: Option<u16>,
    /// Path, and host without port.
    rewrite: Rewrite,
    strip_query: bool,
    status: u16,
}

/// A compiled direct response.
#[derive(Debug, Clone)]
pub(crate) struct DirectResponse {
    status: u16,
    headers: HeaderEdits,
    body: Vec<u8>,
}

const MAX_BODY: usize = 64 * 1024;

impl Redirect {
    pub(crate) fn new(config: RedirectConfig, alternatives: &[RequestMatch]) -> Result<Self, ConfigError> {
        if let Some(scheme) = config.scheme.as_deref().filter(|scheme| !matches!(*scheme, "http" | "https")) {
            return Err(ConfigError::new("scheme", format!("expected \"http\" or \"https\", found {scheme:?}")));
        }
        if !matches!(config.status, 301 | 302 | 303 | 307 | 308) {
            let why = format!("expected 301, 302, 303, 307 or 308, found {}", config.status);
            return Err(ConfigError::new("status", why));
        }
        if config.port == Some(0) {
            return Err(ConfigError::new("port", "expected 1 to 65535, found 0"));
        }
        let changes = [&config.scheme, &config.host, &config.path, &config.prefix].iter().any(|part| part.is_some());
        if !changes && config.port.is_none() && !config.strip_query {
            let why =
                "expected \"scheme\", \"host\", \"port\", \"path\" or \"prefix\": it would lead where it came from";
            return Err(ConfigError::new("", why));
        }
        if let Some(host) =
            config.host.as_deref().filter(|host| filter_kit::matching::strip_port(host.as_bytes()).len() < host.len())
        {
            return Err(ConfigError::new("host", format!("expected a host without port, found {host:?}")));
        }
        let rewrite = RewriteConfig { prefix: config.prefix, path: config.path, host: config.host, regex: None };
        let rewrite = Rewrite::new(rewrite, alternatives)?;
        let (port, strip_query) = (config.port, config.strip_query);
        Ok(Self { scheme: config.scheme, port, rewrite, strip_query, status: config.status })
    }

    pub(crate) fn uses_captures(&self) -> bool {
        self.rewrite.uses_captures()
    }

    /// The answer. What is not given comes from `asked`, the request as the client sent it.
    pub(crate) fn reply(
        &self,
        values: &Values<'_>,
        matched: &RequestMatch,
        asked: &Request<'_>,
    ) -> Result<Reply, InvalidHeader> {
        let location = self.location(values, matched, asked)?;
        if !filter_kit::head::is_header_value(&location) || location.contains(&b' ') {
            return Err(InvalidHeader::Value);
        }
        let mut reply = Reply::status(self.status, "sluice_router_redirect");
        reply.headers.push((Cow::Borrowed("location"), location));
        Ok(reply)
    }

    fn location(
        &self,
        values: &Values<'_>,
        matched: &RequestMatch,
        asked: &Request<'_>,
    ) -> Result<Vec<u8>, InvalidHeader> {
        let rewritten = self.rewrite.rewritten(values, matched)?;
        let scheme = self.scheme.as_deref().map_or_else(|| asked.scheme(), str::as_bytes);
        let default = match scheme {
            b"https" => 443,
            _ => 80,
        };
        let (host, port) = match &rewritten.authority {
            Some(host) => (host.as_slice(), None),
            None => split_port(asked),
        };
        let kept = if self.scheme.is_none() { port } else { None };
        let port = self.port.or(kept).filter(|port| *port != default);
        // what comes out as it was is not in `rewritten`
        let path_of = if self.rewrite.changes_path() { values.request } else { asked };
        let target = rewritten.target.as_deref().unwrap_or(path_of.target);
        let target = if self.strip_query { target.split(|b| *b == b'?').next().unwrap_or_default() } else { target };
        let mut location = [if scheme.is_empty() { b"http" } else { scheme }, b"://", host].concat();
        if let Some(port) = port {
            location.extend_from_slice(format!(":{port}").as_bytes());
        }
        location.extend_from_slice(target);
        Ok(location)
    }
}

/// Host and port that the client asked for.
fn split_port<'a>(request: &Request<'a>) -> (&'a [u8], Option<u16>) {
    let host = filter_kit::matching::strip_port(request.authority);
    let port = request.authority.get(host.len() + 1..).and_then(|port| std::str::from_utf8(port).ok()?.parse().ok());
    (host, port)
}

impl DirectResponse {
    pub(crate) fn new(config: DirectResponseConfig, groups: Option<&[Option<String>]>) -> Result<Self, ConfigError> {
        if !(200..=599).contains(&config.status) {
            return Err(ConfigError::new("status", format!("expected 200 to 599, found {}", config.status)));
        }
        if config.body.len() > MAX_BODY {
            let why = format!("expected at most {MAX_BODY} bytes, found {}", config.body.len());
            return Err(ConfigError::new("body", why));
        }
        if matches!(config.status, 204 | 205 | 304) && !config.body.is_empty() {
            return Err(ConfigError::new("body", format!("expected no body with status {}", config.status)));
        }
        let headers = HeaderEdits::of_answer(config.headers, groups)?;
        Ok(Self { status: config.status, headers, body: config.body.into_bytes() })
    }

    pub(crate) fn uses_captures(&self) -> bool {
        self.headers.uses_captures()
    }

    /// The answer, and how many headers could not be written.
    pub(crate) fn reply(&self, values: &Values<'_>) -> (Reply, u64) {
        let mut reply = Reply::status(self.status, "sluice_router_direct_response");
        let rendered = self.headers.render(values);
        reply.headers.extend(rendered.added().map(|(name, value)| (Cow::Owned(name.to_owned()), value.to_vec())));
        if !self.body.is_empty() && !reply.headers.iter().any(|(name, _)| name == "content-type") {
            reply.headers.push((Cow::Borrowed("content-type"), b"text/plain".to_vec()));
        }
        reply.body = self.body.clone();
        (reply, rendered.dropped)
    }
}
