//! Upper-cases request and response bodies: the smallest filter that changes bodies in both directions. It shows that
//! the shell keeps the framing true, whatever the body does; and, on demand, that a head can wait for its body.

use filter_kit::{Body, Chunk, ConfigError, CounterId, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config};
use serde::Deserialize;
use std::rc::Rc;

/// Configuration of body-upper.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// Largest body in bytes, in each direction.
    pub max_body_bytes: usize,
    /// Written behind every body, so that its length changes.
    #[serde(default)]
    pub suffix: String,
    /// A request body that holds this text is answered with 403.
    #[serde(default)]
    pub refuse: String,
    /// Request heads wait for their bodies and tell of them: `x-body-length`, and the log field `body_length`.
    #[serde(default)]
    pub hold: bool,
    /// Response heads wait for their bodies, where `hold` is set too, and tell of them: `x-body-length`.
    #[serde(default)]
    pub hold_responses: bool,
    /// Response bodies change piece by piece, as they come, and have the suffix behind the last piece.
    #[serde(default)]
    pub stream: bool,
    /// Bodies are read and stay as they are: what is left is what it costs to read them.
    #[serde(default)]
    pub as_it_is: bool,
    /// Request heads tell of their connection: `x-source-address`, `x-destination-port`.
    #[serde(default)]
    pub tell_connection: bool,
}

/// A configured body-upper.
#[derive(Debug, Clone)]
pub struct BodyUpper {
    config: Rc<Config>,
    metrics: Rc<MetricTable>,
    bodies: CounterId,
}

impl Filter for BodyUpper {
    type Stream = BodyUpperStream;

    const NAME: &'static str = "body-upper";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Config = config::parse(json)?;
        let mut metrics = MetricTable::default();
        let bodies = metrics.counter("body_upper", &[], "bodies_total");
        Ok(Self { config: Rc::new(config), metrics: Rc::new(metrics), bodies })
    }

    fn metrics(&self) -> &MetricTable {
        &self.metrics
    }

    fn holds(&self) -> bool {
        self.config.hold
    }

    fn stream(&self) -> BodyUpperStream {
        BodyUpperStream { filter: self.clone() }
    }
}

/// One exchange.
#[derive(Debug)]
pub struct BodyUpperStream {
    filter: BodyUpper,
}

impl BodyUpperStream {
    fn refused(&self, body: &Body) -> Option<Flow> {
        let refuse = self.filter.config.refuse.as_bytes();
        let found = !refuse.is_empty() && body.bytes().windows(refuse.len()).any(|part| part == refuse);
        found.then(|| Flow::Reply(Reply::status(403, "body_upper_refused").text("refused")))
    }

    fn buffer(&self) -> Flow {
        Flow::Buffer { limit: self.filter.config.max_body_bytes }
    }

    fn upper(&self, body: &mut Body, env: &dyn Env) {
        env.count(self.filter.bodies, 1);
        if self.filter.config.as_it_is {
            return;
        }
        let mut bytes = body.bytes().to_ascii_uppercase();
        bytes.extend_from_slice(self.filter.config.suffix.as_bytes());
        body.replace(bytes);
    }
}

impl Stream for BodyUpperStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        if self.filter.config.tell_connection {
            let address = env.source_address().map_or_else(String::new, |address| address.to_string());
            let port = env.destination_port().map_or_else(String::new, |port| port.to_string());
            let told = head
                .set("x-source-address", address.as_bytes())
                .and_then(|()| head.set("x-destination-port", port.as_bytes()));
            if told.is_err() {
                return Flow::Reply(Reply::status(500, "body_upper_untold"));
            }
        }
        if !self.filter.config.hold {
            return self.buffer();
        }
        match head.set("x-held", b"yes") {
            Ok(()) => Flow::Hold { limit: self.filter.config.max_body_bytes },
            Err(_) => Flow::Reply(Reply::status(500, "body_upper_untold")),
        }
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        if let Some(reply) = self.refused(body) {
            return reply;
        }
        let length = body.bytes().len().to_string();
        env.set_log_field("body_length", length.as_bytes());
        // the edit made before the body came is there, and can be taken back
        if head.get("x-held") != Some(b"yes") || head.set("x-body-length", length.as_bytes()).is_err() {
            return Flow::Reply(Reply::status(500, "body_upper_untold"));
        }
        head.remove("x-held");
        self.upper(body, env);
        Flow::Continue
    }

    fn on_request_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        if let Some(reply) = self.refused(body) {
            return reply;
        }
        self.upper(body, env);
        Flow::Continue
    }

    fn on_response_head(&mut self, _head: &mut Head, _env: &dyn Env) -> Flow {
        let Config { hold_responses, stream, max_body_bytes, .. } = *self.filter.config;
        match (hold_responses, stream) {
            (true, _) => Flow::Hold { limit: max_body_bytes },
            (false, true) => Flow::Stream,
            (false, false) => self.buffer(),
        }
    }

    fn on_held_response(&mut self, head: &mut Head, body: &mut Body, env: &dyn Env) -> Flow {
        if let Some(reply) = self.refused(body) {
            return reply;
        }
        if head.set("x-body-length", body.bytes().len().to_string().as_bytes()).is_err() {
            return Flow::Reply(Reply::status(500, "body_upper_untold"));
        }
        self.upper(body, env);
        Flow::Continue
    }

    fn on_response_chunk(&mut self, chunk: &mut Chunk, env: &dyn Env) -> Flow {
        if self.filter.config.as_it_is {
            return Flow::Continue;
        }
        let mut bytes = chunk.bytes().to_ascii_uppercase();
        if chunk.is_last() {
            bytes.extend_from_slice(self.filter.config.suffix.as_bytes());
            env.count(self.filter.bodies, 1);
        }
        chunk.replace(bytes);
        Flow::Continue
    }

    fn on_response_body(&mut self, body: &mut Body, env: &dyn Env) -> Flow {
        self.upper(body, env);
        Flow::Continue
    }
}
