//! What leaves the chain, and callouts: plain data for whoever does the input and output.

use crate::headers::HeaderMap;
use std::time::Duration;

/// One stream of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// The number that log records carry.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What comes out of the chain's ends. A `true` ends that direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// To the upstream.
    RequestHeaders(HeaderMap, bool),
    /// To the upstream.
    RequestData(Vec<u8>, bool),
    /// To the upstream; ends the request.
    RequestTrailers(HeaderMap),
    /// To the client.
    ResponseHeaders(HeaderMap, bool),
    /// To the client.
    ResponseData(Vec<u8>, bool),
    /// To the client; ends the response.
    ResponseTrailers(HeaderMap),
    /// Both directions end without a proper end.
    Reset(ResetReason),
}

/// Why a stream is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// A filter asked for it (`proxy_close_stream`).
    Filter,
    /// A local reply came after the response headers had gone to the client; its details.
    ReplyTooLate(String),
}

/// A response that the host makes up itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// The status code, sent as it is.
    pub status: u32,
    /// The body; empty means none.
    pub body: Vec<u8>,
    /// More headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The gRPC status for gRPC requests.
    pub grpc_status: Option<u32>,
    /// Why, in one word, for logs (`%RESPONSE_CODE_DETAILS%`).
    pub details: String,
}

/// Names a callout that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalloutToken(pub(crate) u64);

/// An HTTP request that a guest makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// For `Worker::answer_callout`.
    pub token: CalloutToken,
    /// The plugin that asks.
    pub plugin: String,
    /// The cluster's name.
    pub cluster: String,
    /// All headers, with `:method`, `:path` and `:authority`.
    pub headers: HeaderMap,
    /// The body, maybe empty.
    pub body: Vec<u8>,
    /// The trailers, maybe empty.
    pub trailers: HeaderMap,
    /// How long to wait; `None` waits for ever.
    pub timeout: Option<Duration>,
}

/// How a callout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A whole response.
    Response {
        /// The headers, with `:status`.
        headers: HeaderMap,
        /// The body.
        body: Vec<u8>,
        /// The trailers, maybe empty.
        trailers: HeaderMap,
    },
    /// No answer within the time.
    Timeout,
    /// The connection could not be made.
    ConnectFailure,
    /// The connection ended before the response headers.
    Reset,
    /// The cluster has no host to ask.
    NoHealthyUpstream,
}

impl Answer {
    /// The response that the guest sees: Envoy makes failures up as responses too.
    pub(crate) fn into_response(self) -> (HeaderMap, Vec<u8>, HeaderMap) {
        let (status, text) = match self {
            Self::Response { headers, body, trailers } => return (headers, body, trailers),
            Self::Timeout => ("504", "upstream request timeout"),
            Self::ConnectFailure => (
                "503",
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
            ),
            Self::Reset => (
                "503",
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ),
            Self::NoHealthyUpstream => ("503", "no healthy upstream"),
        };
        let length = text.len().to_string();
        let headers =
            [(":status", status), ("content-length", &length), ("content-type", "text/plain")].into_iter().collect();
        (headers, text.as_bytes().to_vec(), HeaderMap::new())
    }
}
