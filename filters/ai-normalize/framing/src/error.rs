use std::fmt;

/// Why the bytes of an answer are not what they claim to be. Final for the decoder that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// An event, a frame or a decoded body is longer than allowed.
    TooLong {
        /// The decoder's limit in bytes.
        limit: usize,
    },
    /// The input ended within a frame or a compressed body.
    Truncated,
    /// A frame's first eight bytes do not match their checksum, so that its length cannot be trusted.
    BadPreludeCrc,
    /// A frame does not match its checksum.
    BadMessageCrc,
    /// The lengths in a frame contradict each other.
    BadLength,
    /// A frame's headers do not fill the space that was announced for them, or have an unknown type.
    BadHeader,
    /// A body is not what its content encoding makes, or does not match its checksum.
    BadEncoding,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "an event or body is longer than the limit of {limit} bytes"),
            Self::Truncated => f.write_str("the answer ended before it was complete"),
            Self::BadPreludeCrc => f.write_str("the checksum of a frame's lengths does not match"),
            Self::BadMessageCrc => f.write_str("the checksum of a frame does not match"),
            Self::BadLength => f.write_str("the lengths of a frame contradict each other"),
            Self::BadHeader => f.write_str("a header of a frame is malformed"),
            Self::BadEncoding => f.write_str("the body does not match its content encoding"),
        }
    }
}

impl std::error::Error for FramingError {}
