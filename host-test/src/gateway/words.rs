//! The replies that Envoy's router and connection manager make, in Envoy's words (measured on 1.40).

use crate::LocalReply;

/// Why there is no answer from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The cluster has no endpoint (or DNS knows none).
    NoHost,
    /// The connection was refused or reset while it was made.
    Connect,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The connection ended before the response head was complete.
    Ended,
    /// What came is not the HTTP that the cluster speaks.
    NotHttp,
    /// HTTP/2: the upstream reset the stream before the response head.
    Reset,
    /// HTTP/2: the upstream did not take the stream.
    StreamRefused,
    /// The cluster's servers speak TLS.
    Tls,
}

impl Failure {
    /// The reply, and the response flag of the access log.
    pub(crate) fn reply(self, attempts: u32) -> (LocalReply, &'static str) {
        let (status, reason, flag) = match self {
            Self::NoHost => return (text(503, "no healthy upstream", "no_healthy_upstream"), "UH"),
            Self::Tls => {
                let why = "upstream TLS is not served by the embedded gateway";
                return (text(503, why, "upstream_tls_not_served"), "UF");
            }
            Self::Connect => (503, "remote connection failure", "UF"),
            Self::ConnectTimeout => (503, "connection timeout", "UF"),
            Self::Ended => (503, "connection termination", "UC"),
            Self::Reset => (503, "remote reset", "UR"),
            Self::StreamRefused => (503, "remote refused stream reset", "UR"),
            Self::NotHttp => (502, "protocol error", "UPE"),
        };
        let latest = if attempts > 1 { "retried and the latest " } else { "" };
        let body = format!("upstream connect error or disconnect/reset before headers. {latest}reset reason: {reason}");
        let details = format!("upstream_reset_before_response_started{{{}}}", reason.replace(' ', "_"));
        (text(status, &body, &details), flag)
    }
}

/// No route, no cluster: a status without a body.
pub(crate) fn bare(status: u32, details: &str) -> LocalReply {
    text(status, "", details)
}

/// A reply with a text.
pub(crate) fn text(status: u32, body: &str, details: &str) -> LocalReply {
    LocalReply { status, body: body.as_bytes().to_vec(), details: details.to_owned(), ..LocalReply::default() }
}

/// The route sends the client elsewhere.
pub(crate) fn redirect(status: u16, location: Vec<u8>) -> LocalReply {
    let headers = vec![(b"location".to_vec(), location)];
    LocalReply { headers, ..text(u32::from(status), "", "direct_response") }
}

/// The route's timeout has passed.
pub(crate) fn request_timeout() -> LocalReply {
    text(504, "upstream request timeout", "response_timeout")
}

/// The last attempt has taken its time.
pub(crate) fn attempt_timeout() -> LocalReply {
    text(504, "upstream request timeout", "upstream_per_try_timeout")
}

/// More of a request came than is kept for another attempt, while none was under way.
pub(crate) fn too_large_to_retry() -> LocalReply {
    text(507, "exceeded request buffer limit while retrying upstream", "request_payload_exceeded_retry_buffer_limit")
}

/// The stream was silent for too long.
pub(crate) fn stream_timeout(request_complete: bool) -> LocalReply {
    text(if request_complete { 504 } else { 408 }, "stream timeout", "stream_idle_timeout")
}
