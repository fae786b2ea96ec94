//! What a refused client gets.

use crate::config::{AnswerConfig, ResponseHeaders};
use crate::headers::{self, Told};
use filter_kit::header_edits::HeaderEdits;
use filter_kit::matching::Request;
use filter_kit::template::Values;
use filter_kit::{ConfigError, Reply};
use std::borrow::Cow;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderEdits,
    body: Option<String>,
    pub(crate) told: ResponseHeaders,
}

/// Why a request is refused.
#[derive(Debug, Default)]
pub(crate) struct Refusal<'a> {
    pub(crate) told: &'a [Told],
    /// Names of the limits that refused.
    pub(crate) violated: &'a [String],
    /// Nanoseconds until the same request would pass; `None` if that cannot be said.
    pub(crate) wait: Option<u64>,
    /// The service's own words.
    pub(crate) body: &'a [u8],
    /// The service's own headers.
    pub(crate) headers: &'a [(String, Vec<u8>)],
}

const TITLE_AND_TYPE: &[u8] = b",\"title\":\"Request cannot be satisfied as assigned quota has been exceeded\",\
    \"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\"violated-policies\":";
const MAX_BODY: usize = 64 * 1024;

impl Answer {
    pub(crate) fn new(config: AnswerConfig, told: ResponseHeaders) -> Result<Self, ConfigError> {
        if !(400..=599).contains(&config.status) {
            return Err(ConfigError::new("status", format!("expected 400 to 599, found {}", config.status)));
        }
        if config.body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
            return Err(ConfigError::new("body", format!("expected at most {MAX_BODY} bytes")));
        }
        let headers = HeaderEdits::of_answer(config.headers, None)?;
        Ok(Self { status: config.status, headers, body: config.body, told })
    }

    /// Whether answers depend on the request's head.
    pub(crate) fn reads_head(&self) -> bool {
        !self.headers.is_empty()
    }

    /// A problem document (RFC 9457). Written piece by piece: who refuses many requests writes many of them.
    fn problem(&self, violated: &[String]) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(b"{\"status\":");
        headers::push_number(&mut body, self.status.into());
        body.extend_from_slice(TITLE_AND_TYPE);
        // texts can always be written
        body.extend(serde_json::to_vec(violated).unwrap_or_default());
        body.push(b'}');
        body
    }

    /// The answer.
    pub(crate) fn refusal(&self, request: &Request<'_>, why: &Refusal<'_>) -> Reply {
        let mut reply = Reply::status(self.status, "sluice_rate_limited");
        // gRPC: RESOURCE_EXHAUSTED
        reply.grpc_status = Some(8);
        reply.headers = headers::headers(why.told, self.told, why.wait.filter(|_| !why.violated.is_empty()));
        let values = Values { request, captures: None, rule: "", target: "" };
        let rendered = self.headers.render(&values);
        reply.headers.extend(rendered.added().map(|(name, value)| (Cow::Owned(name.to_owned()), value.to_vec())));
        let valid = why.headers.iter().filter(|(name, value)| headers::is_valid(name, value));
        reply.headers.extend(valid.map(|(name, value)| (Cow::Owned(name.clone()), value.clone())));
        let kind = match &self.body {
            Some(body) => {
                reply.body = body.clone().into_bytes();
                "text/plain"
            }
            None if !why.body.is_empty() && why.body.len() <= MAX_BODY => {
                reply.body = why.body.to_vec();
                "text/plain"
            }
            None => {
                reply.body = self.problem(why.violated);
                "application/problem+json"
            }
        };
        if !reply.body.is_empty() && !reply.headers.iter().any(|(name, _)| name == "content-type") {
            reply.headers.push((Cow::Borrowed("content-type"), kind.as_bytes().to_vec()));
        }
        reply
    }
}
