//! Configurations and requests for translations that name none.

use ai_translate::Operation;
use ai_translate::client::{self, Client, Kind};
use ai_translate::provider;
use filter_kit::config::nearest;
use serde_json::{Map, Value, json};

/// The client of that name.
pub fn client(name: &str) -> Result<&'static dyn Client, String> {
    let names: Vec<&str> = client::ALL.iter().map(|client| client.name()).collect();
    client::find(name).ok_or_else(|| unknown("client", name, &names))
}

/// The operation of that name.
pub fn operation(name: &str) -> Result<Operation, String> {
    const ALL: [Operation; 3] = [Operation::Chat, Operation::Embeddings, Operation::CountTokens];
    let names = ALL.map(Operation::name);
    ALL.into_iter().find(|operation| operation.name() == name).ok_or_else(|| unknown("operation", name, &names))
}

/// Where a client asks for it; the model stands in the path if the client's body is not to name it.
pub fn path(client: &dyn Client, operation: Operation, model: Option<&str>) -> Result<String, String> {
    let end = match (client.kind(), operation) {
        (Kind::Chat, Operation::Chat) => "chat/completions",
        (Kind::Chat, Operation::Embeddings) => "embeddings",
        (Kind::Messages, Operation::Chat) => "messages",
        (Kind::Messages, Operation::CountTokens) => "messages/count_tokens",
        (Kind::Responses, Operation::Chat) => "responses",
        (_, operation) => return Err(format!("clients of {} do not ask for {}", client.name(), operation.name())),
    };
    Ok(match model {
        None => format!("/v1/{end}"),
        Some(model) => format!("/models/{}/v1/{end}", encoded(model)),
    })
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// A configuration with one provider for all models.
pub fn config(dialect: &str, model: Option<&str>, strict: bool) -> Result<Vec<u8>, String> {
    let names: Vec<&str> = provider::ALL.iter().map(|provider| provider.name()).collect();
    let found = provider::find(dialect).ok_or_else(|| unknown("provider", dialect, &names))?;
    let key = json!({"env": "KEY"});
    let auth = match dialect {
        "anthropic" => json!({"header": {"name": "x-api-key", "key": key}}),
        "gemini" => json!({"header": {"name": "x-goog-api-key", "key": key}}),
        "azure" => json!({"header": {"name": "api-key", "key": key}}),
        "ollama" | "vllm" | "compatible" => json!("none"),
        _ => json!({"bearer": key}),
    };
    let variables = found.variables().iter().map(|name| ((*name).to_owned(), name.to_uppercase().into()));
    let variables: Map<String, Value> = variables.collect();
    let mut any = json!({"name": "any", "provider": dialect});
    if let Some(model) = model
        && let Some(members) = any.as_object_mut()
    {
        members.insert("model".to_owned(), model.into());
    }
    let config = json!({
        "providers": [{"name": dialect, "dialect": dialect, "cluster": dialect, "auth": auth, "variables": variables}],
        "models": [any], "default_model": "any", "unsupported": if strict { "strict" } else { "lenient" },
        "max_request_bytes": 64 << 20, "max_response_bytes": 64 << 20});
    Ok(config.to_string().into_bytes())
}

/// A small request.
pub fn request(client: &dyn Client, operation: Operation, stream: bool) -> Vec<u8> {
    let hello = json!([{"role": "user", "content": "Hello"}]);
    let mut request = match (client.kind(), operation) {
        (_, Operation::Embeddings) => json!({"model": "any", "input": "Hello"}),
        (Kind::Chat, _) => json!({"model": "any", "messages": hello}),
        (Kind::Messages, Operation::CountTokens) => json!({"model": "any", "messages": hello}),
        (Kind::Messages, _) => json!({"model": "any", "max_tokens": 1024, "messages": hello}),
        (Kind::Responses, _) => json!({"model": "any", "input": "Hello"}),
    };
    if stream && let Some(members) = request.as_object_mut() {
        members.insert("stream".to_owned(), true.into());
        if client.kind() == Kind::Chat {
            members.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
    }
    request.to_string().into_bytes()
}

fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    match nearest(name, names) {
        Some(near) => format!("no {what} \"{name}\"; did you mean \"{near}\"?"),
        None => format!("no {what} \"{name}\"; there are {}", names.join(", ")),
    }
}
