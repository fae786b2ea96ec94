//! Cohere: chat and embeddings of the second version.

mod chat;
mod errors;
mod shapes;
mod stream;

use crate::answer::INPUT;
use crate::call::{Call, is_good_key};
use crate::openai::chat::insert;
use crate::openai::embeddings::without_wishes;
use crate::openai::read::{array, string};
use crate::reply::{Refused, Reply};
use crate::shape::Rules;
use crate::vector;
use serde_json::{Value, json};

/// Strict; null counts as missing.
const RULES: Rules = Rules { strict: true, null_is_missing: true };

/// So many numbers, if nothing else is asked for.
const DIMENSIONS: u64 = 8;

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    match call.bearer() {
        Some(key) if is_good_key(key) => {}
        Some(_) => return Err(Box::new(errors::problem(401, "invalid api token"))),
        None => return Err(Box::new(errors::problem(401, "no api key supplied"))),
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/v2/chat") => chat::answer(call),
        ("POST", "/v2/embed") => embed(call),
        ("GET", "/v1/models") => {
            let model = json!({"name": "command-mock", "endpoints": ["chat"]});
            Ok(with_headers(Reply::json(200, &json!({"models": [model]})).wishing(&call.wishes)))
        }
        _ => Err(Box::new(errors::problem(404, "page not found"))),
    }
}

/// An error with this status.
pub fn error(status: u16) -> Reply {
    errors::problem(status, errors::words(status))
}

fn body_of(call: &Call) -> Result<Value, Refused> {
    call.json().or_else(|why| errors::refuse(format!("invalid request: {why}")))
}

fn with_headers(reply: Reply) -> Reply {
    reply.with("x-debug-trace-id", "mock1").with("x-endpoint-monthly-call-limit", "1000")
}

fn embed(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    shapes::EMBED.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let length = body.get("output_dimension").and_then(Value::as_u64);
    if length.is_some_and(|length| ![256, 512, 1024, 1536].contains(&length)) {
        return errors::refuse("invalid request: output_dimension must be one of 256, 512, 1024, 1536");
    }
    let length = usize::try_from(length.unwrap_or(DIMENSIONS)).unwrap_or_default();
    let mut wishes = call.wishes.clone();
    let texts = array(&body, "texts").iter().filter_map(Value::as_str);
    let texts: Vec<_> = texts.map(|text| without_wishes(&mut wishes, text)).collect();
    if string(&body, "model").contains("missing") {
        return Err(Box::new(errors::problem(404, "model not found")));
    }
    let vectors: Vec<_> = texts.iter().map(|text| vector::of(text, length)).collect();
    let kinds = array(&body, "embedding_types").iter().filter_map(Value::as_str);
    let mut embeddings = json!({});
    for kind in kinds.chain(array(&body, "embedding_types").is_empty().then_some("float")) {
        let one = |vector: &Vec<f32>| match kind {
            "base64" => vector::base64(vector),
            "float" => vector::numbers(vector),
            _ => vector.iter().map(|number| json!((number * 64.0).trunc() as i64)).collect(),
        };
        insert(&mut embeddings, kind, vectors.iter().map(one).collect());
    }
    let tokens = INPUT * vectors.len() as u64;
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}});
    let answer = json!({"id": "mock1", "embeddings": embeddings, "texts": texts, "meta": meta, "response_type": "embeddings_by_type"});
    Ok(with_headers(Reply::json(200, &answer).wishing(&wishes)))
}
