//! What a service answers.

use crate::Unit;

/// `RateLimitResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Response {
    /// [`Code::OverLimit`] if any descriptor is.
    #[prost(enumeration = "Code", tag = "1")]
    pub overall_code: i32,
    /// For each descriptor, in the order of the request; Limitador sends none.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<Status>,
    /// For the client's response.
    #[prost(message, repeated, tag = "3")]
    pub response_headers_to_add: Vec<Header>,
    /// For the request, on its way to the upstream.
    #[prost(message, repeated, tag = "4")]
    pub request_headers_to_add: Vec<Header>,
    /// Body of a refusal.
    #[prost(bytes = "vec", tag = "5")]
    pub raw_body: Vec<u8>,
}

/// `RateLimitResponse.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// Says nothing; also what a number beyond these is read as.
    Unknown = 0,
    /// The hits may pass.
    Ok = 1,
    /// They may not.
    OverLimit = 2,
}

/// `RateLimitResponse.DescriptorStatus`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Status {
    /// The same for one descriptor.
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    /// The limit that was looked at; absent if there is none for this descriptor.
    #[prost(message, optional, tag = "2")]
    pub current_limit: Option<CurrentLimit>,
    /// Hits that are left in this window.
    #[prost(uint32, tag = "3")]
    pub limit_remaining: u32,
    /// Until the window ends.
    #[prost(message, optional, tag = "4")]
    pub duration_until_reset: Option<Duration>,
}

/// `RateLimitResponse.RateLimit`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CurrentLimit {
    /// Hits in each unit of time.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    /// The unit of time.
    #[prost(enumeration = "Unit", tag = "2")]
    pub unit: i32,
    /// What the service calls it; mostly empty.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    /// May be negative on the wire.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// 0 to 999,999,999, with the sign of the seconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `envoy.config.core.v3.HeaderValue`. A sender fills one of the values; neither has to be fit for a header.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Header {
    /// In any case.
    #[prost(string, tag = "1")]
    pub key: String,
    /// As text.
    #[prost(string, tag = "2")]
    pub value: String,
    /// As bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub raw_value: Vec<u8>,
}
