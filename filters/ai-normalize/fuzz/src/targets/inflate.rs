use std::io::Write;

use ai_framing::{ContentDecoder, FramingError};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "inflate",
    run,
    seeds,
    dictionary: &[
        b"\x1f\x8b\x08\x00",
        b"\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\xff",
        b"\x78\x9c",
        b"\x03\x00",
        b"\x00\x00\xff\xff",
        b"\x01\x00\x00\xff\xff",
    ],
};

/// Above the length of a window, so that a small bomb wraps it.
const LIMIT: usize = 100_000;

/// Mode 0 reads raw bytes as gzip and 1 as deflate. Mode 2 takes them for a deflate stream and gives it the wrapping of gzip, with the checksum that chance
/// would never find; mode 3 compresses them.
fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    match input.mode() & 3 {
        0 => drop(decode(&input, b"gzip", input.text)),
        1 => drop(decode(&input, b"deflate", input.text)),
        2 => wrapped(&input),
        _ => round_trip(&input),
    }
}

fn wrapped(input: &Input<'_>) {
    // Zlib is told from the first two bytes and has another end.
    if input.text.first().is_some_and(|first| first & 0x8f == 8) {
        return;
    }
    let (body, Ok(())) = decode(input, b"deflate", input.text) else { return };
    if input.text.is_empty() {
        return;
    }
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let member =
        [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], input.text, &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()]
            .concat();
    let (members, result) = decode(input, b"gzip", &member.repeat(2));
    let expected = body.repeat(2);
    if expected.len() <= LIMIT {
        assert_eq!((members, result), (expected, Ok(())));
    } else {
        assert_eq!((members.as_slice(), result), (&expected[..LIMIT], Err(FramingError::TooLong { limit: LIMIT })));
    }
}

fn round_trip(input: &Input<'_>) {
    // Making the encoders takes most of the time, so that only inputs that show something are worth it.
    if input.text.len() > 200 {
        return;
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    for piece in input.pieces(input.text) {
        gzip.write_all(piece).unwrap();
        zlib.write_all(piece).unwrap();
        zlib.flush().unwrap();
    }
    let expected = (input.text.to_vec(), Ok(()));
    assert_eq!(decode(input, b"gzip", &gzip.finish().unwrap()), expected);
    assert_eq!(decode(input, b"deflate", &zlib.finish().unwrap()), expected);
}

fn decode(input: &Input<'_>, encoding: &[u8], bytes: &[u8]) -> (Vec<u8>, Result<(), FramingError>) {
    let (body, result) = input.same_under_splits(bytes, |pieces| {
        let mut body = Vec::new();
        let mut decoder = ContentDecoder::for_encoding(encoding).unwrap().with_limit(LIMIT);
        let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| {
            decoder.feed(piece, &mut |decoded| {
                assert!((1..=16 * 1024).contains(&decoded.len()));
                body.extend_from_slice(decoded);
            })
        });
        let ended = decoder.end();
        assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
        (body, ended)
    });
    assert!(body.len() <= LIMIT);
    (body, result)
}

fn seeds() -> Vec<Vec<u8>> {
    let text = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n".repeat(4);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::best());
    for writer in [&mut gzip as &mut dyn Write, &mut zlib, &mut bare] {
        writer.write_all(&text).unwrap();
    }
    let (gzip, zlib, bare) = (gzip.finish().unwrap(), zlib.finish().unwrap(), bare.finish().unwrap());
    let fields = [b"\x1f\x8b\x08\x1c\0\0\0\0\0\xff\x02\0ABname\0comment\0", &gzip[10..]].concat();
    vec![
        Input::seed(0, &gzip),
        Input::seed(0, &gzip.repeat(2)),
        Input::seed(0, &fields),
        Input::seed(1, &zlib),
        Input::seed(1, &bare),
        Input::seed(2, &bare),
        Input::seed(2, b"\x03\x00"),
        Input::seed(2, b"\x03\x02\x00"),
        Input::seed(2, b"\x01\x03\x00\xfc\xffabc"),
        Input::seed(3, &text),
    ]
}
