//! Exchanges of any client with any provider, and what every answer of them promises.

use ai_translate::client::{self, Client, Kind};
use ai_translate::provider::{self, Framing, Provider};
use ai_translate::stream::Outcome;
use ai_translate::translate::{self, Settings};
use ai_translate::{Answering, Context, Operation, Outgoing, Report, Target};
use serde_json::Value;

/// A client's dialect and a provider's.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Who asks.
    pub client: &'static dyn Client,
    /// Who answers.
    pub provider: &'static dyn Provider,
}

/// A request that has gone out, and what reads its answer.
#[derive(Debug)]
pub struct Sent {
    /// What the provider gets.
    pub outgoing: Outgoing,
    /// What its answer is read with.
    pub answering: Answering,
}

impl Pair {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        client::ALL
            .iter()
            .flat_map(|client| provider::ALL.iter().map(move |provider| Self { client: *client, provider: *provider }))
    }

    /// One for a number.
    #[must_use]
    pub fn numbered(number: u8) -> Self {
        let all: Vec<Self> = Self::all().collect();
        all[usize::from(number) % all.len()]
    }

    /// Sends a request, whatever it is; nothing if it is refused.
    #[must_use]
    pub fn send(self, operation: Operation, body: &[u8], strict: bool) -> Option<Sent> {
        let Self { client, provider } = self;
        let doc = translate::parse(body).ok()?;
        let variables = provider.variables().iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect();
        let settings = Settings { capabilities: provider.capabilities(), quirks: provider.quirks(), variables };
        let Settings { capabilities, quirks, variables } = &settings;
        let target = Target { model: "m", capabilities, quirks, variables };
        let mut report = Report::new(strict);
        let sent = translate::request(client, provider, operation, &doc, &target, &mut report).ok()?;
        let context = Context {
            unique: "u".to_owned(),
            created: 1,
            asked_model: "asked".to_owned(),
            sent_model: "m".to_owned(),
            stream: sent.stream,
            want_usage: sent.want_usage,
            echo: sent.echo,
            hints: sent.outgoing.hints.clone(),
            ..Context::default()
        };
        let answering = Answering { client, provider, operation, native: sent.native, context, settings };
        Some(Sent { outgoing: sent.outgoing, answering })
    }

    /// A plain exchange that waits for its answer.
    #[must_use]
    pub fn plain(self, stream: bool) -> Answering {
        let messages = r#"[{"role":"user","content":"hi"}]"#;
        let body = match self.client.kind() {
            Kind::Responses => format!(r#"{{"model":"m","input":"hi","stream":{stream}}}"#),
            Kind::Messages => format!(r#"{{"model":"m","max_tokens":9,"messages":{messages},"stream":{stream}}}"#),
            Kind::Chat => format!(
                r#"{{"model":"m","messages":{messages},"stream":{stream},"stream_options":{{"include_usage":true}}}}"#
            ),
        };
        // `stream_options` without a stream is a mistake
        let body = if stream { body } else { body.replace(r#","stream_options":{"include_usage":true}"#, "") };
        self.send(Operation::Chat, body.as_bytes(), false).unwrap().answering
    }
}

/// A stream's end.
#[derive(Debug, PartialEq, Eq)]
pub struct Streamed {
    /// What the client has got.
    pub out: Vec<u8>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Feeds a stream in pieces.
#[must_use]
pub fn streamed(answering: &Answering, pieces: &[&[u8]]) -> Streamed {
    let mut pipe = answering.stream();
    let mut out = Vec::new();
    for piece in pieces {
        pipe.feed(piece, &mut out);
    }
    pipe.end(&mut out);
    Streamed { out, outcome: pipe.outcome().clone() }
}

/// The data of events; those of a dialect with names have the same in their data.
fn events(out: &str, named: bool) -> Vec<Value> {
    let mut all = Vec::new();
    for block in out.split_terminator("\n\n").filter(|block| !block.starts_with(':')) {
        let (name, data) = match block.split_once('\n') {
            Some((name, data)) => (Some(name.strip_prefix("event: ").unwrap()), data),
            None => (None, block),
        };
        let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("{block}"));
        let data = if data == "[DONE]" { Value::from(data) } else { serde_json::from_str(data).unwrap() };
        assert_eq!(name.is_some(), named, "{block}");
        if let Some(name) = name {
            assert_eq!(data["type"], name, "{block}");
        }
        all.push(data);
    }
    all
}

/// What each client may rely on: whole events, one end, and an error that is no end.
pub fn check_stream(answering: &Answering, streamed: &Streamed) {
    let text = std::str::from_utf8(&streamed.out).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
    let kind = answering.client.kind();
    // what a client's own dialect sends is not made anew
    let events = events(text, kind != Kind::Chat);
    let is_end = |event: &Value| match kind {
        Kind::Chat => event == "[DONE]",
        Kind::Messages => event["type"] == "message_stop",
        Kind::Responses => matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete")),
    };
    let is_error = |event: &Value| match kind {
        Kind::Chat => event.get("error").is_some_and(|error| !error.is_null()),
        Kind::Messages => event["type"] == "error",
        Kind::Responses => matches!(event["type"].as_str(), Some("error" | "response.failed")),
    };
    let ends = events.iter().filter(|event| is_end(event)).count();
    match &streamed.outcome {
        Outcome::Running => panic!("not ended: {text}"),
        Outcome::Complete => {
            assert_eq!(ends, 1, "{text}");
            assert!(events.last().is_some_and(is_end), "{text}");
        }
        Outcome::Failed(_) => {
            assert_eq!(ends, 0, "{text}");
            assert!(events.last().is_some_and(is_error), "{text}");
        }
    }
}

/// Bytes as a stream of the provider: for frames, each line is sealed as one, since no chance finds a checksum.
#[must_use]
pub fn framed(provider: &dyn Provider, bytes: &[u8]) -> Vec<u8> {
    if provider.framing() == Framing::Sse {
        return bytes.to_vec();
    }
    let mut frames = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let text = std::str::from_utf8(line).unwrap_or("?");
        let (name, payload) = text.split_once(' ').unwrap_or((text, "{}"));
        let kind = if name.ends_with("Exception") { "exception" } else { "event" };
        let header = format!(":{kind}-type");
        let headers = [(header.as_str(), name), (":message-type", kind)];
        frames.extend(ai_framing::encode_frame(&headers, payload.as_bytes()));
    }
    frames
}
