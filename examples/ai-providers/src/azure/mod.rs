//! Azure OpenAI: OpenAI's dialect under deployments, with notes of a content filter.

use crate::call::{Call, is_good_key};
use crate::openai::flavour::{Flavour, Reasoning, StreamUsage};
use crate::openai::{chat, embeddings, errors, models, read, responses, rules, shapes, tool_id};
use crate::reply::{Refused, Reply};
use crate::shape::Rules;
use serde_json::json;

/// The first version of the interface that knows `stream_options`.
const STREAM_OPTIONS: &str = "2024-09-01";

/// What the answers call the model of any deployment.
const MODEL: &str = "gpt-mock-2025-01-01";

static AZURE: Flavour = Flavour {
    chat: &shapes::CHAT,
    rules: Rules { strict: true, null_is_missing: true },
    fault: errors::fault,
    problem: errors::problem,
    check: rules::without_model,
    tool_id,
    stream_usage: StreamUsage::Asked,
    reasoning: Reasoning::Hidden,
    thinks: read::has_effort,
    role_everywhere: false,
    filter_notes: true,
    cache_hits: false,
    keep_alive: false,
    whole_calls: false,
    embeddings_id: false,
    unknown_finish: "novelty",
    headers: &[("apim-request-id", "mock1"), ("x-ms-region", "Mock Central"), ("x-request-id", "req_mock1")],
};

/// Answers a request.
pub fn answer(call: &Call) -> Result<Reply, Refused> {
    authorize(call)?;
    if call.method == "GET" && call.path == "/openai/v1/models" {
        return Ok(models::answer(&AZURE, &call.wishes, ""));
    }
    if call.method != "POST" {
        return nothing();
    }
    if let Some(rest) = call.path.strip_prefix("/openai/deployments/") {
        let (deployment, path) = rest.split_once('/').unwrap_or((rest, ""));
        return deployed(call, deployment, path);
    }
    match call.path.as_str() {
        "/openai/v1/chat/completions" => {
            let body = chat::read_body(&AZURE, call)?;
            rules::check(&AZURE, &body)?;
            known(read::string(&body, "model"))?;
            chat::answer_as(&AZURE, call, body, MODEL)
        }
        "/openai/v1/responses" => responses::answer(&AZURE, call),
        "/openai/v1/embeddings" => embeddings::answer(&AZURE, call, &embeddings::EMBEDDINGS),
        _ => nothing(),
    }
}

fn deployed(call: &Call, deployment: &str, path: &str) -> Result<Reply, Refused> {
    let Some(version) = call.parameter("api-version").filter(|version| !version.is_empty()) else { return nothing() };
    known(deployment)?;
    match path {
        "chat/completions" => {
            let body = chat::read_body(&AZURE, call)?;
            if version < STREAM_OPTIONS && body.get("stream_options").is_some_and(|options| !options.is_null()) {
                return AZURE.refuse(400, "Unrecognized request argument supplied: stream_options", None, None);
            }
            chat::answer_as(&AZURE, call, body, MODEL)
        }
        "embeddings" => embeddings::answer(&AZURE, call, &embeddings::DEPLOYED),
        _ => nothing(),
    }
}

fn known(deployment: &str) -> Result<(), Refused> {
    if deployment.contains("missing") {
        let message = "The API deployment for this resource does not exist.";
        return failed(404, "DeploymentNotFound", message);
    }
    Ok(())
}

fn nothing<T>() -> Result<T, Refused> {
    failed(404, "404", "Resource not found")
}

/// An error of the gateway before the model: it has a code and a message only.
fn failed<T>(status: u16, code: &str, message: &str) -> Result<T, Refused> {
    let error = json!({"error": {"code": code, "message": message}});
    Err(Box::new(AZURE.finish(Reply::json(status, &error))))
}

/// A key in its own header, or a bearer token.
fn authorize(call: &Call) -> Result<(), Refused> {
    match call.header("api-key").or_else(|| call.bearer()) {
        Some(key) if is_good_key(key) => Ok(()),
        _ => failed(401, "401", "Access denied due to invalid subscription key or wrong API endpoint."),
    }
}

/// An error with this status; 400 is one of the filter.
pub fn error(call: &Call, status: u16) -> Reply {
    let reply = match status {
        400 => {
            let found = json!({"hate": {"filtered": true, "severity": "high"}});
            let inner = json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": found});
            let message = "The response was filtered due to the prompt triggering the content management policy.";
            let error = json!({"message": message, "type": null, "param": "prompt", "code": "content_filter", "status": 400, "innererror": inner});
            Reply::json(400, &json!({"error": error}))
        }
        429 => Reply::json(429, &json!({"error": {"code": "429", "message": errors::words(429)}})),
        _ => errors::problem(status, errors::words(status), None, None),
    };
    let reply = AZURE.finish(reply);
    match call.wishes.retry_after {
        Some(seconds) => reply.with("retry-after-ms", (seconds * 1000).to_string()),
        None => reply,
    }
}
