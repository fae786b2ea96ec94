//! The file format.

use crate::yaml::{self, Node};
use filter_kit::config;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
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

/// A request and what becomes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// As in the file.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What the client sends.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers.
    #[serde(default)]
    pub response: Response,
    /// What the upstream has to see.
    #[serde(default)]
    pub upstream: Option<Upstream>,
    /// What the client has to see.
    #[serde(default)]
    pub client: Client,
    /// By how much counters have to grow.
    #[serde(default)]
    pub counters: std::collections::BTreeMap<String, u64>,
    /// What fields for the access log have to hold; `-` if they must not be set.
    #[serde(default)]
    pub log: std::collections::BTreeMap<String, String>,
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

/// Bytes: text, `{hex: ".."}`, or `{repeat: "..", times: 3}`.
#[derive(Debug, Clone)]
pub enum Text {
    /// As it stands.
    Plain(String),
    /// Anything.
    Bytes(Vec<u8>),
}

/// A header, as `name: value`, or as `{name: .., value: .., count: 3}`.
#[derive(Debug, Clone)]
pub struct Header {
    /// Lower case; with several headers a number follows.
    pub name: String,
    /// The value.
    pub value: Text,
    /// How many such headers; above 1 their names are numbered.
    pub count: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextForm {
    hex: Option<String>,
    repeat: Option<String>,
    times: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderForm {
    name: String,
    value: Text,
    count: Option<usize>,
}

/// Most bytes that one notation may stand for.
const MAX_TEXT: usize = 16 * 1024 * 1024;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, {hex: ..} or {repeat: .., times: ..}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Plain(text.to_owned()))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Text, M::Error> {
                let form = TextForm::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = match (form.hex, form.repeat, form.times) {
                    (Some(hex), None, None) => from_hex(&hex),
                    (None, Some(text), Some(times)) => {
                        Some(text.repeat(times.min(MAX_TEXT / text.len().max(1))).into())
                    }
                    _ => None,
                };
                bytes.map(Text::Bytes).ok_or_else(|| de::Error::invalid_value(Unexpected::Map, &self))
            }
        }
        source.deserialize_any(Reader)
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pair = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"name: value\" or {name: .., value: ..}")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<Header, E> {
                let (name, value) =
                    line.split_once(':').ok_or_else(|| E::invalid_value(Unexpected::Str(line), &self))?;
                Ok(Header { name: name.to_ascii_lowercase(), value: Text::Plain(value.trim().into()), count: 1 })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Header, M::Error> {
                let form = HeaderForm::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Header { name: form.name.to_ascii_lowercase(), value: form.value, count: form.count.unwrap_or(1) })
            }
        }
        source.deserialize_any(Reader)
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

impl Text {
    /// The bytes meant.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Writes headers out, numbered where there are several.
pub fn expand(headers: &[Header]) -> Vec<(String, Vec<u8>)> {
    let one = |header: &Header| -> Vec<(String, Vec<u8>)> {
        let value = header.value.bytes().to_vec();
        match header.count {
            1 => vec![(header.name.clone(), value)],
            count => (0..count).map(|number| (format!("{}-{number}", header.name), value.clone())).collect(),
        }
    };
    headers.iter().flat_map(one).collect()
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
        Ok(Self { path: path.to_owned(), file, root, text })
    }
}
