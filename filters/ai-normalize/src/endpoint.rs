//! What a path asks for.

use ai_translate::Operation;
use ai_translate::client::Client;
use ai_translate::client::Kind;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Something that a provider has to answer, in this dialect.
    Ask {
        kind: Kind,
        operation: Operation,
        /// The model that the path names.
        model: Option<String>,
    },
    /// The table of models.
    Models,
    /// One of them.
    Model(String),
}

/// The dialect's module.
pub(crate) fn client(kind: Kind) -> Option<&'static dyn Client> {
    ai_translate::client::ALL.iter().copied().find(|client| client.kind() == kind)
}

/// What a path is for: `/v1/..`, or `/models/MODEL/v1/..` behind the prefix. The query is nobody's business here.
pub(crate) fn find(prefix: &str, path: &[u8]) -> Option<Endpoint> {
    let path = str::from_utf8(path).ok()?;
    let path = path.split('?').next()?.strip_prefix(prefix)?;
    let (model, path) = match path.strip_prefix("/models/") {
        Some(rest) => {
            let (model, behind) = rest.split_once("/v1/")?;
            (Some(decoded(model)?), behind)
        }
        None => (None, path.strip_prefix("/v1/")?),
    };
    let ask = |kind, operation| Some(Endpoint::Ask { kind, operation, model: model.clone() });
    match path {
        "chat/completions" => ask(Kind::Chat, Operation::Chat),
        "embeddings" => ask(Kind::Chat, Operation::Embeddings),
        "messages" => ask(Kind::Messages, Operation::Chat),
        "messages/count_tokens" => ask(Kind::Messages, Operation::CountTokens),
        "responses" => ask(Kind::Responses, Operation::Chat),
        "models" if model.is_none() => Some(Endpoint::Models),
        _ => {
            let name = path.strip_prefix("models/").filter(|name| !name.is_empty() && model.is_none())?;
            decoded(name).map(Endpoint::Model)
        }
    }
}

/// A percent-encoded text; `None` if it is none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_asked_for() {
        let ask = |kind, operation, model: Option<&str>| {
            Some(Endpoint::Ask { kind, operation, model: model.map(str::to_owned) })
        };
        for (prefix, path, expected) in [
            ("", "/v1/chat/completions", ask(Kind::Chat, Operation::Chat, None)),
            ("", "/v1/chat/completions?x=1", ask(Kind::Chat, Operation::Chat, None)),
            ("", "/v1/embeddings", ask(Kind::Chat, Operation::Embeddings, None)),
            ("", "/v1/messages", ask(Kind::Messages, Operation::Chat, None)),
            ("", "/v1/messages/count_tokens", ask(Kind::Messages, Operation::CountTokens, None)),
            ("", "/v1/responses", ask(Kind::Responses, Operation::Chat, None)),
            ("/ai", "/ai/v1/responses", ask(Kind::Responses, Operation::Chat, None)),
            ("/ai", "/v1/responses", None),
            ("", "/models/a%2Fb/v1/messages", ask(Kind::Messages, Operation::Chat, Some("a/b"))),
            ("", "/v1/models", Some(Endpoint::Models)),
            ("", "/v1/models/a/b", Some(Endpoint::Model("a/b".to_owned()))),
            ("", "/v1/models/", None),
            ("", "/v1/models/%", None),
            ("", "/v1/chat/completions/", None),
            ("", "/v1", None),
        ] {
            assert_eq!(find(prefix, path.as_bytes()), expected, "{path}");
        }
        assert_eq!(find("", b"/v1/models/\xff"), None);
    }
}
