//! From a provider's answer to a client's.

use crate::filter::{Compiled, refusal};
use crate::metrics::Outcome;
use crate::models::Place;
use ai_framing::ContentDecoder;
use ai_translate::ir::{ApiError, Usage};
use ai_translate::provider::AnswerHead;
use ai_translate::stream;
use ai_translate::{Answer, Answering, Note, StreamPipe};
use filter_kit::{Body, Chunk, Env, Flow, Head, Reply};

/// A request that a provider has.
#[derive(Debug)]
pub(crate) struct Pending {
    answering: Answering,
    place: Option<Place>,
    notes: Vec<Note>,
    /// The request was held, so an answer can be too.
    held: bool,
    /// How the request ended, once it is known.
    outcome: Option<Outcome>,
    response: Response,
}

#[derive(Debug)]
enum Response {
    /// Not begun.
    None,
    /// Its body is waited for: status and headers, and the encoding that is on it.
    Whole(u16, Vec<(String, String)>, Option<ContentDecoder>),
    /// It goes on as it comes.
    Stream(Box<StreamPipe>, Option<ContentDecoder>),
}

/// Headers of an answer that errors are told in.
const TOLD: &[&str] = &[
    "retry-after",
    "retry-after-ms",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "request-id",
    "x-request-id",
    "content-type",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-should-retry",
];

/// Longest error of a provider that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;

impl Pending {
    pub(crate) fn new(answering: Answering, place: Option<Place>, notes: Vec<Note>, held: bool) -> Self {
        Self { answering, place, notes, held, outcome: None, response: Response::None }
    }

    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn finish(&mut self, outcome: Outcome, usage: Option<Usage>, compiled: &Compiled, env: &dyn Env) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(outcome);
        let model = self.place.and_then(|place| compiled.models.get(place));
        if let Some(model) = model {
            model.counters.request(self.answering.operation, outcome, env);
        }
        let Some(usage) = usage else { return };
        if let Some(model) = model {
            model.counters.usage(&usage, env);
        }
        if !compiled.config.log_fields {
            return;
        }
        for (name, count) in [
            ("sluice_ai_input_tokens", usage.input),
            ("sluice_ai_output_tokens", usage.output),
            ("sluice_ai_cached_tokens", usage.cached),
            ("sluice_ai_reasoning_tokens", usage.reasoning),
        ] {
            env.set_log_field(name, count.to_string().as_bytes());
        }
    }

    fn fail(&mut self, error: ApiError, outcome: Outcome, compiled: &Compiled, env: &dyn Env) -> Reply {
        self.finish(outcome, None, compiled, env);
        refusal(self.answering.client, &error)
    }
}

/// The head of the provider's answer.
pub(crate) fn head(pending: &mut Pending, compiled: &Compiled, head: &mut Head, env: &dyn Env) -> Flow {
    let status = head.get(":status").and_then(|status| str::from_utf8(status).ok()?.parse().ok()).unwrap_or(502);
    let encoding = head.get("content-encoding").map(<[u8]>::to_vec).unwrap_or_default();
    let Some(decoder) = ContentDecoder::for_encoding(&encoding) else {
        let error = ApiError::unreadable("it is compressed in a way that was not asked for");
        return Flow::Reply(pending.fail(error, Outcome::Broken, compiled, env));
    };
    let is_encoded = !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity");
    let decoder = is_encoded.then_some(decoder);
    for (name, dropped) in [("x-sluice-ai-dropped", true), ("x-sluice-ai-adapted", false)] {
        head.remove(name);
        let names: Vec<&str> =
            pending.notes.iter().filter(|note| note.dropped == dropped).map(|note| note.what.as_ref()).collect();
        if !names.is_empty() {
            // names that cannot stand in a header are those of members that nobody knows
            let _ = head.set(name, shown(&names).as_bytes());
        }
    }
    let kind = head.get("content-type").unwrap_or_default().to_ascii_lowercase();
    let is_stream = kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/vnd.amazon.eventstream");
    let is_ok = (200..300).contains(&status);
    if is_encoded {
        head.remove("content-encoding");
    }
    if is_ok && is_stream && pending.answering.context.stream {
        let _ = head.set("content-type", b"text/event-stream");
        let _ = head.set("cache-control", b"no-cache");
        pending.response = Response::Stream(Box::new(pending.answering.stream()), decoder);
        return Flow::Stream;
    }
    let text = |bytes| str::from_utf8(bytes).ok();
    let told = head.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
    let told = told.filter(|(name, _)| TOLD.contains(name)).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let told = told.collect();
    let limit = if is_ok { compiled.config.max_response_bytes } else { MAX_ERROR_BYTES };
    let decoder = decoder.map(|decoder| decoder.with_limit(limit));
    pending.response = Response::Whole(status, told, decoder);
    if pending.held {
        return Flow::Hold { limit };
    }
    let is_stream = is_ok && pending.answering.context.stream;
    let _ = head.set("content-type", if is_stream { b"text/event-stream" } else { b"application/json" });
    Flow::Buffer { limit }
}

