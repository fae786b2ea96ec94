//! Asking a service.

/// A call of a gRPC service: one message there, one back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callout {
    /// The host's name for the servers to ask.
    pub cluster: String,
    /// Full name of the service, as in `envoy.service.ratelimit.v3.RateLimitService`.
    pub service: &'static str,
    /// Name of the method.
    pub method: &'static str,
    /// The request message, encoded.
    pub message: Vec<u8>,
    /// Longest wait in milliseconds, at least 1: no call waits for ever.
    pub timeout_ms: u32,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The response message, encoded; made by the service, so it may be anything.
    Message(Vec<u8>),
    /// There is none; a status of gRPC. 14 (UNAVAILABLE) also stands for a timeout, for a host that could not be reached, and for a
    /// call that the host refused to make.
    Failed(u32),
}

impl Answer {
    /// A call that could not be made.
    pub const UNAVAILABLE: Self = Self::Failed(14);
}
