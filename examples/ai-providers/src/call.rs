//! One request, as it came.

use crate::wishes::Wishes;
use http::HeaderMap;
use serde_json::Value;

/// The header with wishes.
pub const WISHES: &str = "x-mock";

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`, `POST`..
    pub method: String,
    /// Without the query, as it was sent.
    pub path: String,
    /// Behind the question mark.
    pub query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// What the header wishes for.
    pub wishes: Wishes,
}

impl Call {
    /// A request, with the wishes of its header.
    pub fn new(method: String, path: String, query: String, headers: HeaderMap, body: Vec<u8>) -> Self {
        let values = headers.get_all(WISHES).iter().filter_map(|value| value.to_str().ok());
        let wishes = values.fold(Wishes::default(), Wishes::and);
        Self { method, path, query, headers, body, wishes }
    }

    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// A value of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The body as JSON, or what is wrong with it.
    pub fn json(&self) -> Result<Value, String> {
        self.json_named("")
    }

    /// The same where a body without a type is JSON.
    pub fn json_by_default(&self) -> Result<Value, String> {
        self.json_named("application/json")
    }

    fn json_named(&self, usual: &str) -> Result<Value, String> {
        let media_type = self.header("content-type").unwrap_or(usual);
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(format!("expected content-type application/json, not {media_type:?}"));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err("expected an object".to_owned()),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// Whether a key may be used: all may but those with `wrong` in them.
pub fn is_good_key(key: &str) -> bool {
    !key.is_empty() && !key.contains("wrong")
}
