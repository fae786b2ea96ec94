//! Bytes of a provider's streamed answer in, whole events out.
//!
//! [`SseDecoder`] reads server-sent events and [`EventStreamDecoder`] the frames of AWS; [`ContentDecoder`] takes a content encoding off before
//! that. All are fed as bytes arrive, give each event to a closure once it is complete, and give the same in the same order however the bytes were
//! split. An event that is complete within one feed is lent from it without a copy; only an incomplete tail is kept, never more than the limit that the
//! decoder was made with. After an error a decoder holds no memory and answers every call with that error.

mod buffer;
mod content;
mod error;
mod event_stream;
mod sse;

pub use content::ContentDecoder;
pub use error::FramingError;
pub use event_stream::{EventStreamDecoder, Frame, HeaderValue, Headers, encode_frame};
pub use sse::{SseDecoder, SseItem};
