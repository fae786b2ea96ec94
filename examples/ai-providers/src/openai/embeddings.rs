//! Embeddings.

use super::chat::{insert, read_body};
use super::flavour::Flavour;
use super::read::{array, string};
use crate::call::Call;
use crate::reply::{Refused, Reply};
use crate::shape::{Shape, may, must};
use crate::vector;
use crate::wishes::Wishes;
use serde_json::{Value, json};

/// So many numbers, if nothing else is asked for.
const DIMENSIONS: usize = 8;

static ITEM: Shape = Shape::Either(&[&Shape::Filled, &TOKEN, &TOKENS]);
static TOKEN: Shape = Shape::Integer(0, 1 << 20);
static TOKENS: Shape = Shape::List(&TOKEN, 1, 2048);
/// The request of OpenAI.
pub static EMBEDDINGS: Shape = Shape::Record(&[
    must("model", &Shape::Filled),
    must("input", &Shape::Either(&[&Shape::Filled, &Shape::List(&ITEM, 1, 2048)])),
    may("dimensions", &Shape::Integer(1, 4096)),
    may("encoding_format", &Shape::Word(&["float", "base64"])),
    may("user", &Shape::Text),
]);

/// The same where the path names the model.
pub static DEPLOYED: Shape = Shape::Record(&[
    may("model", &Shape::Filled),
    must("input", &Shape::Either(&[&Shape::Filled, &Shape::List(&ITEM, 1, 2048)])),
    may("dimensions", &Shape::Integer(1, 4096)),
    may("encoding_format", &Shape::Word(&["float", "base64"])),
    may("user", &Shape::Text),
]);
/// That of Mistral: texts only, and another name for the length.
pub static MISTRAL: Shape = Shape::Record(&[
    must("model", &Shape::Filled),
    must("input", &Shape::Either(&[&Shape::Filled, &Shape::List(&Shape::Filled, 1, 2048)])),
    may("output_dimension", &Shape::Integer(1, 4096)),
    may("output_dtype", &Shape::Word(&["float", "int8", "uint8", "binary", "ubinary"])),
    may("encoding_format", &Shape::Word(&["float", "base64"])),
    may("metadata", &Shape::Object),
]);

/// Answers a request that looks like this.
pub fn answer(flavour: &Flavour, call: &Call, shape: &Shape) -> Result<Reply, Refused> {
    let body = read_body(flavour, call)?;
    shape.check(&body, flavour.rules).map_err(|fault| Box::new((flavour.fault)(&fault)))?;
    let model = string(&body, "model");
    if model.contains("missing") {
        return flavour.refuse(
            404,
            &format!("The model `{model}` does not exist."),
            Some("model"),
            Some("model_not_found"),
        );
    }
    let inputs = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) if items.iter().any(Value::is_number) => vec![Value::from(items.clone()).to_string()],
        _ => array(&body, "input").iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned)).collect(),
    };
    let length = ["dimensions", "output_dimension"].iter().find_map(|name| body.get(name)?.as_u64());
    let length = length.map_or(DIMENSIONS, |length| usize::try_from(length).unwrap_or(DIMENSIONS));
    let base64 = string(&body, "encoding_format") == "base64";
    let mut wishes = call.wishes.clone();
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let text = without_wishes(&mut wishes, input);
        let vector = vector::of(&text, length);
        let embedding = if base64 { vector::base64(&vector) } else { vector::numbers(&vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let data: Vec<_> = data.collect();
    let tokens = 9 * data.len();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let mut list = json!({"object": "list", "data": data, "model": model, "usage": usage});
    if flavour.embeddings_id {
        insert(&mut list, "id", json!("embd-mock1"));
    }
    let reply = Reply::json(200, &list);
    Ok(flavour.finish(reply.wishing(&wishes)))
}

/// The text, with its wishes added to these.
pub fn without_wishes(wishes: &mut Wishes, text: &str) -> String {
    let (more, rest) = std::mem::take(wishes).with_text(text);
    *wishes = more;
    rest
}
