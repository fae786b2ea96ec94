//! Gemini on AI Studio.

pub mod embed;
pub mod errors;
pub mod names;
pub mod read;
pub mod reply;
pub mod rules;
pub mod schema;
pub mod shapes;

use crate::answer::{Answer, INPUT};
use crate::call::{Call, is_good_key};
use crate::reply::{Body, Refused, Reply};
use crate::shape::{Rules, Shape};
use reply::{Generated, json_reply};
use serde_json::{Value, json};

/// Strict; null counts as missing.
pub const RULES: Rules = Rules { strict: true, null_is_missing: true };

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    authorize(call)?;
    let path = call.path.strip_prefix("/v1beta/").or_else(|| call.path.strip_prefix("/v1/")).unwrap_or_default();
    if call.method == "GET" && path == "models" {
        let methods = ["generateContent", "countTokens"];
        let model =
            json!({"name": "models/gemini-mock", "displayName": "Gemini Mock", "supportedGenerationMethods": methods});
        return Ok(json_reply(&json!({"models": [model]})).wishing(&call.wishes));
    }
    let named = path.strip_prefix("models/").and_then(|rest| rest.split_once(':'));
    match (call.method.as_str(), named) {
        ("POST", Some((model, verb))) => model_of(call, model, verb),
        _ => Err(Box::new(errors::problem(404, errors::kind(404).1))),
    }
}

fn model_of(call: &Call, model: &str, verb: &str) -> Result<Reply, Refused> {
    known(model)?;
    match verb {
        "generateContent" => generate(call, model, &shapes::STUDIO, false),
        "streamGenerateContent" => generate(call, model, &shapes::STUDIO, true),
        "embedContent" => embed::one(call, model),
        "batchEmbedContents" => embed::batch(call, model),
        "countTokens" => {
            let body = camel_body_of(call)?;
            shapes::COUNT_TOKENS.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
            Ok(json_reply(&json!({"totalTokens": INPUT})).wishing(&call.wishes))
        }
        _ => Err(Box::new(errors::problem(404, errors::kind(404).1))),
    }
}

/// A key in the header, or in the query.
fn authorize(call: &Call) -> Result<(), Refused> {
    match call.header("x-goog-api-key").or_else(|| call.parameter("key")) {
        Some(key) if is_good_key(key) => Ok(()),
        Some(_) => Err(Box::new(errors::bad_key())),
        None => {
            let message = "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity to call this API.";
            Err(Box::new(errors::problem(403, message)))
        }
    }
}

/// The model, if there is one of this name.
pub fn known(model: &str) -> Result<(), Refused> {
    if model.contains("missing") {
        let message =
            format!("models/{model} is not found for API version v1beta, or is not supported for generateContent.");
        return Err(Box::new(errors::problem(404, &message)));
    }
    Ok(())
}

/// The body, if it is JSON.
pub fn body_of(call: &Call) -> Result<Value, Refused> {
    call.json().or_else(|why| errors::refuse(format!("Invalid JSON payload received. {why}")))
}

/// The same, with all names in camel case.
pub fn camel_body_of(call: &Call) -> Result<Value, Refused> {
    body_of(call).map(names::camel)
}

/// `:generateContent` and `:streamGenerateContent`
pub fn generate(call: &Call, model: &str, shape: &Shape, stream: bool) -> Result<Reply, Refused> {
    let events = call.parameter("alt") == Some("sse");
    let checked = camel_body_of(call).and_then(|body| {
        shape.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
        rules::check(&body, model)?;
        Ok(body)
    });
    let body = checked.map_err(|refused| if stream && !events { in_list(refused) } else { refused })?;
    let prompt = read::prompt(call, &body, model, stream);
    let answer = Answer::to(&prompt);
    let reply = Generated { body: &body, prompt: &prompt, answer: &answer }.reply(events);
    Ok(reply.with("vary", "Origin, X-Origin, Referer").wishing(&prompt.wishes))
}

/// A stream that is a list has its errors in one.
fn in_list(mut refused: Refused) -> Refused {
    if let Body::Whole(body) = &mut refused.body {
        *body = [b"[", body.as_slice(), b"\n]"].concat();
    }
    refused
}
