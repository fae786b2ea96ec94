//! Asks a rate limit service for each request, in every order that calls, held heads and bodies can come in, and tells both sides what it
//! got. It shows what the shell makes of calls.

use filter_kit::{
    Answer, Body, Callout, ConfigError, CounterId, Env, Filter, Flow, Head, MetricTable, Reply, Stream, config,
};
use rate_limit_protocol::{Code, Descriptor, Entry, METHOD, Message, Request, Response, SERVICE};
use serde::Deserialize;
use std::rc::Rc;

/// Configuration of asks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Config {
    /// The host's name for the service.
    #[serde(default = "cluster")]
    pub cluster: String,
    /// The set of limits. The descriptor is `user` with the value of the request's header `x-user`.
    pub domain: String,
    /// Longest wait.
    pub timeout_ms: u32,
    /// When it asks.
    #[serde(default)]
    pub order: Order,
    /// How often it asks, one call behind the answer of the other.
    #[serde(default = "once")]
    pub times: u32,
    /// Largest body in bytes.
    #[serde(default)]
    pub max_body_bytes: usize,
    /// It does not want to see anything behind the request.
    #[serde(default)]
    pub ends_with_request: bool,
}

fn cluster() -> String {
    "rate-limit-service".to_owned()
}

fn once() -> u32 {
    1
}

/// When the service is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// At the head, which waits.
    #[default]
    Ask,
    /// At the head, then the head waits for the body.
    AskThenHold,
    /// At the head, then the body is buffered.
    AskThenBuffer,
    /// When the body is there, head and body wait.
    HoldThenAsk,
    /// At the head, and nothing waits.
    Background,
    /// When the exchange is over.
    AtEnd,
}

/// Counters of calls that nothing waits for, by how they ended.
const OUTCOMES: [&str; 5] = ["ok", "over", "strange", "failed", "refused"];

/// A configured asks.
#[derive(Debug, Clone)]
pub struct Asks {
    config: Rc<Config>,
    metrics: Rc<MetricTable>,
    outcomes: [CounterId; 5],
    ends: CounterId,
}

impl Filter for Asks {
    type Stream = AsksStream;

    const NAME: &'static str = "asks";

    fn from_config(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Config = config::parse(json)?;
        let mut metrics = MetricTable::default();
        let outcomes = OUTCOMES.map(|outcome| metrics.counter("asks", &[("outcome", outcome)], "background_total"));
        let ends = metrics.counter("asks", &[], "ends_total");
        Ok(Self { config: Rc::new(config), metrics: Rc::new(metrics), outcomes, ends })
    }

    fn metrics(&self) -> &MetricTable {
        &self.metrics
    }

    fn holds(&self) -> bool {
        matches!(self.config.order, Order::AskThenHold | Order::AskThenBuffer | Order::HoldThenAsk)
    }

    fn on_answer(&self, tag: u64, answer: Answer, env: &dyn Env) {
        let outcome = told(&answer);
        // the caller's tag has to come back
        let outcome =
            if tag == TAG { outcome.split_once(' ').map_or(outcome.as_str(), |(first, _)| first) } else { "" };
        self.count(outcome, env);
    }

    fn stream(&self) -> AsksStream {
        AsksStream { filter: self.clone(), callout: None, left: self.config.times, told: String::new() }
    }
}

/// What calls that nothing waits for are known by.
const TAG: u64 = 0xfeed_face_cafe_beef;

impl Asks {
    fn count(&self, outcome: &str, env: &dyn Env) {
        if let Some((_, id)) = OUTCOMES.iter().zip(self.outcomes).find(|(name, _)| **name == outcome) {
            env.count(id, 1);
        }
    }

    fn callout(&self, head: &Head) -> Callout {
        let value = String::from_utf8_lossy(head.get("x-user").unwrap_or_default()).into_owned();
        let entries = vec![Entry { key: "user".to_owned(), value }];
        let descriptors = vec![Descriptor { entries, ..Descriptor::default() }];
        let request = Request { domain: self.config.domain.clone(), descriptors, hits_addend: 1 };
        Callout {
            cluster: self.config.cluster.clone(),
            service: SERVICE,
            method: METHOD,
            message: request.encode_to_vec(),
            timeout_ms: self.config.timeout_ms,
        }
    }
}

