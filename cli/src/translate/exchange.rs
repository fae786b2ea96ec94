//! One exchange of the filter, without a host: the filter's own code from the request's head to the answer's end.

use ai_framing::encode_frame;
use ai_normalize::{AiNormalize, AiStream, Auth, Config, KeySource};
use ai_translate::Note;
use ai_translate::provider::{self, Framing};
use filter_kit::{Body, Chunk, Filter, FixedEnv, Flow, Head, Reply, Stream, config};
use serde_json::{Value, json};

/// What a key is shown as.
pub const MASK: &str = "***";

/// An exchange.
pub struct Exchange {
    filter: AiNormalize,
    config: Config,
    env: FixedEnv,
    stream: AiStream,
    path: String,
    provider: Option<String>,
}

/// How a stream is fed.
#[derive(Debug, Clone, Copy)]
pub enum Feed {
    /// At once.
    Whole,
    /// Line by line.
    Lines,
    /// So many bytes at a time.
    Pieces(usize),
}

/// A message of the filter.
#[derive(Debug, Default)]
pub struct Message {
    /// Pseudo headers among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the provider does not get as it was sent.
    pub notes: Vec<Note>,
    /// The filter answers a request itself.
    pub replied: bool,
}

impl Message {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A request that gets to no provider.
    pub fn is_refused(&self) -> bool {
        self.replied
    }

    fn of(head: &Head, body: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.iter().map(|(name, value)| (text(name), text(value))).collect();
        Self { headers, body: body.to_vec(), ..Self::default() }
    }

    fn reply(reply: &Reply) -> Self {
        let mut headers = vec![(":status".to_owned(), reply.status.to_string())];
        let own = reply.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value).into()));
        headers.extend(own);
        Self { headers, body: reply.body.clone(), ..Self::default() }
    }
}

impl Exchange {
    /// With a configuration as the filter gets it. Every key that it names is there, and masked.
    pub fn new(json: Vec<u8>, path: &str) -> Result<Self, String> {
        let filter = AiNormalize::from_config(&json).map_err(|error| error.to_string())?;
        let config: Config = config::parse(&json).map_err(|error| error.to_string())?;
        let env = keys(&config).filter_map(|key| match key {
            KeySource::Env(name) => Some(name.as_str()),
            KeySource::Header(_) => None,
        });
        let env = env.fold(FixedEnv::default(), |env, name| env.with_variable(name, MASK));
        let stream = filter.stream();
        Ok(Self { filter, path: format!("{}{path}", config.path_prefix), config, env, stream, provider: None })
    }

    /// What the provider gets, or the client if the filter answers itself.
    pub fn request(&mut self, headers: &[(String, Vec<u8>)], body: Vec<u8>) -> Result<Message, String> {
        let mut fields = vec![
            (":method".to_owned(), b"POST".to_vec()),
            (":path".to_owned(), self.path.clone().into_bytes()),
            (":authority".to_owned(), b"localhost".to_vec()),
            ("content-type".to_owned(), b"application/json".to_vec()),
        ];
        fields.retain(|(name, _)| !headers.iter().any(|(given, _)| given == name));
        fields.extend(headers.iter().cloned());
        fields.extend(keys(&self.config).filter_map(|key| match key {
            KeySource::Header(name) => Some((name.clone(), MASK.as_bytes().to_vec())),
            KeySource::Env(_) => None,
        }));
        let mut head = Head::from_fields(fields);
        self.stream = self.filter.stream();
        let mut body = Body::new(body);
        let flow = match self.stream.on_request_head(&mut head, &self.env) {
            Flow::Hold { limit } | Flow::Buffer { limit } if body.bytes().len() > limit => {
                Flow::Reply(self.stream.on_request_too_large(&self.env))
            }
            Flow::Hold { .. } => self.stream.on_held_request(&mut head, &mut body, &self.env),
            Flow::Buffer { .. } => self.stream.on_request_body(&mut body, &self.env),
            other => other,
        };
        if let Flow::Reply(reply) = &flow {
            return Ok(Message { replied: true, ..Message::reply(reply) });
        }
        let mut message = Message::of(&head, body.bytes());
        self.provider = message.header("x-sluice-ai-provider").map(str::to_owned);
        message.notes = self.stream.notes().to_vec();
        Ok(message)
    }

