use std::mem;

use crate::FramingError;
use crate::buffer::{append, empty};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a stream of server-sent events holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseItem<'a> {
    /// An event that has data, maybe of no bytes.
    Event {
        /// The value of its last `event` line; empty if there is none.
        name: &'a [u8],
        /// The values of its `data` lines, joined by LF.
        data: &'a [u8],
    },
    /// The text of a comment line, without its colon and one space after that.
    Comment(&'a [u8]),
}

/// Server-sent events (WHATWG HTML, section 9.2) from bytes in any pieces.
///
/// Differs from a browser in one point: what the end of the input leaves open counts, since some providers leave the last blank line out. Bytes are
/// not checked to be UTF-8.
#[derive(Clone, Debug)]
pub struct SseDecoder {
    limit: usize,
    /// A line whose end has not been seen.
    line: Vec<u8>,
    /// The open event's name and data, as far as they came in earlier feeds or needed joining.
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR, whose line is already taken: an LF that follows belongs to it.
    after_cr: bool,
    /// So far there were no bytes but those of a BOM; they stand in `line`.
    at_start: bool,
    failed: Option<FramingError>,
}

/// The open event's parts that lie in the bytes of the current feed. They stand in for those of the decoder: `data` only if that has none.
#[derive(Default)]
struct Lent<'a> {
    name: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
}