/// An answer in words: `ok 2`, `over`, `strange` for what is no answer, `failed 14`.
fn told(answer: &Answer) -> String {
    let message = match answer {
        Answer::Failed(status) => return format!("failed {status}"),
        Answer::Message(message) => message,
    };
    match Response::decode(message.as_slice()) {
        Ok(response) if response.overall_code() == Code::Ok => {
            format!("ok {}", response.statuses.first().map_or(0, |status| status.limit_remaining))
        }
        Ok(response) if response.overall_code() == Code::OverLimit => "over".to_owned(),
        _ => "strange".to_owned(),
    }
}

/// One exchange.
#[derive(Debug)]
pub struct AsksStream {
    filter: Asks,
    callout: Option<Callout>,
    /// Calls still to be made.
    left: u32,
    /// What the services said.
    told: String,
}

impl AsksStream {
    fn ask(&mut self) -> Flow {
        self.left = self.left.saturating_sub(1);
        self.callout.clone().map_or(Flow::Continue, Flow::Call)
    }

    fn ask_aside(&self, env: &dyn Env) {
        let refused = self.callout.as_ref().is_some_and(|callout| !env.call(callout, TAG));
        self.filter.count(if refused { "refused" } else { "" }, env);
    }

    fn change(body: &mut Body, suffix: &str) {
        let mut bytes = body.bytes().to_ascii_uppercase();
        bytes.extend_from_slice(suffix.as_bytes());
        body.replace(bytes);
    }
}

fn untold() -> Flow {
    Flow::Reply(Reply::status(500, "asks_untold"))
}

impl Stream for AsksStream {
    fn on_request_head(&mut self, head: &mut Head, env: &dyn Env) -> Flow {
        let Config { order, max_body_bytes: limit, .. } = *self.filter.config;
        self.callout = Some(self.filter.callout(head));
        if head.set("x-before", b"yes").is_err() {
            return untold();
        }
        match order {
            Order::Ask | Order::AskThenHold | Order::AskThenBuffer => self.ask(),
            Order::HoldThenAsk => Flow::Hold { limit },
            Order::Background => {
                self.ask_aside(env);
                Flow::Continue
            }
            Order::AtEnd => Flow::Continue,
        }
    }

    fn on_held_request(&mut self, head: &mut Head, body: &mut Body, _env: &dyn Env) -> Flow {
        let length = body.bytes().len().to_string();
        if head.set("x-body-length", length.as_bytes()).is_err() {
            return untold();
        }
        Self::change(body, "!");
        if self.filter.config.order == Order::HoldThenAsk { self.ask() } else { Flow::Continue }
    }

    fn on_answer(&mut self, head: &mut Head, body: Option<&mut Body>, answer: Answer, _env: &dyn Env) -> Flow {
        let comma = if self.told.is_empty() { "" } else { ", " };
        self.told = format!("{}{comma}{}", self.told, told(&answer));
        // what was edited before the call is there
        if head.get("x-before") != Some(b"yes") || head.set("x-asked", self.told.as_bytes()).is_err() {
            return untold();
        }
        if told(&answer) == "over" {
            return Flow::Reply(Reply::status(429, "asks_over").text("over"));
        }
        if let Some(body) = body {
            Self::change(body, "?");
        }
        if self.left > 0 {
            return self.ask();
        }
        head.remove("x-before");
        let limit = self.filter.config.max_body_bytes;
        match self.filter.config.order {
            Order::AskThenHold => Flow::Hold { limit },
            Order::AskThenBuffer => Flow::Buffer { limit },
            _ => Flow::Continue,
        }
    }

    fn on_request_body(&mut self, body: &mut Body, _env: &dyn Env) -> Flow {
        Self::change(body, ".");
        Flow::Continue
    }

    fn lasts(&self) -> bool {
        !self.filter.config.ends_with_request
    }

    fn on_response_head(&mut self, head: &mut Head, _env: &dyn Env) -> Flow {
        let told = if self.told.is_empty() { "nothing" } else { &self.told };
        if head.set("x-asked", told.as_bytes()).is_err() { untold() } else { Flow::Continue }
    }

    fn on_end(&mut self, env: &dyn Env) {
        env.count(self.filter.ends, 1);
        if self.filter.config.order == Order::AtEnd {
            self.ask_aside(env);
        }
    }
}
