//! Unary gRPC callouts: plain data for whoever does the input and output.

use crate::effect::CalloutToken;
use crate::headers::HeaderMap;
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
