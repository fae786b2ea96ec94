//! The protocol between a limiter and a rate limit service: `envoy.service.ratelimit.v3.RateLimitService`, one unary gRPC method.
//!
//! Field numbers and meanings as in Envoy's API: `envoy/service/ratelimit/v3/rls.proto`, `envoy/extensions/common/ratelimit/v3/ratelimit.proto`,
//! `envoy/type/v3/ratelimit_unit.proto` and `envoy/config/core/v3/base.proto`. Fields that neither side here needs are left out; decoding skips them, as
//! it does any unknown field. Messages come from the other side of a connection: whatever a field says has to be expected.
//!
//! ```
//! use rate_limit_protocol::{Code, Descriptor, Entry, Message, Request, Response};
//!
//! let entries = vec![Entry { key: "user".into(), value: "alice".into() }];
//! let request = Request {
//!     domain: "shop".into(),
//!     descriptors: vec![Descriptor { entries, ..Descriptor::default() }],
//!     hits_addend: 1,
//! };
//! assert_eq!(Request::decode(request.encode_to_vec().as_slice()).unwrap(), request);
//! // a message of no bytes is a valid one, and says nothing
//! assert_eq!(Response::decode(&[][..]).unwrap().overall_code(), Code::Unknown);
//! ```

mod request;
mod response;
mod unit;

pub use prost::{DecodeError, Message};
pub use request::{Descriptor, Entry, Override, Request};
pub use response::{Code, CurrentLimit, Duration, Header, Response, Status};
pub use unit::Unit;

/// Full name of the service.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";

/// Its one method: [`Request`] there, [`Response`] back.
pub const METHOD: &str = "ShouldRateLimit";
