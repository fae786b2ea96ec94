//! Chat completions: the request is checked, then answered.

use super::flavour::{Flavour, Reasoning, StreamUsage};
use super::{read, stream};
use crate::answer::{Answer, Finish, ToolUse};
use crate::call::Call;
use crate::prompt::Prompt;
use crate::reply::{Refused, Reply};
use crate::text;
use serde_json::{Map, Value, json};

/// Its id.
pub const ID: &str = "chatcmpl-mock1";
/// When it was made.
pub const CREATED: u64 = 1_700_000_000;

/// A request that has been found good, and what it asks.
#[derive(Debug)]
pub struct Chat<'c> {
    /// The server.
    pub flavour: &'c Flavour,
    /// The request.
    pub body: Value,
    /// What it asks.
    pub prompt: Prompt,
    /// The answer.
    pub answer: Answer,
    /// The model that is told.
    pub model: String,
}

/// Answers a request.
pub fn answer(flavour: &Flavour, call: &Call) -> Result<Reply, Refused> {
    let body = read_body(flavour, call)?;
    let model = read::string(&body, "model").to_owned();
    answer_as(flavour, call, body, &model)
}

/// The body, if it is JSON.
pub fn read_body(flavour: &Flavour, call: &Call) -> Result<Value, Refused> {
    call.json().or_else(|why| {
        flavour.refuse(400, &format!("We could not parse the JSON body of your request. ({why})"), None, None)
    })
}

/// Answers as this model.
pub fn answer_as(flavour: &Flavour, call: &Call, body: Value, model: &str) -> Result<Reply, Refused> {
    flavour.chat.check(&body, flavour.rules).map_err(|fault| Box::new((flavour.fault)(&fault)))?;
    (flavour.check)(flavour, &body)?;
    if model.contains("missing") {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        return flavour.refuse(404, &message, Some("model"), Some("model_not_found"));
    }
    let prompt = read::prompt(call, &body, (flavour.thinks)(&body));
    let answer = Answer::to(&prompt);
    let chat = Chat { flavour, body, prompt, answer, model: model.to_owned() };
    let reply = if chat.prompt.stream { stream::reply(&chat) } else { chat.at_once() };
    Ok(flavour.finish(reply.wishing(&chat.prompt.wishes)))
}

impl Chat<'_> {
    /// How many answers are wanted.
    pub fn choices(&self) -> u64 {
        self.body.get("n").and_then(Value::as_u64).unwrap_or(1).max(1)
    }

    /// The answer at once. Where a comment would keep a stream alive, blank lines do the same while it is waited for.
    fn at_once(&self) -> Reply {
        let waits = self.flavour.keep_alive && self.prompt.wishes.delay_ms > 0;
        let text = format!("{}{}", if waits { "\n\n" } else { "" }, text::write(&self.whole()));
        Reply::whole(200, "application/json", text.into_bytes())
    }

    fn whole(&self) -> Value {
        let choices = (0..self.choices()).map(|index| {
            let mut choice = json!({
                "index": index,
                "message": self.message(),
                "logprobs": self.logprobs(&self.answer.deltas),
                "finish_reason": self.finish(),
            });
            if self.flavour.filter_notes {
                insert(&mut choice, "content_filter_results", filter_notes());
            }
            choice
        });
        let mut whole = json!({
            "id": ID,
            "object": "chat.completion",
            "created": CREATED,
            "model": self.model,
            "choices": choices.collect::<Vec<_>>(),
            "usage": self.usage(),
            "system_fingerprint": "fp_mock",
        });
        if self.flavour.filter_notes {
            let notes = json!([{"prompt_index": 0, "content_filter_results": filter_notes()}]);
            insert(&mut whole, "prompt_filter_results", notes);
        }
        if self.flavour.stream_usage == StreamUsage::Groq {
            insert(&mut whole, "x_groq", json!({"id": "req_mock1"}));
        }
        whole
    }

    fn message(&self) -> Value {
        let answer = &self.answer;
        let said = answer.text();
        let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
        let nothing = said.is_empty() && !answer.calls.is_empty();
        let content = if nothing || answer.refusal { Value::Null } else { json!(said) };
        message.insert("content".to_owned(), content);
        message.insert("refusal".to_owned(), if answer.refusal { json!(said) } else { Value::Null });
        match (self.flavour.reasoning, &answer.thought) {
            (Reasoning::Member(name), Some(thought)) => {
                message.insert(name.to_owned(), json!(thought));
            }
            (Reasoning::Part, Some(thought)) => {
                let mut parts = vec![thinking_part(thought)];
                if !said.is_empty() {
                    parts.push(json!({"type": "text", "text": said}));
                }
                message.insert("content".to_owned(), json!(parts));
            }
            _ => {}
        }
        if !answer.calls.is_empty() {
            let calls = answer.calls.iter().map(|call| self.called(call));
            message.insert("tool_calls".to_owned(), calls.collect());
        }
        Value::Object(message)
    }

    /// A call, whole.
    pub fn called(&self, call: &ToolUse) -> Value {
        let function = json!({"name": call.name, "arguments": text::write(&call.arguments)});
        json!({"id": self.tool_id(call), "type": "function", "function": function})
    }

    /// The id of a call.
    pub fn tool_id(&self, call: &ToolUse) -> String {
        (self.flavour.tool_id)(call.number)
    }

    /// The finish reason.
    pub fn finish(&self) -> &'static str {
        match self.answer.finish {
            Finish::Stop => "stop",
            Finish::Calls => "tool_calls",
            Finish::Length => "length",
            Finish::Filter => "content_filter",
            Finish::Unknown => self.flavour.unknown_finish,
        }
    }

    /// What it cost.
    pub fn usage(&self) -> Value {
        let usage = self.answer.usage;
        let output = usage.all_output() * self.choices();
        let mut value = json!({
            "prompt_tokens": usage.all_input(),
            "completion_tokens": output,
            "total_tokens": usage.all_input() + output,
            "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
        });
        if self.flavour.cache_hits {
            insert(&mut value, "prompt_cache_hit_tokens", json!(usage.cached));
            insert(&mut value, "prompt_cache_miss_tokens", json!(usage.input));
        }
        value
    }

    /// Probabilities of these tokens, if they are wanted.
    pub fn logprobs(&self, deltas: &[String]) -> Value {
        if !read::is_true(&self.body, "logprobs") {
            return Value::Null;
        }
        let tops = self.body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0);
        let one = |delta: &String| {
            let token = json!({"token": delta, "logprob": -0.5, "bytes": delta.as_bytes()});
            let mut with = token.clone();
            insert(&mut with, "top_logprobs", (0..tops.min(1)).map(|_| token.clone()).collect());
            with
        };
        json!({"content": deltas.iter().map(one).collect::<Vec<_>>(), "refusal": null})
    }
}

/// A part of the content that holds a thought.
pub fn thinking_part(thought: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": thought}]})
}

/// Adds a member.
pub fn insert(value: &mut Value, name: &str, member: Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), member);
    }
}

/// What Azure's filter found: nothing.
pub fn filter_notes() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}
