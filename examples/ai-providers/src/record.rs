//! The requests that came in, for tests to look at.

use crate::call::Call;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;

/// So many are kept.
const KEPT: usize = 200;

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// `GET`, `POST`..
    pub method: String,
    /// With its query, as it was sent.
    pub path: String,
    /// Names and values, in the order of arrival of each name.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are no UTF-8 are replaced.
    pub body: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
}

impl Recorded {
    /// A request, to be kept.
    pub fn new(call: &Call, version: &str) -> Self {
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Self {
            method: call.method.clone(),
            path: format!("{}{query}", call.path),
            headers: call.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(&call.body),
            version: version.to_owned(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The last requests.
#[derive(Debug, Default)]
pub struct Record(VecDeque<Recorded>);

impl Record {
    /// Adds one; the oldest may go.
    pub fn add(&mut self, request: Recorded) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<Recorded> {
        self.0.iter().cloned().collect()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
