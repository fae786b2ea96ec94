//! The filter: requests in, requests and answers out.

use crate::answer::{self, Pending};
use crate::config::check_header;
use crate::config::{Config, Others};
use crate::endpoint::{self, Endpoint};
use crate::list;
use crate::metrics::RefusedCounters;
use crate::models::{Models, check_prefix};
use crate::request::{Asked, Reserved};
use ai_translate::client::{Client, Kind};
use ai_translate::ir::ApiError;
use filter_kit::{Body, Chunk, ConfigError, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config};
use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

/// A configured ai-normalize.
#[derive(Debug, Clone)]
pub struct AiNormalize {
    compiled: Rc<Compiled>,
}

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) config: Config,
    pub(crate) models: Models,
    pub(crate) refused: RefusedCounters,
    /// Bytes of requests that are waited for.
    pub(crate) inflight: Rc<Cell<u64>>,
    metrics: MetricTable,
}

/// Largest body that a host may be asked to keep.
const MAX_BODY: usize = 256 << 20;

impl AiNormalize {
    /// Checks and compiles a configuration.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        check_prefix("path_prefix", &config.path_prefix)?;
        for (at, bytes) in
            [("max_request_bytes", config.max_request_bytes), ("max_response_bytes", config.max_response_bytes)]
        {
            if bytes == 0 || bytes > MAX_BODY {
                return Err(ConfigError::new(at, format!("expected 1 to {MAX_BODY}, found {bytes}")));
            }
        }
        if config.max_inflight_bytes < u64::try_from(config.max_request_bytes).unwrap_or(u64::MAX) {
            return Err(ConfigError::new("max_inflight_bytes", "expected at least max_request_bytes"));
        }
        for (at, name) in [("model_header", &config.model_header), ("provider_header", &config.provider_header)] {
            if let Some(name) = name {
                check_header(at, name)?;
            }
        }
        let mut metrics = MetricTable::default();
        let models = Models::new(&config, &mut metrics)?;
        let refused = RefusedCounters::new(&mut metrics);
        metrics.check().map_err(|error| ConfigError::new("models", error.why))?;
        Ok(Self { compiled: Rc::new(Compiled { config, models, refused, inflight: Rc::default(), metrics }) })
    }
}

impl Filter for AiNormalize {
    type Stream = AiStream;

    const NAME: &'static str = "ai-normalize";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(config::parse(json)?)
    }

    fn metrics(&self) -> &MetricTable {
        &self.compiled.metrics
    }

    fn holds(&self) -> bool {
        self.compiled.config.hold
    }

    fn stream(&self) -> AiStream {
        AiStream { compiled: Rc::clone(&self.compiled), state: State::Nothing }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct AiStream {
    compiled: Rc<Compiled>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not, or no longer, of interest.
    Nothing,
    /// The request's body is waited for.
    Waiting { asked: Asked, _reserved: Reserved },
    /// The provider is asked.
    Pending(Box<Pending>),
}

/// An error in a client's dialect.
pub(crate) fn refusal(client: &dyn Client, error: &ApiError) -> Reply {
    let mut headers = vec![(Cow::Borrowed("content-type"), b"application/json".to_vec())];
    headers.extend(error.retry_after.as_ref().map(|after| (Cow::Borrowed("retry-after"), after.clone().into_bytes())));
    Reply { status: error.status, headers, body: client.error(error), grpc_status: None, details: "sluice_ai_refused" }
}

fn json(body: Vec<u8>) -> Reply {
    let headers = vec![(Cow::Borrowed("content-type"), b"application/json".to_vec())];
    Reply { status: 200, headers, body, grpc_status: None, details: "sluice_ai_models" }
}

impl AiStream {
    fn refuse(&self, client: &dyn Client, reason: &'static str, error: &ApiError, env: &dyn Env) -> Flow {
        self.compiled.refused.count(reason, env);
        Flow::Reply(refusal(client, error))
    }

    fn ask(&mut self, asked: Asked, head: &mut Head, env: &dyn Env) -> Flow {
        let Compiled { config, inflight, .. } = &*self.compiled;
        let client = asked.client;
        let length = match head.get("content-length").map(|value| str::from_utf8(value).ok()?.parse::<u64>().ok()) {
            Some(None) => {
                return self.refuse(client, "invalid", &ApiError::invalid("the length of the body is no number"), env);
            }
            Some(length) => length,
            None => None,
        };
        let most = u64::try_from(config.max_request_bytes).unwrap_or(u64::MAX);
        if length.is_some_and(|length| length > most) {
            return self.refuse(client, "too_large", &too_large(config.max_request_bytes), env);
        }
        let Some(reserved) = Reserved::new(inflight, length.unwrap_or(most), config.max_inflight_bytes) else {
            let error = ApiError::new(503, "too many requests are being read; try again").code("overloaded");
            return self.refuse(client, "overloaded", &ApiError { retry_after: Some("1".to_owned()), ..error }, env);
        };
        if config.hold {
            self.state = State::Waiting { asked, _reserved: reserved };
            return Flow::Hold { limit: config.max_request_bytes };
        }
        match asked.send_head(&self.compiled, head, env) {
            Ok(asked) => {
                self.state = State::Waiting { asked, _reserved: reserved };
                Flow::Buffer { limit: config.max_request_bytes }
            }
            Err((reason, error)) => self.refuse(client, reason, &error, env),
        }
    }

    /// What of the request the provider gets otherwise than it was sent, or not at all; nothing before it is sent.
    pub fn notes(&self) -> &[ai_translate::Note] {
        match &self.state {
            State::Pending(pending) => pending.notes(),
            _ => &[],
        }
    }

    fn take_waiting(&mut self) -> Option<Asked> {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Waiting { asked, .. } => Some(asked),
            other => {
                self.state = other;
                None
            }
        }
    }
}

