mod deflate;
mod gzip;
mod inflate;

use crate::FramingError;
use deflate::Deflate;
use gzip::Gzip;

/// The most bytes of one output piece.
const PIECE: usize = 16 * 1024;

/// Takes a `content-encoding` off a body, in any pieces: gzip (RFC 1952, several members too), deflate (RFC 1950, and 1951 as some send it) or
/// none.
///
/// A body of no bytes decodes to nothing whatever its encoding: answers without content are sent like that.
#[derive(Debug)]
pub struct ContentDecoder {
    coding: Coding,
    limit: usize,
    /// How many bytes may still come out.
    left: usize,
    failed: Option<FramingError>,
}

#[derive(Debug)]
enum Coding {
    Identity,
    Gzip(Gzip),
    Deflate(Deflate),
}

impl ContentDecoder {
    /// The decoder for the value of a `content-encoding` header, in any case: `gzip`, `x-gzip`, `deflate`, `identity` or nothing. `None` for others, and
    /// for lists of encodings.
    #[must_use]
    pub fn for_encoding(value: &[u8]) -> Option<Self> {
        let coding = match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Coding::Identity,
            b"gzip" | b"x-gzip" => Coding::Gzip(Gzip::default()),
            b"deflate" => Coding::Deflate(Deflate::default()),
            _ => return None,
        };
        Some(Self { coding, limit: usize::MAX, left: usize::MAX, failed: None })
    }

    /// Lets at most this many bytes out, then answers [`FramingError::TooLong`]. Without it one feed can give about a thousand times its length.
    #[must_use]
    pub fn with_limit(self, max_output_bytes: usize) -> Self {
        Self { limit: max_output_bytes, left: max_output_bytes, ..self }
    }

    /// Feeds bytes; `each` gets what they decode to in pieces of at most 16 KiB, none empty.
    ///
    /// # Errors
    /// [`FramingError::BadEncoding`] or [`FramingError::TooLong`], now and from then on. What came out before cannot be trusted to be what was
    /// compressed: the checksum stands at the end.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (limit, left) = (self.limit, &mut self.left);
        let mut give = |decoded: &[u8]| {
            let allowed = decoded.split_at_checked(*left).map_or(decoded, |(allowed, _)| allowed);
            if limit != usize::MAX {
                *left -= allowed.len();
            }
            allowed.chunks(PIECE).for_each(&mut *each);
            if allowed.len() < decoded.len() { Err(FramingError::TooLong { limit }) } else { Ok(()) }
        };
        let result = match &mut self.coding {
            Coding::Identity => give(bytes),
            Coding::Gzip(gzip) => gzip.feed(bytes, &mut give),
            Coding::Deflate(deflate) => deflate.feed(bytes, &mut give),
        };
        result.map_err(|error| self.fail(error))
    }

    /// The end of the body, after which nothing may be fed.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] if more bytes had to come, or what [`ContentDecoder::feed`] answered if that was an error.
    pub fn end(&mut self) -> Result<(), FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let complete = match &self.coding {
            Coding::Identity => true,
            Coding::Gzip(gzip) => gzip.is_complete(),
            Coding::Deflate(deflate) => deflate.is_complete(),
        };
        if complete { Ok(()) } else { Err(self.fail(FramingError::Truncated)) }
    }

    fn fail(&mut self, error: FramingError) -> FramingError {
        self.coding = Coding::Identity;
        self.failed = Some(error);
        error
    }
}
