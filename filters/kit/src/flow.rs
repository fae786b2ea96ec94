//! What a filter wants to happen next.

use crate::Callout;
use std::borrow::Cow;

/// The outcome of one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// The exchange goes on.
    Continue,
    /// From a head callback: the filter wants to see the whole body, of at most `limit` bytes. The shell removes
    /// `content-length` (the body may change, the head goes on before it), and calls the body callback once, when
    /// the body has ended, by end of stream or by trailers. A longer body is answered with what [`Stream::on_request_too_large`] says on the request side and
    /// resets the stream on the response side. Without a body the body callback is not called.
    /// From a body callback it means [`Flow::Continue`].
    Buffer {
        /// Largest body in bytes.
        limit: usize,
    },
    /// From a head callback: nothing goes on until the whole body is there, of at most `limit` bytes.
    /// Then [`Stream::on_held_request`] or [`Stream::on_held_response`] runs once, with the head still editable. Without a body it runs at once, with an
    /// empty one. A longer body is answered with what [`Stream::on_request_too_large`] or [`Stream::on_response_too_large`] says.
    /// The host has to be set up for it; a response is to be held only where the request was ([`Stream::on_held_request`] ran, with a body).
    /// From any other callback it means [`Flow::Continue`].
    ///
    /// [`Stream::on_held_response`]: crate::Stream::on_held_response
    /// [`Stream::on_request_too_large`]: crate::Stream::on_request_too_large
    /// [`Stream::on_response_too_large`]: crate::Stream::on_response_too_large
    /// [`Stream::on_request_head`]: crate::Stream::on_request_head
    /// [`Stream::on_held_request`]: crate::Stream::on_held_request
    Hold {
        /// Largest body in bytes.
        limit: usize,
    },
    /// From [`Stream::on_response_head`] only: the filter wants to see the body as it comes. The shell removes `content-length`, and calls
    /// [`Stream::on_response_chunk`] for each piece; what that puts in its place goes on at once. A response without a body has no pieces.
    /// From any other callback it means [`Flow::Continue`].
    ///
    /// [`Stream::on_response_head`]: crate::Stream::on_response_head
    /// [`Stream::on_response_chunk`]: crate::Stream::on_response_chunk
    Stream,
    /// From [`Stream::on_request_head`], [`Stream::on_held_request`] and [`Stream::on_answer`]: nothing goes on until the service has
    /// answered, or could not be asked. Then [`Stream::on_answer`] runs once. A module that calls names the phase `call` in `main!`.
    /// From any other callback it means [`Flow::Continue`].
    ///
    /// [`Stream::on_request_head`]: crate::Stream::on_request_head
    /// [`Stream::on_held_request`]: crate::Stream::on_held_request
    /// [`Stream::on_answer`]: crate::Stream::on_answer
    Call(Callout),
    /// The client gets this answer, the upstream sees nothing of the request any more. Not possible once the response
    /// head has gone out: from a response body callback it resets the stream.
    Reply(Reply),
}

/// An answer made by a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Further response headers; the host adds `content-length`.
    pub headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// The body, may be empty.
    pub body: Vec<u8>,
    /// gRPC status for requests with a gRPC content type; `None` lets the host derive one from `status`.
    pub grpc_status: Option<i32>,
    /// Short machine-readable reason for access logs (`%RESPONSE_CODE_DETAILS%`); no blanks.
    pub details: &'static str,
}

impl Reply {
    /// A reply without headers and body.
    pub fn status(status: u16, details: &'static str) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), grpc_status: None, details }
    }

    /// 413 for a body over the limit, in Envoy's words.
    pub fn too_large() -> Self {
        Self::status(413, "request_payload_too_large").text("Payload Too Large")
    }

    /// The same with a plain text body.
    #[must_use]
    pub fn text(mut self, body: &str) -> Self {
        self.headers.push(("content-type".into(), b"text/plain".to_vec()));
        self.body = body.as_bytes().to_vec();
        self
    }
}