pub(crate) fn too_large(most: usize) -> ApiError {
    ApiError::new(413, format!("the request's body is longer than {most} bytes"))
}

impl Stream for AiStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let compiled = Rc::clone(&self.compiled);
        let Compiled { config, models, .. } = &*compiled;
        let chat = endpoint::client(Kind::Chat);
        let Some(found) = endpoint::find(&config.path_prefix, head.path()) else {
            return match (config.others, chat) {
                (Others::Refuse, Some(client)) => {
                    let error = ApiError::new(404, "there is nothing under this path").code("unknown_url");
                    self.refuse(client, "invalid", &error, env)
                }
                _ => Flow::Continue,
            };
        };
        // Anthropic's clients say so on every request, and both list models under one path
        let lists = if head.get("anthropic-version").is_some() { Kind::Messages } else { Kind::Chat };
        let kind = match &found {
            Endpoint::Ask { kind, .. } => *kind,
            Endpoint::Models | Endpoint::Model(_) => lists,
        };
        let Some(client) = endpoint::client(kind).or(chat) else { return Flow::Continue };
        let method: &[u8] = if matches!(found, Endpoint::Ask { .. }) { b"POST" } else { b"GET" };
        if head.method() != method {
            let wanted = String::from_utf8_lossy(method);
            let error = ApiError::new(405, format!("expected {wanted} for this path")).code("method_not_allowed");
            return self.refuse(client, "invalid", &error, env);
        }
        match found {
            Endpoint::Models => Flow::Reply(json(list::all(models, kind))),
            Endpoint::Model(name) => match list::one(&name, models, kind) {
                Some(body) => Flow::Reply(json(body)),
                None => self.refuse(client, "unknown_model", &crate::request::unknown_model(models, Some(&name)), env),
            },
            Endpoint::Ask { operation, model, .. } => {
                if head.get("content-type").is_some_and(|value| !is_json(value)) {
                    let error = ApiError::new(415, "expected a body of the type application/json")
                        .code("unsupported_media_type");
                    return self.refuse(client, "media_type", &error, env);
                }
                match Asked::new(client, operation, model, config, head) {
                    Ok(asked) => self.ask(asked, head, env),
                    Err(error) => self.refuse(client, "invalid", &error, env),
                }
            }
        }
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        let Some(asked) = self.take_waiting() else { return Flow::Continue };
        let client = asked.client;
        match asked.send(&self.compiled, Some(head), body, env) {
            Ok(pending) => {
                self.state = State::Pending(Box::new(pending));
                Flow::Continue
            }
            Err((reason, error)) => self.refuse(client, reason, &error, env),
        }
    }

    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        let Some(asked) = self.take_waiting() else { return Flow::Continue };
        let client = asked.client;
        match asked.send(&self.compiled, None, body, env) {
            Ok(pending) => {
                self.state = State::Pending(Box::new(pending));
                Flow::Continue
            }
            Err((reason, error)) => self.refuse(client, reason, &error, env),
        }
    }

    fn on_request_too_large(&mut self, env: &dyn Env) -> Reply {
        let Some(asked) = self.take_waiting() else { return Reply::too_large() };
        self.compiled.refused.count("too_large", env);
        refusal(asked.client, &too_large(self.compiled.config.max_request_bytes))
    }

    fn lasts(&self) -> bool {
        !matches!(self.state, State::Nothing)
    }

    fn on_response_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        match &mut self.state {
            State::Pending(pending) => answer::head(pending, &self.compiled, head, env),
            // an answer before the request was all there
            _ => Flow::Continue,
        }
    }

    fn on_held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        match &mut self.state {
            State::Pending(pending) => answer::held(pending, &self.compiled, head, body, env),
            _ => Flow::Continue,
        }
    }

    fn on_response_too_large(&mut self, env: &dyn Env) -> Reply {
        match &mut self.state {
            State::Pending(pending) => answer::too_large(pending, &self.compiled, env),
            _ => Reply::status(502, "sluice_response_too_large"),
        }
    }

    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        match &mut self.state {
            State::Pending(pending) => answer::whole(pending, &self.compiled, body, env),
            _ => Flow::Continue,
        }
    }

    fn on_response_chunk(&mut self, chunk: &mut Chunk, env: &dyn Env) -> Flow {
        match &mut self.state {
            State::Pending(pending) => answer::chunk(pending, &self.compiled, chunk, env),
            _ => Flow::Continue,
        }
    }

    fn on_end(&mut self, env: &dyn Env) {
        if let State::Pending(pending) = &mut self.state {
            answer::end(pending, &self.compiled, env);
        }
    }
}

/// `application/json`, or a type made of it, with whatever parameters.
fn is_json(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/json")
        || kind.len() > 5 && kind.get(kind.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case(b"+json"))
}
