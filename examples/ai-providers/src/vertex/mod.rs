//! Vertex AI: models of Google and of Anthropic under one path.

use crate::answer::INPUT;
use crate::anthropic;
use crate::call::{Call, is_good_key};
use crate::gemini::{self, errors};
use crate::openai::read::{is_true, string};
use crate::reply::{Refused, Reply};
use serde_json::json;

/// What a path names.
struct Target<'p> {
    publisher: &'p str,
    model: &'p str,
    verb: &'p str,
}

impl<'p> Target<'p> {
    /// `/v1/projects/P/locations/L/publishers/PUBLISHER/models/MODEL:VERB`
    fn of(path: &'p str) -> Option<Self> {
        let steps: Vec<_> = path.split('/').collect();
        let ["", "v1" | "v1beta1", "projects", project, "locations", location, "publishers", publisher, "models", last] =
            steps.as_slice()
        else {
            return None;
        };
        let (model, verb) = last.split_once(':')?;
        let named = ![*project, *location, model].contains(&"");
        named.then_some(Self { publisher, model, verb })
    }
}

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    if !call.bearer().is_some_and(is_good_key) {
        let message = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        return Err(Box::new(errors::problem(401, message)));
    }
    let nothing = || Err(Box::new(errors::problem(404, errors::kind(404).1)));
    let Some(target) = Target::of(&call.path).filter(|_| call.method == "POST") else { return nothing() };
    gemini::known(target.model)?;
    match (target.publisher, target.verb) {
        ("google", "generateContent") => gemini::generate(call, target.model, &gemini::shapes::VERTEX, false),
        ("google", "streamGenerateContent") => gemini::generate(call, target.model, &gemini::shapes::VERTEX, true),
        ("google", "predict") => gemini::embed::predict(call),
        ("anthropic", "rawPredict") if target.model == "count-tokens" => {
            let body = anthropic::checked(call, &anthropic::shapes::VERTEX_COUNT)?;
            anthropic::rules::check(&body, string(&body, "model"), anthropic::terms_of(&body))?;
            Ok(Reply::json(200, &json!({"input_tokens": INPUT})).wishing(&call.wishes))
        }
        ("anthropic", "rawPredict" | "streamRawPredict") => {
            let body = anthropic::checked(call, &anthropic::shapes::VERTEX)?;
            let stream = is_true(&body, "stream");
            if stream != (target.verb == "streamRawPredict") {
                return anthropic::errors::refuse("stream: must be true for streamRawPredict, and not for rawPredict");
            }
            anthropic::messages(call, &body, target.model, stream, anthropic::terms_of(&body))
        }
        _ => nothing(),
    }
}

/// An error with this status: of the publisher's model.
pub fn error(call: &Call, status: u16) -> Reply {
    match Target::of(&call.path) {
        Some(target) if target.publisher == "anthropic" => anthropic::errors::of_status(status),
        _ => errors::of_status(status, call.wishes.retry_after),
    }
}
