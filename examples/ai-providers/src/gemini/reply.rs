//! Answers of Gemini: at once, or as a stream of the same shape.

use super::errors;
use super::rules::wants_signatures;
use crate::answer::{Answer, Finish};
use crate::openai::chat::insert;
use crate::openai::read::is_true;
use crate::prompt::Prompt;
use crate::reply::{Reply, Stream};
use crate::{sse, text};
use serde_json::{Value, json};

/// What signs all thoughts; it must come back with the call that it came with.
pub const SIGNATURE: &str = "bW9jay10aG91Z2h0";

/// A request and its answer.
#[derive(Debug)]
pub struct Generated<'g> {
    /// The request.
    pub body: &'g Value,
    /// What it asks.
    pub prompt: &'g Prompt,
    /// The answer.
    pub answer: &'g Answer,
}

impl Generated<'_> {
    /// The answer: at once, as events, or as one list that grows.
    pub fn reply(&self, events: bool) -> Reply {
        if !self.prompt.stream {
            return json_reply(&self.whole());
        }
        let status = self.answer.breaks.unwrap_or(503);
        let error = errors::value(status, errors::kind(status).1, &[]);
        let chunks = self.chunks();
        if events {
            let stream = Stream::sse(chunks.iter().map(sse::crlf).collect(), sse::crlf(&error));
            return Reply::stream("text/event-stream", stream);
        }
        let mut pieces: Vec<_> =
            chunks.iter().map(|chunk| format!(",\r\n{}", text::write(chunk)).into_bytes()).collect();
        if let Some(first) = pieces.first_mut() {
            first.splice(..3, *b"[");
        }
        pieces.push(b"\n]".to_vec());
        let error = format!(",\r\n{}\n]", text::write(&error)).into_bytes();
        let stream = Stream { events: pieces, error, garbage: b",\r\n{\"garbage\": tru".to_vec() };
        Reply::stream("application/json; charset=UTF-8", stream)
    }

    fn whole(&self) -> Value {
        let mut parts = self.thoughts();
        let said = self.answer.text();
        if !said.is_empty() {
            parts.push(json!({"text": said}));
        }
        parts.extend(self.calls());
        self.chunk(&parts, true, true)
    }

    fn chunks(&self) -> Vec<Value> {
        let parts = self.thoughts().into_iter();
        let said = self.answer.deltas.iter().map(|delta| json!({"text": delta}));
        let parts = parts.chain(said).chain(self.calls());
        let mut chunks: Vec<_> = parts.map(|part| self.chunk(&[part], false, false)).collect();
        if self.prompt.wishes.blocked {
            chunks.clear();
        }
        // the reason may come with nothing else
        chunks.push(self.chunk(&[json!({"text": ""})], true, true));
        chunks
    }

    fn thoughts(&self) -> Vec<Value> {
        let shown = self
            .body
            .pointer("/generationConfig/thinkingConfig")
            .is_some_and(|config| is_true(config, "includeThoughts"));
        let shown = shown || self.prompt.wishes.reasoning;
        let thoughts = self.answer.thought.iter().filter(|_| shown);
        thoughts.map(|thought| json!({"text": thought, "thought": true})).collect()
    }

    fn calls(&self) -> Vec<Value> {
        let signed = self.answer.thought.is_some() || wants_signatures(&self.prompt.model);
        let calls = self.answer.calls.iter().enumerate().map(|(index, call)| {
            let mut called = json!({"name": call.name, "args": call.arguments});
            if call.arguments == json!({}) {
                called = json!({"name": call.name});
            }
            let mut part = json!({"functionCall": called});
            if index == 0 && signed {
                insert(&mut part, "thoughtSignature", json!(SIGNATURE));
            }
            part
        });
        calls.collect()
    }

    fn chunk(&self, parts: &[Value], ends: bool, all: bool) -> Value {
        let count = self.body.pointer("/generationConfig/candidateCount").and_then(Value::as_u64).unwrap_or(1);
        let mut chunk = json!({
            "usageMetadata": self.usage(all),
            "modelVersion": self.prompt.model,
            "responseId": "mock1",
        });
        if self.prompt.wishes.blocked {
            insert(&mut chunk, "promptFeedback", json!({"blockReason": "PROHIBITED_CONTENT"}));
            return chunk;
        }
        let candidates = (0..count).map(|index| {
            let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
            if ends {
                insert(&mut candidate, "finishReason", json!(self.finish()));
            }
            candidate
        });
        insert(&mut chunk, "candidates", candidates.collect());
        chunk
    }

    const fn finish(&self) -> &'static str {
        match self.answer.finish {
            // calls are no reason of their own here
            Finish::Stop | Finish::Calls => "STOP",
            Finish::Length => "MAX_TOKENS",
            Finish::Filter => "SAFETY",
            Finish::Unknown => "NOVELTY",
        }
    }

    /// The counts so far: of the output, only the last chunk knows all.
    fn usage(&self, all: bool) -> Value {
        let usage = self.answer.usage;
        let output = if all { usage.output } else { 1 };
        let mut value = json!({
            "promptTokenCount": usage.all_input(),
            "candidatesTokenCount": output,
            "totalTokenCount": usage.all_input() + output + usage.reasoning,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.all_input()}],
        });
        if usage.cached > 0 {
            insert(&mut value, "cachedContentTokenCount", json!(usage.cached));
        }
        if usage.reasoning > 0 {
            insert(&mut value, "thoughtsTokenCount", json!(usage.reasoning));
        }
        value
    }
}

/// JSON as Google sends it: over several lines.
pub fn json_reply(value: &Value) -> Reply {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    Reply::whole(200, "application/json; charset=UTF-8", text.into_bytes())
}
