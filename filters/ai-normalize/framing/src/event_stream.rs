mod encode;
mod frame;

pub use encode::encode_frame;
pub use frame::{Frame, HeaderValue, Headers};

use crate::FramingError;
use crate::buffer::{append, empty};

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// A frame without headers and payload: the prelude and the checksum at the end.
const SMALLEST: u32 = 16;

/// Frames of `application/vnd.amazon.eventstream` from bytes in any pieces.
#[derive(Clone, Debug)]
pub struct EventStreamDecoder {
    limit: usize,
    /// The beginning of a frame whose end has not been seen.
    partial: Vec<u8>,
    /// The length of that frame; 0 until its prelude is complete and checked.
    total: usize,
    failed: Option<FramingError>,
}

impl EventStreamDecoder {
    /// `max_frame_bytes` bounds a whole frame, with its lengths and checksums.
    #[must_use]
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { limit: max_frame_bytes, partial: Vec::new(), total: 0, failed: None }
    }

    /// Feeds bytes; `each` gets each frame once it is complete and checked, in order.
    ///
    /// # Errors
    /// The first frame that is malformed or too long, now and from then on.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Frame<'_>)) -> Result<(), FramingError> {
        self.guard(|decoder| decoder.read(bytes, each))
    }

    /// The end of the input. `each` is never called, as a frame is given out with its last byte.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] within a frame, or what [`EventStreamDecoder::feed`] answered if that was an error.
    pub fn end(&mut self, _each: &mut dyn FnMut(Frame<'_>)) -> Result<(), FramingError> {
        self.guard(|decoder| if decoder.partial.is_empty() { Ok(()) } else { Err(FramingError::Truncated) })
    }

    fn guard(&mut self, step: impl FnOnce(&mut Self) -> Result<(), FramingError>) -> Result<(), FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|error| *self = Self { failed: Some(*error), ..Self::new(self.limit) })
    }

    fn read(&mut self, bytes: &[u8], each: &mut dyn FnMut(Frame<'_>)) -> Result<(), FramingError> {
        let mut rest = bytes;
        if !self.partial.is_empty() {
            rest = self.complete(rest, each)?;
        }
        // A frame that is still incomplete has taken all.
        while let Some(prelude) = rest.first_chunk() {
            self.total = checked_total(prelude, self.limit)?;
            let Some((frame, tail)) = rest.split_at_checked(self.total) else { break };
            each(Frame::parse(frame)?);
            self.total = 0;
            rest = tail;
        }
        append(&mut self.partial, rest, self.limit);
        Ok(())
    }

    /// Goes on with the frame that is kept; returns what follows it.
    fn complete<'a>(&mut self, bytes: &'a [u8], each: &mut dyn FnMut(Frame<'_>)) -> Result<&'a [u8], FramingError> {
        let mut rest = bytes;
        if self.total == 0 {
            rest = self.fill(rest, PRELUDE);
            let Some(prelude) = self.partial.first_chunk() else { return Ok(rest) };
            self.total = checked_total(prelude, self.limit)?;
        }
        rest = self.fill(rest, self.total);
        if self.partial.len() == self.total {
            each(Frame::parse(&self.partial)?);
            empty(&mut self.partial);
            self.total = 0;
        }
        Ok(rest)
    }

    fn fill<'a>(&mut self, bytes: &'a [u8], goal: usize) -> &'a [u8] {
        let missing = goal.saturating_sub(self.partial.len()).min(bytes.len());
        let (more, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        append(&mut self.partial, more, self.limit);
        rest
    }
}

/// The length of the frame that begins with these bytes. Its checksum comes first: a damaged length would make the decoder wait for bytes
/// that never come.
fn checked_total(prelude: &[u8; PRELUDE], limit: usize) -> Result<usize, FramingError> {
    let [t0, t1, t2, t3, h0, h1, h2, h3, c0, c1, c2, c3] = *prelude;
    let (total, headers) = (u32::from_be_bytes([t0, t1, t2, t3]), u32::from_be_bytes([h0, h1, h2, h3]));
    if crc32fast::hash(&[t0, t1, t2, t3, h0, h1, h2, h3]) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(FramingError::BadPreludeCrc);
    }
    if total.checked_sub(SMALLEST).is_none_or(|room| headers > room) {
        return Err(FramingError::BadLength);
    }
    usize::try_from(total).ok().filter(|total| *total <= limit).ok_or(FramingError::TooLong { limit })
}
