//! The file format.

use super::observe::Observation;
use super::routing::RouteUse;
pub use super::text::{Header, Text, expand};
use crate::yaml::{self, Node};
use filter_kit::config;
use regex_lite::Regex;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A file: one chain of filters, and what it does to requests.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub file: File,
    /// The same with places.
    pub root: Node,
    /// The text that was read.
    pub text: String,
}

/// The content of a scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct File {
    /// What the file is about.
    pub name: String,
    /// The chain, in the order of the request.
    #[serde(default)]
    pub filters: Vec<FilterUse>,
    /// Upstream clusters; each is a server that records what it gets.
    #[serde(default = "one_cluster")]
    pub clusters: Vec<String>,
    /// Where requests go that no filter sent anywhere; without it they are answered with 404.
    #[serde(default)]
    pub fallback: Option<String>,
    /// Routes in place of the one by `x-sluice-cluster` and the fallback.
    #[serde(default)]
    pub routes: Vec<RouteUse>,
    /// Environment variables that the filters' VMs see.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Parts of bodies that are never twice the same; what these expressions find is taken for `*`.
    #[serde(default)]
    pub vary: Vec<Vary>,
    /// The service behind the cluster `rate-limit-service`; without it there is no such cluster. Each case begins with no counts.
    #[serde(default)]
    pub rate_limit_service: Option<rate_limit_service::Config>,
    /// What a runner has to be able to do; see `docs/scenarios.md`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Requests and what becomes of them.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// Configurations that are refused, and the words.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
}

/// What differs from time to time: a regular expression.
#[derive(Debug, Clone)]
pub struct Vary(Regex);

impl<'de> Deserialize<'de> for Vary {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Regex::new(&String::deserialize(source)?).map(Self).map_err(de::Error::custom)
    }
}

/// A filter and its configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct FilterUse {
    /// `header-router`, `prefix-rewrite`, `suite`, a test guest, or the path of a `.wasm` file.
    pub filter: String,
    /// Its configuration.
    #[serde(default)]
    pub config: serde_json::Value,
    /// The host lets it hold a request head while it sees the body (`allow_on_headers_stop_iteration`).
    #[serde(default)]
    pub hold: bool,
    /// Where it stands.
    #[serde(default)]
    pub position: Position,
}

/// On which side of the route decision a filter stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Before it: the route is chosen by what the filter leaves.
    #[default]
    Downstream,
    /// Behind it, in every cluster.
    Upstream,
}

/// A configuration that must be refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Refusal {
    /// As in `filters`.
    pub filter: String,
    /// As an object, or as text that is handed over as it is.
    pub config: serde_json::Value,
    /// The exact error.
    pub error: String,
}

impl Refusal {
    /// The filter that must not start.
    pub fn filter(&self) -> FilterUse {
        let (filter, config) = (self.filter.clone(), self.config.clone());
        FilterUse { filter, config, hold: false, position: Position::Downstream }
    }
}

/// A request and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// As in the file.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How often the client sends its request, one after the other; what becomes of the last one is checked, and counters
    /// grow by all of them.
    #[serde(default = "once")]
    pub times: usize,
    /// What the client sends.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers.
    #[serde(default)]
    pub response: Response,
    /// What the upstream has to see.
    #[serde(default)]
    pub upstream: Option<Upstream>,
    /// What the cluster that gets a copy of the request has to see.
    #[serde(default)]
    pub mirror: Option<Upstream>,
    /// What the client has to see.
    #[serde(default)]
    pub client: Client,
    /// By how much counters have to grow.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// What fields for the access log have to hold; `-` if they must not be set.
    #[serde(default)]
    pub log: BTreeMap<String, String>,
    /// The calls that the rate limit service has to get, all of them and in this order.
    #[serde(default)]
    pub service: Option<Vec<rate_limit_service::Call>>,
}

/// What the client sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: Text,
    /// The host; `null` sends none.
    pub authority: Option<Text>,
    /// More headers.
    pub headers: Vec<Header>,
    /// The body; absent means none.
    pub body: Option<Text>,
    /// Trailers, behind a body.
    pub trailers: Vec<Header>,
    /// The address that the connection comes from.
    pub source: Option<std::net::IpAddr>,
    /// The port that it comes to.
    pub port: Option<u16>,
    /// The client sends all of it and leaves while this is waited for; it sees nothing.
    pub leaves: Option<Leaves>,
}

