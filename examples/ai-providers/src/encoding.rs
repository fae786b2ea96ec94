//! Content encodings of an answer.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::{self, Write};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952
    Gzip,
    /// RFC 1950, which HTTP calls deflate.
    Deflate,
}

impl Encoding {
    /// Its name in `content-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// Compresses pieces so that each can be read when it has arrived.
    pub fn encode(self, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let encoded = match self {
            Self::Gzip => {
                flushed(GzEncoder::new(Vec::new(), Compression::fast()), pieces, GzEncoder::get_mut, GzEncoder::finish)
            }
            Self::Deflate => {
                let encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                flushed(encoder, pieces, ZlibEncoder::get_mut, ZlibEncoder::finish)
            }
        };
        // writing to memory does not fail
        encoded.unwrap_or_default()
    }
}

fn flushed<E: Write>(
    mut encoder: E,
    pieces: &[Vec<u8>],
    written: fn(&mut E) -> &mut Vec<u8>,
    finish: fn(E) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<Vec<u8>>> {
    let mut encoded = Vec::new();
    for piece in pieces {
        encoder.write_all(piece)?;
        encoder.flush()?;
        encoded.push(std::mem::take(written(&mut encoder)));
    }
    encoded.push(finish(encoder)?);
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn each_piece_can_be_read_when_it_has_arrived() {
        let pieces = [b"data: one\n\n".to_vec(), "data: zwölf\n\n".as_bytes().to_vec()];
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let encoded = encoding.encode(&pieces);
            assert_eq!(encoded.len(), 3);
            let read = |bytes: &[u8]| {
                let mut text = vec![0; 100];
                let mut decoder: Box<dyn io::Read> = match encoding {
                    Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
                    Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(bytes)),
                };
                let mut length = 0;
                while let Ok(more @ 1..) = decoder.read(&mut text[length..]) {
                    length += more;
                }
                text.truncate(length);
                text
            };
            assert_eq!(read(&encoded[0]), pieces[0]);
            assert_eq!(read(&encoded.concat()), pieces.concat());
        }
    }
}