    /// What the client gets for the provider's answer.
    pub fn answer(
        &mut self,
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: Vec<u8>,
        feed: Option<Feed>,
    ) -> Result<Message, String> {
        let framing = self.framing();
        let kind: &[u8] = match (feed, framing) {
            (None, _) => b"application/json",
            (Some(_), Framing::Sse) => b"text/event-stream",
            (Some(_), Framing::AwsEventStream) => b"application/vnd.amazon.eventstream",
        };
        let mut fields =
            vec![(":status".to_owned(), status.to_string().into_bytes()), ("content-type".to_owned(), kind.to_vec())];
        fields.retain(|(name, _)| !headers.iter().any(|(given, _)| given == name));
        fields.extend(headers.iter().cloned());
        let mut head = Head::from_fields(fields);
        let body = if framing == Framing::AwsEventStream && feed.is_some() { frames(body)? } else { body };
        let flow = self.stream.on_response_head(&mut head, &self.env);
        let mut body = Body::new(body);
        let flow = match flow {
            Flow::Stream => {
                let written = self.pieces(body.bytes(), feed.unwrap_or(Feed::Whole));
                return Ok(Message::of(&head, &written));
            }
            Flow::Hold { limit } | Flow::Buffer { limit } if body.bytes().len() > limit => {
                Flow::Reply(self.stream.on_response_too_large(&self.env))
            }
            Flow::Hold { .. } => self.stream.on_held_response(&mut head, &mut body, &self.env),
            Flow::Buffer { .. } => self.stream.on_response_body(&mut body, &self.env),
            other => other,
        };
        Ok(match &flow {
            Flow::Reply(reply) => Message::reply(reply),
            _ => Message::of(&head, body.bytes()),
        })
    }

    fn pieces(&mut self, bytes: &[u8], feed: Feed) -> Vec<u8> {
        let pieces: Vec<&[u8]> = match feed {
            Feed::Whole => vec![bytes],
            Feed::Lines => bytes.split_inclusive(|byte| *byte == b'\n').collect(),
            Feed::Pieces(size) => bytes.chunks(size).collect(),
        };
        let mut written = Vec::new();
        for (piece, last) in pieces.into_iter().map(|piece| (piece, false)).chain([(&[][..], true)]) {
            let mut chunk = Chunk::new(piece.to_vec(), last);
            self.stream.on_response_chunk(&mut chunk, &self.env);
            written.extend_from_slice(chunk.bytes());
        }
        written
    }

    /// How the provider that got the request frames its streams.
    fn framing(&self) -> Framing {
        let mut providers = self.config.providers.iter();
        let asked = providers.find(|provider| Some(&provider.name) == self.provider.as_ref());
        asked.and_then(|asked| provider::find(&asked.dialect)).map_or(Framing::Sse, |dialect| dialect.framing())
    }
}

/// Where keys come from.
fn keys(config: &Config) -> impl Iterator<Item = &KeySource> {
    config.providers.iter().filter_map(|provider| match &provider.auth {
        Auth::Bearer(key) | Auth::Header { key, .. } => Some(key),
        Auth::None | Auth::Client => None,
    })
}

/// Frames as they are, or made of a JSON object `{EVENT: PAYLOAD}` a line; an event whose name ends in `Exception` is one.
fn frames(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Ok(bytes);
    }
    let mut framed = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let told = |why: &dyn std::fmt::Display| format!("line {number}: {why}");
        let event: Value = serde_json::from_slice(line).map_err(|error| told(&error))?;
        let single = event.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
        let (name, payload) = single.ok_or_else(|| told(&"expected an object with one member, named by its event"))?;
        let kind = if name.ends_with("Exception") { "exception" } else { "event" };
        let headers = [(format!(":{kind}-type"), name.clone()), (":message-type".to_owned(), kind.to_owned())];
        let mut headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.push((":content-type", "application/json"));
        let payload = if payload.is_null() { json!({}) } else { payload.clone() };
        framed.extend(encode_frame(&headers, payload.to_string().as_bytes()));
    }
    Ok(framed)
}
