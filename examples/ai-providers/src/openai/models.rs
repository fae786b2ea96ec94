//! The list of models.

use super::chat::CREATED;
use super::flavour::Flavour;
use crate::reply::Reply;
use serde_json::{Value, json};

/// There are these.
const MODELS: [&str; 3] = ["gpt-mock", "gpt-mock-mini", "text-embedding-mock"];

/// All models, or the one that the rest of the path names.
pub fn answer(flavour: &Flavour, call_wishes: &crate::wishes::Wishes, rest: &str) -> Reply {
    let reply = match rest.strip_prefix('/') {
        None => {
            let data: Vec<_> = MODELS.iter().map(|name| model(name)).collect();
            Reply::json(200, &json!({"object": "list", "data": data}))
        }
        Some(name) if MODELS.contains(&name) => Reply::json(200, &model(name)),
        Some(name) => {
            let message = format!("The model '{name}' does not exist");
            (flavour.problem)(404, &message, Some("model"), Some("model_not_found"))
        }
    };
    flavour.finish(reply.wishing(call_wishes))
}

fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}
