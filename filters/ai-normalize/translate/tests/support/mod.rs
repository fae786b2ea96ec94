//! What tests of all dialects do: requests, answers, and streams in every split.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ai_translate::ir::ApiError;
use ai_translate::provider::AnswerHead;
use ai_translate::stream::Outcome;
use ai_translate::translate::{self, Settings};
use ai_translate::{
    Answer, Answering, CapabilityChanges, Context, Note, Operation, Outgoing, Report, Target, client, provider,
};
use serde_json::Value;

/// A client's dialect and a provider's, by their names.
pub struct Pair {
    pub client: &'static str,
    pub provider: &'static str,
    pub settings: Settings,
    pub strict: bool,
}

/// With the provider's own capabilities, and variables for all of its paths.
pub fn pair(client: &'static str, provider: &'static str) -> Pair {
    let known = provider::find(provider).unwrap_or_else(|| panic!("no provider {provider}"));
    let variables = known.variables().iter().map(|name| ((*name).to_owned(), format!("my-{name}"))).collect();
    let settings = Settings { capabilities: known.capabilities(), quirks: known.quirks(), variables };
    Pair { client, provider, settings, strict: false }
}

/// What goes to the provider, as JSON, and what was lost.
pub struct Sent {
    pub outgoing: Outgoing,
    pub body: Value,
    pub notes: Vec<Note>,
    pub answering: Answering,
}

impl Pair {
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// With capabilities changed, as a configuration writes them.
    pub fn with(mut self, changes: Value) -> Self {
        let changes: CapabilityChanges = serde_json::from_value(changes).unwrap();
        self.settings.capabilities = self.settings.capabilities.with(&changes);
        self
    }

    pub fn send(&self, operation: Operation, request: &Value) -> Result<Sent, ApiError> {
        let (client, provider) = (client::find(self.client).unwrap(), provider::find(self.provider).unwrap());
        let text = request.to_string();
        let doc = translate::parse(text.as_bytes())?;
        let Settings { capabilities, quirks, variables } = &self.settings;
        let target = Target { model: "the-model", capabilities, quirks, variables };
        let mut report = Report::new(self.strict);
        let sent = translate::request(client, provider, operation, &doc, &target, &mut report)?;
        let context = Context {
            echo: sent.echo.clone(),
            unique: "u1".into(),
            created: 1_700_000_000,
            asked_model: request["model"].as_str().unwrap_or_default().into(),
            sent_model: "the-model".into(),
            stream: sent.stream,
            want_usage: sent.want_usage,
            hints: sent.outgoing.hints.clone(),
            ..Context::default()
        };
        let body = serde_json::from_slice(&sent.outgoing.body).expect("JSON goes out");
        let answering =
            Answering { client, provider, operation, native: sent.native, context, settings: self.settings.clone() };
        Ok(Sent { outgoing: sent.outgoing, body, notes: report.into_notes(), answering })
    }

    pub fn chat(&self, request: Value) -> Sent {
        self.send(Operation::Chat, &request).unwrap_or_else(|error| panic!("refused: {error:?}"))
    }

    /// The error that a request is refused with.
    pub fn refused(&self, request: Value) -> ApiError {
        match self.send(Operation::Chat, &request) {
            Err(error) => error,
            Ok(sent) => panic!("went out: {}", sent.body),
        }
    }

    /// What the client gets for an answer to a plain request.
    pub fn answer(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        answer(&self.chat(plain(false)).answering, status, headers, body)
    }

    /// The client's stream for a provider's, the same in every split; and how it ended.
    pub fn stream(&self, input: &[u8]) -> (String, Outcome) {
        stream(&self.chat(plain(true)).answering, input)
    }
}

/// A request that every client's dialect here takes: OpenAI's.
pub fn plain(stream: bool) -> Value {
    serde_json::json!({
        "model": "asked", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100, "input": "hi", "stream": stream,
    })
}

pub fn answer(answering: &Answering, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    answering.whole(&AnswerHead { status, header: &header }, body)
}

/// The JSON of an answer.
pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body.as_ref().expect("a body")).expect("JSON goes out")
}

/// The client's stream: whole, byte by byte, and split at each position.
pub fn stream(answering: &Answering, input: &[u8]) -> (String, Outcome) {
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut pipe = answering.stream();
        let mut out = Vec::new();
        for piece in pieces {
            pipe.feed(piece, &mut out);
        }
        pipe.end(&mut out);
        (String::from_utf8(out).expect("UTF-8 goes out"), pipe.outcome().clone())
    };
    let whole = run(&mut std::iter::once(input));
    assert_eq!(run(&mut input.chunks(1)), whole, "byte by byte");
    for at in 0..=input.len() {
        let (before, behind) = input.split_at(at);
        assert_eq!(run(&mut [before, behind].into_iter()), whole, "split at {at}");
    }
    whole
}

/// The JSON of each `data:` line, and the text where it is none.
pub fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))).collect()
}

/// A stream of events without names.
pub fn events(data: &[Value]) -> Vec<u8> {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>().into_bytes()
}

/// A stream of events with their `type` as their name.
pub fn named_events(data: &[Value]) -> Vec<u8> {
    data.iter()
        .map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("x")))
        .collect::<String>()
        .into_bytes()
}
