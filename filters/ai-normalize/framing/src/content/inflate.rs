use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress};

use crate::FramingError;

/// Takes decoded bytes, lent from the window; an error stops the decoding.
pub(super) type Give<'g> = dyn FnMut(&[u8]) -> Result<(), FramingError> + 'g;

/// One deflate stream (RFC 1951), maybe in a zlib wrapper (RFC 1950) whose checksum is then verified.
///
/// It writes into its window and lends from there, so that nothing is copied, and all that comes before a damaged byte is given out however the input is
/// split.
pub(super) struct Inflate {
    state: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Where the window is written next.
    at: usize,
    /// Whether the window is full, so that every distance leads to something that this stream wrote.
    wrapped: bool,
    flags: u32,
}

impl Inflate {
    pub(super) fn new(zlib: bool) -> Self {
        let flags = TINFL_FLAG_HAS_MORE_INPUT | if zlib { TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
        Self { state: Box::default(), window: vec![0; TINFL_LZ_DICT_SIZE].into(), at: 0, wrapped: false, flags }
    }

    /// Makes it as new, in its old memory.
    pub(super) fn restart(&mut self) {
        self.state.init();
        self.at = 0;
        self.wrapped = false;
    }

    /// What follows the end of the stream; `None` if that is yet to come.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8], give: &mut Give<'_>) -> Result<Option<&'a [u8]>, FramingError> {
        let mut rest = bytes;
        loop {
            // Until the window is full it is announced as a buffer that does not wrap: only then are distances checked that lead to before the start of
            // the stream, where zeros stand or what an earlier member wrote.
            let flags = self.flags | if self.wrapped { 0 } else { TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF };
            let (status, read, written) = decompress(&mut self.state, rest, &mut self.window, self.at, flags);
            rest = rest.get(read..).unwrap_or_default();
            let end = self.at.saturating_add(written);
            if written > 0 {
                give(self.window.get(self.at..end).unwrap_or_default())?;
            }
            self.wrapped |= end >= self.window.len();
            self.at = if end < self.window.len() { end } else { 0 };
            match status {
                TINFLStatus::Done => return Ok(Some(rest)),
                TINFLStatus::NeedsMoreInput => return Ok(None),
                TINFLStatus::HasMoreOutput => {}
                _ => return Err(FramingError::BadEncoding),
            }
        }
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate").field("at", &self.at).finish_non_exhaustive()
    }
}
