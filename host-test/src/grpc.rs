//! Unary gRPC callouts: plain data for whoever does the input and output.

use crate::effect::CalloutToken;
use crate::headers::{HeaderMap, Role};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The gRPC status of a service that cannot be reached.
const UNAVAILABLE: u32 = 14;

/// A unary gRPC request that a guest makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCallout {
    /// For `Worker::answer_grpc`.
    pub token: CalloutToken,
    /// The plugin that asks.
    pub plugin: String,
    /// The cluster's name.
    pub cluster: String,
    /// The `:authority` that the guest wants instead of the cluster's name.
    pub authority: Option<String>,
    /// The service with its package, for example `grpc.health.v1.Health`.
    pub service: String,
    /// The method.
    pub method: String,
    /// What goes along with the request's own headers.
    pub metadata: HeaderMap,
    /// The serialized message, without a frame.
    pub message: Vec<u8>,
    /// How long to wait; `None` waits for ever.
    pub timeout: Option<Duration>,
}

impl GrpcCallout {
    /// The head of the HTTP request that carries the message, in the order in which Envoy sends it.
    pub fn request_head(&self) -> HeaderMap {
        let mut head = HeaderMap::new();
        head.add(":method", "POST");
        head.add(":path", format!("/{}/{}", self.service, self.method));
        head.add(":scheme", self.metadata.get(b":scheme").unwrap_or(b"http"));
        head.add(":authority", self.authority.as_ref().unwrap_or(&self.cluster).as_str());
        head.add("te", "trailers");
        head.add("grpc-timeout", grpc_timeout(self.timeout.unwrap_or_default()));
        head.add("content-type", "application/grpc");
        for (name, value) in self.metadata.iter() {
            if name != b":scheme" && !is_binary(name) {
                head.append(Role::Request, name, value);
            }
        }
        for (name, value) in self.metadata.iter().filter(|(name, _)| is_binary(name)) {
            head.append(Role::Request, name, &base64(value));
        }
        head.replace("x-envoy-internal", "true");
        if let Some(timeout) = self.timeout {
            head.replace("x-envoy-expected-rq-timeout-ms", timeout.as_millis().to_string());
        }
        head
    }

    /// The message behind its flag and length, as it goes out.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend(u32::try_from(self.message.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&self.message);
        frame
    }
}

fn is_binary(name: &[u8]) -> bool {
    name.ends_with(b"-bin")
}

/// A `grpc-timeout` has at most eight digits; coarser units make room.
fn grpc_timeout(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let (millis, seconds) = (timeout.as_millis(), u128::from(timeout.as_secs()));
    if millis <= MOST { format!("{millis}m") } else { format!("{}S", seconds.min(MOST)) }
}

/// Standard base64 with padding, the form of binary metadata.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
    out
}

/// How a gRPC callout ended. A guest sees nothing of the metadata, as in Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrpcAnswer {
    /// The serialized message of an answer with status 0, without a frame.
    Message(Vec<u8>),
    /// Anything else, failures to reach the service included.
    Failed {
        /// The gRPC status, never 0.
        status: u32,
        /// The status message; what Envoy makes up has its details in braces behind.
        message: String,
    },
}

impl GrpcAnswer {
    /// No answer within the time. Envoy says 14 here, not 4.
    pub fn timeout() -> Self {
        Self::unavailable("upstream request timeout{response_timeout}")
    }

    /// The connection was refused.
    pub fn refused() -> Self {
        Self::unavailable(
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
             failure{upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:\
             _Connection_refused}}",
        )
    }

    /// The cluster has no host to ask.
    pub fn no_healthy_upstream() -> Self {
        Self::unavailable("no healthy upstream{no_healthy_upstream}")
    }

    pub(crate) fn unknown_cluster() -> Self {
        Self::unavailable("Cluster not available")
    }

    pub(crate) fn unavailable(message: &str) -> Self {
        Self::Failed { status: UNAVAILABLE, message: message.to_owned() }
    }
}

/// The gRPC callouts of a VM.
#[derive(Debug, Default)]
pub(crate) struct GrpcCalls {
    /// Not answered yet: the guest's token, and the root context that gets the answer.
    pub(crate) open: BTreeMap<u32, u32>,
    /// To be sent, with the guest's token.
    pub(crate) outgoing: Vec<(u32, GrpcCallout)>,
    /// Tokens of calls that the guest has given up since they were sent.
    pub(crate) cancelled: Vec<u32>,
    /// Failed while the guest made them: root context, token, answer. Told when the running callback has returned.
    pub(crate) failed: VecDeque<(u32, u32, GrpcAnswer)>,
}

impl GrpcCalls {
    /// Gives a call of a root context up. False when there is none.
    pub(crate) fn cancel(&mut self, root: u32, token: u32) -> bool {
        if self.open.get(&token) != Some(&root) {
            return false;
        }
        self.open.remove(&token);
        let before = self.outgoing.len();
        self.outgoing.retain(|(other, _)| *other != token);
        if self.outgoing.len() == before {
            self.cancelled.push(token);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_at_most_eight_digits() {
        for (millis, text) in [(0, "0m"), (250, "250m"), (99_999_999, "99999999m"), (100_000_000, "100000S")] {
            assert_eq!(grpc_timeout(Duration::from_millis(millis)), text);
        }
        assert_eq!(grpc_timeout(Duration::MAX), "99999999S");
    }

    #[test]
    fn binary_metadata_is_base64() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\0\xff\xfe\xfd", "AP/+/Q==")]
        {
            assert_eq!(String::from_utf8(base64(bytes)).unwrap(), text);
        }
    }
}
