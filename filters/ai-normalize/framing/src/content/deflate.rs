use super::inflate::{Give, Inflate};
use crate::FramingError;

/// The encoding `deflate`. By RFC 9110 that is a zlib stream (RFC 1950), but some servers send what that would wrap (RFC 1951): the first two bytes
/// tell.
#[derive(Debug, Default)]
pub(super) enum Deflate {
    #[default]
    Start,
    /// One byte has been seen.
    First(u8),
    Body(Inflate),
    Done,
}

impl Deflate {
    pub(super) fn feed(&mut self, bytes: &[u8], give: &mut Give<'_>) -> Result<(), FramingError> {
        let mut body = match (std::mem::take(self), bytes) {
            (state, []) => {
                *self = state;
                return Ok(());
            }
            (Self::Done, _) => return Err(FramingError::BadEncoding),
            (Self::Body(body), _) => body,
            (Self::Start, [first]) => {
                *self = Self::First(*first);
                return Ok(());
            }
            (Self::Start, [first, second, ..]) => begin(*first, *second),
            (Self::First(first), [second, ..]) => {
                let mut body = begin(first, *second);
                body.feed(&[first], give)?;
                body
            }
        };
        *self = match body.feed(bytes, give)? {
            None => Self::Body(body),
            Some([]) => Self::Done,
            Some(_) => return Err(FramingError::BadEncoding),
        };
        Ok(())
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Start | Self::Done)
    }
}

fn begin(first: u8, second: u8) -> Inflate {
    // Method 8, a window of at most 32 KiB, and a check that makes a multiple of 31 of both. As the start of a bare stream this would be a stored block with
    // padding that no encoder writes.
    let zlib = first & 0x8f == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31);
    Inflate::new(zlib)
}
