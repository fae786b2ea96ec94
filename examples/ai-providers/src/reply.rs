//! What is answered, before any wish is granted.

use crate::sse;
use crate::text;
use crate::wishes::Wishes;
use serde_json::Value;

/// An answer with an error status, where a request cannot be served.
pub type Refused = Box<Reply>;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers, `content-type` among them.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Body,
    /// What the request wishes for.
    pub wishes: Wishes,
}

/// The body of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Sent at once.
    Whole(Vec<u8>),
    /// Sent piece by piece.
    Stream(Stream),
}

/// A stream of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// One event each.
    pub events: Vec<Vec<u8>>,
    /// How this provider tells an error in a stream.
    pub error: Vec<u8>,
    /// An event that nobody can read.
    pub garbage: Vec<u8>,
}

impl Stream {
    /// Server-sent events.
    pub fn sse(events: Vec<Vec<u8>>, error: Vec<u8>) -> Self {
        Self { events, error, garbage: sse::garbage() }
    }
}

impl Reply {
    /// JSON.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::whole(status, "application/json", text::write(value).into_bytes())
    }

    /// Anything.
    pub fn whole(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: Body::Whole(body), wishes: Wishes::default() }
    }

    /// A stream, with status 200.
    pub fn stream(content_type: &str, stream: Stream) -> Self {
        let headers = vec![("content-type", content_type.to_owned()), ("cache-control", "no-cache".to_owned())];
        Self { status: 200, headers, body: Body::Stream(stream), wishes: Wishes::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With what the request wishes for.
    #[must_use]
    pub fn wishing(mut self, wishes: &Wishes) -> Self {
        self.wishes = wishes.clone();
        self
    }
}