enum Line<'a> {
    Blank,
    Comment(&'a [u8]),
    Name(&'a [u8]),
    Data(&'a [u8]),
    Ignored,
}

impl SseDecoder {
    /// `max_event_bytes` bounds what is kept: the name and data of an event and the line that is being read, together.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            line: Vec::new(),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
            failed: None,
        }
    }

    /// Feeds bytes; `each` gets each item once it is complete, in order.
    ///
    /// # Errors
    /// [`FramingError::TooLong`], now and from then on.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(SseItem<'_>)) -> Result<(), FramingError> {
        self.guard(|decoder| decoder.read(bytes, each))
    }

    /// The end of the input: a last line without an end counts, and so does an event without a blank line. The decoder is then as new.
    ///
    /// # Errors
    /// What [`SseDecoder::feed`] answered, if that was an error.
    pub fn end(&mut self, each: &mut dyn FnMut(SseItem<'_>)) -> Result<(), FramingError> {
        self.guard(|decoder| {
            decoder.extend_line(&[])?;
            decoder.take_kept_line(each);
            decoder.dispatch(&mut Lent::default(), each);
            *decoder = Self::new(decoder.limit);
            Ok(())
        })
    }

    fn guard(&mut self, step: impl FnOnce(&mut Self) -> Result<(), FramingError>) -> Result<(), FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        step(self).inspect_err(|error| *self = Self { failed: Some(*error), ..Self::new(self.limit) })
    }

    fn read(&mut self, bytes: &[u8], each: &mut dyn FnMut(SseItem<'_>)) -> Result<(), FramingError> {
        let mut rest = self.skip_bom(bytes);
        if rest.is_empty() {
            return Ok(());
        }
        if mem::take(&mut self.after_cr) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        if !self.line.is_empty() {
            let Some((line, tail)) = self.split_line(rest) else { return self.extend_line(rest) };
            self.extend_line(line)?;
            self.take_kept_line(each);
            rest = tail;
        }
        let mut lent = Lent::default();
        while let Some((line, tail)) = self.split_line(rest) {
            self.check(&lent, line.len())?;
            self.take_line(line, &mut lent, each);
            rest = tail;
        }
        self.check(&lent, rest.len())?;
        self.keep(&lent);
        append(&mut self.line, rest, self.limit);
        Ok(())
    }

    /// What follows a BOM at the start of the stream.
    fn skip_bom<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while self.at_start
            && let Some((first, tail)) = bytes.split_first()
        {
            if BOM.get(self.line.len()) != Some(first) {
                self.at_start = false;
                break;
            }
            bytes = tail;
            self.line.push(*first);
            if self.line.len() == BOM.len() {
                self.at_start = false;
                self.line.clear();
            }
        }
        bytes
    }

    /// The first line without its end, and what follows. A line that ends in CR does not wait for an LF: the next feed skips that.
    fn split_line<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = match bytes.first()? {
            b'\n' | b'\r' => 0,
            _ => memchr::memchr2(b'\n', b'\r', bytes)?,
        };
        let (line, end) = bytes.split_at_checked(at)?;
        match end {
            [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => Some((line, tail)),
            [b'\r', tail @ ..] => {
                self.after_cr = tail.is_empty();
                Some((line, tail))
            }
            _ => None,
        }
    }

    /// Whether `more` bytes of a line may be kept beside what is kept already. The same for any split: each line is measured in full.
    fn check(&self, lent: &Lent<'_>, more: usize) -> Result<(), FramingError> {
        let name = lent.name.unwrap_or(&self.name);
        let data = lent.data.unwrap_or(&self.data);
        let kept = name.len().saturating_add(data.len()).saturating_add(self.line.len());
        if kept.saturating_add(more) > self.limit {
            return Err(FramingError::TooLong { limit: self.limit });
        }
        Ok(())
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        self.check(&Lent::default(), bytes.len())?;
        append(&mut self.line, bytes, self.limit);
        Ok(())
    }

    fn take_line<'a>(&mut self, line: &'a [u8], lent: &mut Lent<'a>, each: &mut dyn FnMut(SseItem<'_>)) {
        match Line::parse(line) {
            Line::Data(value) if lent.data.is_none() && !self.has_data => lent.data = Some(value),
            Line::Data(value) => {
                self.keep_data(lent.data.take());
                self.keep_data(Some(value));
            }
            Line::Blank => self.dispatch(lent, each),
            Line::Name(value) => lent.name = Some(value),
            Line::Comment(text) => each(SseItem::Comment(text)),
            Line::Ignored => {}
        }
    }

    /// Takes the line that was kept, if there is one. It is the first of a feed, so that nothing of the open event is lent yet.
    fn take_kept_line(&mut self, each: &mut dyn FnMut(SseItem<'_>)) {
        let mut line = mem::take(&mut self.line);
        match Line::parse(&line) {
            // The line's own memory becomes the data: a long event is never held twice.
            Line::Data(value) if !self.has_data => {
                let start = line.len() - value.len();
                line.drain(..start);
                mem::swap(&mut line, &mut self.data);
                self.has_data = true;
            }
            Line::Data(value) => self.keep_data(Some(value)),
            Line::Name(value) => self.keep_name(value),
            Line::Comment(text) => each(SseItem::Comment(text)),
            Line::Blank | Line::Ignored => {}
        }
        empty(&mut line);
        self.line = line;
    }

    fn dispatch(&mut self, lent: &mut Lent<'_>, each: &mut dyn FnMut(SseItem<'_>)) {
        let name = lent.name.take().unwrap_or(&self.name);
        if let Some(data) = lent.data.take() {
            each(SseItem::Event { name, data });
        } else if self.has_data {
            each(SseItem::Event { name, data: &self.data });
            self.has_data = false;
            empty(&mut self.data);
        }
        empty(&mut self.name);
    }

    fn keep(&mut self, lent: &Lent<'_>) {
        if let Some(name) = lent.name {
            self.keep_name(name);
        }
        self.keep_data(lent.data);
    }

    fn keep_name(&mut self, name: &[u8]) {
        self.name.clear();
        append(&mut self.name, name, self.limit);
    }

    fn keep_data(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        if self.has_data {
            append(&mut self.data, b"\n", self.limit);
        }
        append(&mut self.data, value, self.limit);
        self.has_data = true;
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Self {
        let value = |name: &[u8]| match line.strip_prefix(name)? {
            [] => Some(&[][..]),
            [b':', value @ ..] => Some(value.strip_prefix(b" ").unwrap_or(value)),
            _ => None,
        };
        match line.first() {
            None => Self::Blank,
            Some(b':') => value(b"").map_or(Self::Ignored, Self::Comment),
            Some(b'd') => value(b"data").map_or(Self::Ignored, Self::Data),
            Some(b'e') => value(b"event").map_or(Self::Ignored, Self::Name),
            Some(_) => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_the_limit() {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut fed = 0;
        let mut held = 0;
        while decoder.feed(if fed % 7 == 0 { b"\ndata:" } else { b"xxxxxxxxxxxxxxx" }, &mut |_| {}).is_ok() {
            fed += 1;
            held = decoder.line.capacity() + decoder.name.capacity() + decoder.data.capacity();
            assert!(held <= decoder.limit + 256, "{held} bytes");
        }
        assert!(held > 1 << 19, "{held} bytes");
        assert_eq!(decoder.line.capacity() + decoder.name.capacity() + decoder.data.capacity(), 0);
    }

    #[test]
    fn a_long_line_is_not_held_twice() {
        let mut decoder = SseDecoder::new(1 << 20);
        decoder.feed(b"data: ", &mut |_| {}).unwrap();
        for _ in 0..1000 {
            decoder.feed(&[b'x'; 1000], &mut |_| {}).unwrap();
        }
        decoder.feed(b"\n", &mut |_| {}).unwrap();
        assert_eq!((decoder.data.len(), decoder.line.capacity()), (1_000_000, 0));
        decoder.feed(b"\n", &mut |_| {}).unwrap();
        assert_eq!(decoder.data.capacity(), 0);
    }
}
