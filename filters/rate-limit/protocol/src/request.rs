//! What a limiter asks.

use crate::Unit;

/// `RateLimitRequest`: may this many hits pass? Asking takes them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Request {
    /// Name of the set of limits; the service knows it.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What the hits count against; each descriptor has a count of its own.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
    /// Hits for each descriptor that does not say otherwise. 0 means 1.
    #[prost(uint32, tag = "3")]
    pub hits_addend: u32,
}

/// `RateLimitDescriptor`: what is counted together.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Descriptor {
    /// The path down the service's tree of limits, in this order; at least one entry.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// A limit in place of the one that the service has configured.
    #[prost(message, optional, tag = "2")]
    pub limit: Option<Override>,
    /// Hits of this descriptor, in place of those of the request. 0 takes nothing: it only looks. A `UInt64Value`; Envoy allows at most
    /// 1,000,000,000. envoyproxy/ratelimit honours it, Limitador does not.
    #[prost(message, optional, tag = "3")]
    pub hits_addend: Option<u64>,
    /// The hits are given back. Newer than the rest: a service that does not know it takes them.
    #[prost(bool, tag = "4")]
    pub is_negative_hits: bool,
}

/// `RateLimitDescriptor.Entry`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Entry {
    /// May not be empty.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Empty where the service tells by the key alone.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `RateLimitDescriptor.RateLimitOverride`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Override {
    /// Hits in each unit of time.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    /// The unit of time.
    #[prost(enumeration = "Unit", tag = "2")]
    pub unit: i32,
}
