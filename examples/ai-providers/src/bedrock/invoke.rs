//! Invoke: each model's own interface.

use super::reply::{EVENT_STREAM, framed};
use super::{RULES, body_of, errors, frames};
use crate::answer::{Answer, INPUT};
use crate::anthropic;
use crate::call::Call;
use crate::openai::chat::insert;
use crate::openai::embeddings::without_wishes;
use crate::openai::errors::value;
use crate::openai::read::{array, string};
use crate::reply::{Refused, Reply};
use crate::vector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// So many numbers, if nothing else is asked for.
const DIMENSIONS: u64 = 8;

/// Answers for this model.
pub fn answer(call: &Call, model: &str, stream: bool) -> Result<Reply, Refused> {
    if model.contains("anthropic") || model.contains("claude") {
        return claude(call, model, stream);
    }
    if stream {
        return errors::refuse(format!("The model {model} is unsupported for streaming"));
    }
    if model.contains("titan-embed") {
        return titan(call);
    }
    if model.contains("cohere.embed") {
        return cohere(call);
    }
    if model.contains("nova") && model.contains("embed") {
        return nova(call);
    }
    errors::refuse("The provided model identifier is invalid.")
}

/// Anthropic's messages, without the name of the model and without `stream`.
fn claude(call: &Call, model: &str, stream: bool) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    let shape = &anthropic::shapes::BEDROCK;
    shape.check(&body, anthropic::RULES).map_err(|fault| told(&anthropic::errors::fault(&fault)))?;
    anthropic::rules::check(&body, model, anthropic::terms_of(&body)).map_err(|refused| told(&refused))?;
    let prompt = anthropic::read::prompt(call, &body, model, stream);
    let answer = Answer::to(&prompt);
    let usage = answer.usage;
    if !stream {
        let reply = Reply::json(200, &anthropic::reply::message(&answer, model));
        return Ok(counted(reply, usage.all_input(), usage.all_output()).wishing(&prompt.wishes));
    }
    let metrics = json!({
        "inputTokenCount": usage.input,
        "outputTokenCount": usage.all_output(),
        "invocationLatency": 5,
        "firstByteLatency": 1,
    });
    let mut events = anthropic::stream::events(&answer, model);
    if let Some(last) = events.last_mut() {
        insert(last, "amazon-bedrock-invocationMetrics", metrics);
    }
    let chunk = |event: &Value| {
        let bytes = STANDARD.encode(crate::text::write(event));
        frames::event("chunk", &json!({"bytes": bytes, "p": "abcdefghij"}))
    };
    let reply = Reply::stream(EVENT_STREAM, framed(events.iter().map(chunk).collect(), "chunk", &answer));
    Ok(reply.with("x-amzn-bedrock-content-type", "application/json").wishing(&prompt.wishes))
}

/// A refusal of Anthropic as one of Bedrock.
fn told(refused: &Reply) -> Refused {
    let message = value(refused).pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
    Box::new(errors::problem(400, "ValidationException", &message.unwrap_or_default()))
}

fn titan(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    super::shapes::TITAN.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let mut wishes = call.wishes.clone();
    let text = without_wishes(&mut wishes, string(&body, "inputText"));
    let vector = vector::numbers(&vector::of(&text, length(&body, "dimensions")));
    let mut answer = json!({"embedding": vector, "inputTextTokenCount": INPUT});
    if !array(&body, "embeddingTypes").is_empty() {
        insert(&mut answer, "embeddingsByType", json!({"float": vector}));
    }
    Ok(counted(Reply::json(200, &answer), INPUT, 0).wishing(&wishes))
}

fn nova(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    super::shapes::NOVA.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let parameters = body.get("singleEmbeddingParams").unwrap_or(&Value::Null);
    let mut wishes = call.wishes.clone();
    let text = parameters.get("text").map(|text| without_wishes(&mut wishes, string(text, "value")));
    let vector = vector::of(&text.unwrap_or_default(), length(parameters, "embeddingDimension"));
    let embedding = json!({"embeddingType": "TEXT", "embedding": vector::numbers(&vector)});
    Ok(counted(Reply::json(200, &json!({"embeddings": [embedding]})), INPUT, 0).wishing(&wishes))
}

fn cohere(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    super::shapes::COHERE.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let mut wishes = call.wishes.clone();
    let texts = array(&body, "texts").iter().filter_map(Value::as_str);
    let texts: Vec<_> = texts.map(|text| without_wishes(&mut wishes, text)).collect();
    let length = length(&body, "output_dimension");
    let vectors: Vec<_> = texts.iter().map(|text| vector::numbers(&vector::of(text, length))).collect();
    let tokens = INPUT * vectors.len() as u64;
    let (kind, embeddings) = match array(&body, "embedding_types") {
        [] => ("embeddings_floats", json!(vectors)),
        _ => ("embeddings_by_type", json!({"float": vectors})),
    };
    let answer = json!({"id": "mock1", "response_type": kind, "embeddings": embeddings, "texts": texts});
    Ok(counted(Reply::json(200, &answer), tokens, 0).wishing(&wishes))
}

fn length(body: &Value, name: &str) -> usize {
    usize::try_from(body.get(name).and_then(Value::as_u64).unwrap_or(DIMENSIONS)).unwrap_or_default()
}

/// With the counts, which Invoke tells in headers.
fn counted(reply: Reply, input: u64, output: u64) -> Reply {
    reply
        .with("x-amzn-requestid", errors::REQUEST_ID)
        .with("x-amzn-bedrock-invocation-latency", "5")
        .with("x-amzn-bedrock-input-token-count", input.to_string())
        .with("x-amzn-bedrock-output-token-count", output.to_string())
}
