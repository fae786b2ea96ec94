use crc32fast::Hasher;

use super::inflate::{Give, Inflate};
use crate::FramingError;

/// The encoding `gzip` (RFC 1952): members one after another, whose contents are one body. Zeros may follow, as padding.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    part: Part,
    /// Kept from member to member.
    inflate: Option<Inflate>,
    /// Of the header, then of the content.
    crc: Hasher,
    /// The length of the content, modulo 2^32 as in the trailer.
    length: u32,
}

/// Where in a member the next byte lies.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    /// Before the first member.
    #[default]
    Start,
    /// After a member.
    Between,
    /// In the ten bytes that every header has.
    Fixed {
        at: u8,
        flags: u8,
    },
    /// In a field of the header that its flags announce.
    Optional {
        field: Field,
        flags: u8,
    },
    Body,
    Trailer {
        bytes: [u8; 8],
        at: u8,
    },
}

/// A field that may stand in a header.
#[derive(Clone, Copy, Debug)]
enum Field {
    ExtraLength { low: Option<u8> },
    Extra { left: u16 },
    Text { flag: u8 },
    Crc { low: Option<u8> },
}

const FLAG_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;
const FLAGS_RESERVED: u8 = 0xe0;

impl Gzip {
    pub(super) fn feed(&mut self, bytes: &[u8], give: &mut Give<'_>) -> Result<(), FramingError> {
        let mut rest = bytes;
        while let Some((byte, tail)) = rest.split_first() {
            if let Part::Body = self.part {
                let Some(after) = self.inflate(rest, give)? else { return Ok(()) };
                self.part = Part::Trailer { bytes: [0; 8], at: 0 };
                rest = after;
            } else {
                self.part = self.step(*byte)?;
                rest = tail;
            }
        }
        Ok(())
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.part, Part::Start | Part::Between)
    }

    fn inflate<'a>(&mut self, bytes: &'a [u8], give: &mut Give<'_>) -> Result<Option<&'a [u8]>, FramingError> {
        let (crc, length) = (&mut self.crc, &mut self.length);
        self.inflate.get_or_insert_with(|| Inflate::new(false)).feed(bytes, &mut |decoded| {
            crc.update(decoded);
            // The remainder modulo 2^32 is meant.
            *length = length.wrapping_add(decoded.len() as u32);
            give(decoded)
        })
    }

    /// Takes one byte outside of the content.
    fn step(&mut self, byte: u8) -> Result<Part, FramingError> {
        Ok(match self.part {
            Part::Between if byte == 0 => Part::Between,
            Part::Start | Part::Between => {
                self.crc = Hasher::new();
                self.fixed(byte, 0, 0)?
            }
            Part::Fixed { at, flags } => self.fixed(byte, at, flags)?,
            Part::Optional { field, flags } => self.optional(byte, field, flags)?,
            Part::Trailer { mut bytes, at } => {
                if let Some(place) = bytes.get_mut(usize::from(at)) {
                    *place = byte;
                }
                if at < 7 { Part::Trailer { bytes, at: at + 1 } } else { self.check(bytes)? }
            }
            // Only reached through `inflate`.
            Part::Body => Part::Body,
        })
    }

    fn fixed(&mut self, byte: u8, at: u8, flags: u8) -> Result<Part, FramingError> {
        self.crc.update(&[byte]);
        let right = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            3 => byte & FLAGS_RESERVED == 0,
            _ => true,
        };
        if !right {
            return Err(FramingError::BadEncoding);
        }
        let flags = if at == 3 { byte } else { flags };
        Ok(if at < 9 { Part::Fixed { at: at + 1, flags } } else { self.next_field(flags) })
    }

    fn optional(&mut self, byte: u8, field: Field, flags: u8) -> Result<Part, FramingError> {
        // A header's own checksum is of the bytes before it.
        if !matches!(field, Field::Crc { .. }) {
            self.crc.update(&[byte]);
        }
        let go_on = |field| Ok(Part::Optional { field, flags });
        match field {
            Field::ExtraLength { low: None } => go_on(Field::ExtraLength { low: Some(byte) }),
            Field::ExtraLength { low: Some(low) } => match u16::from_le_bytes([low, byte]) {
                0 => Ok(self.next_field(flags & !FLAG_EXTRA)),
                left => go_on(Field::Extra { left }),
            },
            Field::Extra { left: 0 | 1 } => Ok(self.next_field(flags & !FLAG_EXTRA)),
            Field::Extra { left } => go_on(Field::Extra { left: left - 1 }),
            Field::Text { flag } if byte == 0 => Ok(self.next_field(flags & !flag)),
            Field::Text { .. } => go_on(field),
            Field::Crc { low: None } => go_on(Field::Crc { low: Some(byte) }),
            Field::Crc { low: Some(low) } => {
                let sum = self.crc.clone().finalize() & 0xffff;
                if sum != u32::from(u16::from_le_bytes([low, byte])) {
                    return Err(FramingError::BadEncoding);
                }
                Ok(self.next_field(flags & !FLAG_CRC))
            }
        }
    }

    /// The first field of those that are still announced, or the content.
    fn next_field(&mut self, flags: u8) -> Part {
        let field = if flags & FLAG_EXTRA != 0 {
            Field::ExtraLength { low: None }
        } else if flags & FLAG_NAME != 0 {
            Field::Text { flag: FLAG_NAME }
        } else if flags & FLAG_COMMENT != 0 {
            Field::Text { flag: FLAG_COMMENT }
        } else if flags & FLAG_CRC != 0 {
            Field::Crc { low: None }
        } else {
            self.crc = Hasher::new();
            self.length = 0;
            if let Some(inflate) = &mut self.inflate {
                inflate.restart();
            }
            return Part::Body;
        };
        Part::Optional { field, flags }
    }

    fn check(&self, trailer: [u8; 8]) -> Result<Part, FramingError> {
        let expected = (u64::from(self.length) << 32) | u64::from(self.crc.clone().finalize());
        if u64::from_le_bytes(trailer) == expected { Ok(Part::Between) } else { Err(FramingError::BadEncoding) }
    }
}
