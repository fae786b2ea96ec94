//! Amazon Bedrock: Converse for all models, Invoke for each.

mod auth;
mod errors;
mod frames;
mod invoke;
mod read;
mod reply;
mod rules;
mod shapes;

use crate::answer::{Answer, INPUT};
use crate::call::Call;
use crate::reply::{Refused, Reply};
use crate::shape::Rules;
use serde_json::{Value, json};

/// Strict; null counts as missing.
const RULES: Rules = Rules { strict: true, null_is_missing: true };

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    auth::check(call)?;
    let steps: Vec<_> = call.path.split('/').collect();
    let (["", "model", id, verb], "POST") = (steps.as_slice(), call.method.as_str()) else {
        return Err(Box::new(errors::problem(
            404,
            "UnknownOperationException",
            "The requested operation is not known.",
        )));
    };
    let Some(model) = decoded(id) else { return errors::refuse("The provided model identifier is invalid.") };
    if model.contains("missing") {
        return errors::refuse("The provided model identifier is invalid.");
    }
    match *verb {
        "converse" => converse(call, &model, false),
        "converse-stream" => converse(call, &model, true),
        "invoke" => invoke::answer(call, &model, false),
        "invoke-with-response-stream" => invoke::answer(call, &model, true),
        "count-tokens" => {
            let body = body_of(call)?;
            if body.get("input").is_none_or(|input| !input.is_object()) {
                return errors::refuse(
                    "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must not be null",
                );
            }
            Ok(identified(Reply::json(200, &json!({"inputTokens": INPUT})).wishing(&call.wishes)))
        }
        _ => Err(Box::new(errors::problem(404, "UnknownOperationException", "The requested operation is not known."))),
    }
}

fn converse(call: &Call, model: &str, stream: bool) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    shapes::CONVERSE.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    rules::check(&body)?;
    let prompt = read::prompt(call, &body, model, stream);
    let answer = Answer::to(&prompt);
    let reply = if stream { reply::stream(&answer) } else { reply::whole(&answer) };
    Ok(identified(reply.wishing(&prompt.wishes)))
}

fn identified(reply: Reply) -> Reply {
    reply.with("x-amzn-requestid", errors::REQUEST_ID)
}

fn body_of(call: &Call) -> Result<Value, Refused> {
    call.json_by_default().map_err(|why| Box::new(errors::problem(400, "SerializationException", &why)))
}

/// An error with this status.
pub fn error(status: u16) -> Reply {
    errors::of_status(status)
}

/// A step of a path, without its percent signs; nothing if they are wrong.
fn decoded(step: &str) -> Option<String> {
    let mut bytes = step.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(text).ok().filter(|text| !text.is_empty())
}