/// Names for a header, as far as they fit.
fn shown(names: &[&str]) -> String {
    const MOST: usize = 1000;
    let mut text = String::new();
    for name in names {
        let name: String =
            name.chars().map(|c| if c.is_ascii_graphic() && c != ',' { c } else { '?' }).take(100).collect();
        if text.len() + name.len() > MOST {
            text.push_str(", ...");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    text
}

fn read(pending: &mut Pending, body: &[u8]) -> Answer {
    let Response::Whole(status, headers, decoder) = std::mem::replace(&mut pending.response, Response::None) else {
        return pending.answering.failed(ApiError::unreadable("there is none"));
    };
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut decoded = Vec::new();
    let bytes = match decoder {
        None => body,
        Some(mut decoder) => {
            let fed = decoder.feed(body, &mut |piece| decoded.extend_from_slice(piece));
            if fed.and_then(|()| decoder.end()).is_err() && (200..300).contains(&status) {
                return pending.answering.failed(ApiError::unreadable("its compression is broken, or it is too long"));
            }
            decoded.as_slice()
        }
    };
    // a redirect is no answer: nobody follows it here, and a client has no business there
    let status = if (300..400).contains(&status) { 502 } else { status };
    let is_decoded = !std::ptr::eq(bytes, body);
    let mut answer = pending.answering.whole(&AnswerHead { status, header: &header }, bytes);
    if is_decoded && answer.body.is_none() {
        answer.body = Some(decoded);
    }
    answer
}

fn settle(pending: &mut Pending, answer: &Answer, compiled: &Compiled, env: &dyn Env) {
    let outcome = match &answer.error {
        None => Outcome::Ok,
        Some(error) if error.code.as_deref() == Some("upstream_unreadable") => Outcome::Broken,
        Some(_) => Outcome::ProviderError,
    };
    pending.finish(outcome, answer.usage, compiled, env);
}

/// The whole answer, with its head.
pub(crate) fn held(
    pending: &mut Pending,
    compiled: &Compiled,
    head: &mut Head,
    body: &mut Body,
    env: &dyn Env,
) -> Flow {
    let answer = read(pending, body.bytes());
    settle(pending, &answer, compiled, env);
    if let Some(error) = &answer.error {
        // the body may have come with no bytes, and nothing can be put in place of none
        let mut reply = refusal(pending.answering.client, error);
        let kept = head
            .iter()
            .filter(|(name, _)| is_kept(name))
            .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?.to_owned().into(), value.to_vec())));
        let own_retry = error.retry_after.is_some();
        reply.headers.extend(
            kept.filter(|(name, _): &(std::borrow::Cow<'static, str>, Vec<u8>)| !(own_retry && name == "retry-after")),
        );
        reply.details = "sluice_ai_provider_error";
        return Flow::Reply(reply);
    }
    let _ = head.set("content-type", if answer.is_stream { b"text/event-stream" } else { b"application/json" });
    if let Some(bytes) = answer.body {
        body.replace(bytes);
    }
    Flow::Continue
}

/// What of a provider's head goes with an error: when to come again, what it was called, and what is left of limits.
fn is_kept(name: &[u8]) -> bool {
    let is_one = |known: &[&str]| known.iter().any(|known| known.as_bytes() == name);
    is_one(&["retry-after", "retry-after-ms", "request-id", "x-request-id", "x-amzn-requestid", "x-should-retry"])
        || name.starts_with(b"x-ratelimit-")
        || name.starts_with(b"anthropic-ratelimit-")
        || name.starts_with(b"x-sluice-ai-")
}

/// The answer is longer than it may be.
pub(crate) fn too_large(pending: &mut Pending, compiled: &Compiled, env: &dyn Env) -> Reply {
    let Response::Whole(status, ..) = &pending.response else { return Reply::status(502, "sluice_response_too_large") };
    if (200..300).contains(status) {
        let why = format!("it is longer than {} bytes", compiled.config.max_response_bytes);
        return pending.fail(ApiError::unreadable(&why), Outcome::Broken, compiled, env);
    }
    let status = if (300..400).contains(status) { 502 } else { *status };
    let error = ApiError::new(status, "the provider answered with an error that is too long to read");
    pending.fail(error, Outcome::ProviderError, compiled, env)
}

/// The whole answer, whose head has gone out.
pub(crate) fn whole(pending: &mut Pending, compiled: &Compiled, body: &mut Body, env: &dyn Env) -> Flow {
    let answer = read(pending, body.bytes());
    settle(pending, &answer, compiled, env);
    if let Some(bytes) = answer.body {
        body.replace(bytes);
    }
    Flow::Continue
}

/// A piece of a stream.
pub(crate) fn chunk(pending: &mut Pending, compiled: &Compiled, chunk: &mut Chunk, env: &dyn Env) -> Flow {
    let Response::Stream(pipe, decoder) = &mut pending.response else { return Flow::Continue };
    let mut out = Vec::with_capacity(chunk.bytes().len() + 256);
    let fed = match decoder {
        None => {
            pipe.feed(chunk.bytes(), &mut out);
            Ok(())
        }
        Some(decoder) => decoder.feed(chunk.bytes(), &mut |piece| pipe.feed(piece, &mut out)),
    };
    if fed.is_err() {
        pipe.fail(ApiError::unreadable("its compression is broken"), &mut out);
    }
    if chunk.is_last() {
        pipe.end(&mut out);
    }
    let usage = pipe.usage();
    let outcome = match pipe.outcome() {
        stream::Outcome::Running => None,
        stream::Outcome::Complete => Some(Outcome::Ok),
        stream::Outcome::Failed(_) => Some(Outcome::Broken),
    };
    chunk.replace(out);
    if let Some(outcome) = outcome {
        pending.finish(outcome, usage, compiled, env);
    }
    Flow::Continue
}

/// The exchange is over.
pub(crate) fn end(pending: &mut Pending, compiled: &Compiled, env: &dyn Env) {
    let usage = match &pending.response {
        Response::Stream(pipe, _) => pipe.usage(),
        _ => None,
    };
    pending.finish(Outcome::Aborted, usage, compiled, env);
}
