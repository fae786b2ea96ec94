//! Embeddings of Gemini.

use super::errors;
use super::read::texts;
use super::reply::json_reply;
use super::shapes;
use super::{RULES, body_of, camel_body_of};
use crate::call::Call;
use crate::openai::embeddings::without_wishes;
use crate::openai::read::{array, string};
use crate::reply::{Refused, Reply};
use crate::vector;
use crate::wishes::Wishes;
use serde_json::{Value, json};

/// So many numbers, if nothing else is asked for.
const DIMENSIONS: u64 = 8;

/// `:embedContent`
pub fn one(call: &Call, _model: &str) -> Result<Reply, Refused> {
    let body = camel_body_of(call)?;
    shapes::EMBED.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let mut wishes = call.wishes.clone();
    let embedding = values(&body, &mut wishes);
    Ok(json_reply(&json!({"embedding": embedding})).wishing(&wishes))
}

/// `:batchEmbedContents`
pub fn batch(call: &Call, model: &str) -> Result<Reply, Refused> {
    let body = camel_body_of(call)?;
    shapes::EMBED_BATCH.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let mut wishes = call.wishes.clone();
    let mut embeddings = Vec::new();
    for (index, request) in array(&body, "requests").iter().enumerate() {
        if string(request, "model") != format!("models/{model}") {
            return errors::refuse(format!(
                "* BatchEmbedContentsRequest.requests[{index}].model: expected models/{model}, as in the path\n"
            ));
        }
        embeddings.push(values(request, &mut wishes));
    }
    Ok(json_reply(&json!({"embeddings": embeddings})).wishing(&wishes))
}

fn values(request: &Value, wishes: &mut Wishes) -> Value {
    let text = without_wishes(wishes, &request.get("content").map(texts).unwrap_or_default().concat());
    json!({"values": vector::numbers(&vector::of(&text, length(request)))})
}

/// `:predict` on Vertex.
pub fn predict(call: &Call) -> Result<Reply, Refused> {
    let body = body_of(call)?;
    shapes::PREDICT.check(&body, RULES).map_err(|fault| errors::fault(&fault))?;
    let parameters = body.get("parameters").unwrap_or(&Value::Null);
    let mut wishes = call.wishes.clone();
    let predictions: Vec<_> = array(&body, "instances")
        .iter()
        .map(|instance| {
            let text = without_wishes(&mut wishes, string(instance, "content"));
            let values = vector::numbers(&vector::of(&text, length(parameters)));
            json!({"embeddings": {"values": values, "statistics": {"truncated": false, "token_count": 9}}})
        })
        .collect();
    let metadata = json!({"billableCharacterCount": 9 * predictions.len()});
    Ok(json_reply(&json!({"predictions": predictions, "metadata": metadata})).wishing(&wishes))
}

fn length(request: &Value) -> usize {
    let asked = request.get("outputDimensionality").and_then(Value::as_u64);
    usize::try_from(asked.unwrap_or(DIMENSIONS)).unwrap_or_default()
}