/// What is waited for when the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    /// The first call of the rate limit service that holds the request up; the service must not be quick.
    Service,
    /// The upstream, which has got the request and does not answer it.
    Upstream,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: Text::Plain("/".into()),
            authority: Some(Text::Plain("client.test".into())),
            headers: Vec::new(),
            body: None,
            trailers: Vec::new(),
            source: None,
            port: None,
            leaves: None,
        }
    }
}

/// What the upstream answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// More headers.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Text,
    /// Trailers.
    pub trailers: Vec<Header>,
}

impl Default for Response {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: Text::Plain("upstream".into()), trailers: Vec::new() }
    }
}

/// What the upstream has to see; what is not named may be anything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Upstream {
    /// The cluster, or `none` if the request must not get to any.
    pub cluster: Option<String>,
    /// In place of `cluster`, for what is drawn: one of these. Runners may draw differently.
    pub any_of: Vec<String>,
    /// The method.
    pub method: Option<String>,
    /// Path and query.
    pub path: Option<Text>,
    /// The host.
    pub authority: Option<Text>,
    /// Headers that have to be there with exactly these values, in this order for each name.
    pub headers: Vec<Header>,
    /// Headers that must not be there.
    pub absent: Vec<String>,
    /// The body.
    pub body: Option<Text>,
    /// Trailers that have to be there.
    pub trailers: Vec<Header>,
}

/// What the client has to see; what is not named may be anything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Client {
    /// The status.
    pub status: Option<u16>,
    /// As in `upstream`.
    pub headers: Vec<Header>,
    /// As in `upstream`.
    pub absent: Vec<String>,
    /// The body.
    pub body: Option<Text>,
    /// As in `upstream`.
    pub trailers: Vec<Header>,
    /// The response is cut off.
    pub reset: bool,
}

fn once() -> usize {
    1
}

fn one_cluster() -> Vec<String> {
    vec!["upstream".to_owned()]
}

/// A file that is no scenario.
#[derive(Debug, Clone)]
pub struct InvalidScenario(String);

impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidScenario {}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// With file, line and column.
    pub fn read(path: &Path) -> Result<Self, InvalidScenario> {
        let fault = |why: String| InvalidScenario(format!("{}:{why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(format!(" {error}")))?;
        let root = yaml::parse(&text).map_err(|error| fault(error.to_string()))?;
        let file: File = config::parse(root.value.to_json().to_string().as_bytes()).map_err(|error| {
            let place = root.locate(&error.at);
            fault(format!("{}:{}: {error}", place.line, place.column))
        })?;
        if let Some((at, why)) = file.fault() {
            let place = root.locate(&at);
            return Err(fault(format!("{}:{}: {at}: {why}", place.line, place.column)));
        }
        Ok(Self { path: path.to_owned(), file, root, text })
    }
}

impl File {
    /// What cannot be meant, and where.
    fn fault(&self) -> Option<(String, String)> {
        if !self.routes.is_empty() && self.fallback.is_some() {
            return Some(("fallback".to_owned(), "expected either \"routes\" or \"fallback\", found both".to_owned()));
        }
        if let Some(Err(invalid)) = self.rate_limit_service.as_ref().map(rate_limit_service::Config::check) {
            return Some((format!("rate_limit_service.{}", invalid.at), invalid.why.to_owned()));
        }
        let faults = self.routes.iter().enumerate().filter_map(|(index, route)| {
            let (field, why) = route.fault(&self.clusters)?;
            Some((format!("routes[{index}]{field}"), why))
        });
        faults.into_iter().next()
    }

    /// What was seen, without what differs from time to time.
    pub fn without_varying(&self, mut seen: Observation) -> Observation {
        let upstream = seen.upstream.iter_mut().map(|(_, message)| message);
        for message in upstream.chain([&mut seen.client]) {
            let Ok(text) = std::str::from_utf8(&message.body) else { continue };
            let masked =
                self.vary.iter().fold(text.to_owned(), |text, Vary(part)| part.replace_all(&text, "*").into_owned());
            message.body = masked.into_bytes();
        }
        seen
    }

    /// The filters of one side, in order.
    pub fn filters_at(&self, position: Position) -> impl Iterator<Item = &FilterUse> {
        self.filters.iter().filter(move |filter| filter.position == position)
    }
}
