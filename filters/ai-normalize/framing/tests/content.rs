//! Content encodings, against another encoder and headers made by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;

use ai_framing::{ContentDecoder, FramingError};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use support::{pieces, same_under_any_split};

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// With a flush every 100 bytes, as a server does that streams.
fn bare(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    for piece in body.chunks(100) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

fn decode(encoding: &[u8], pieces: &[&[u8]], limit: usize) -> (Vec<u8>, Result<(), FramingError>) {
    let mut body = Vec::new();
    let mut decoder = ContentDecoder::for_encoding(encoding).unwrap();
    if limit != usize::MAX {
        decoder = decoder.with_limit(limit);
    }
    let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| {
        decoder.feed(piece, &mut |decoded| {
            assert!((1..=16 * 1024).contains(&decoded.len()));
            body.extend_from_slice(decoded);
        })
    });
    let ended = decoder.end();
    assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
    (body, ended)
}

fn text(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|n| format!("data: {{\"n\":{}}}\n\n", n.wrapping_mul(2_654_435_761) >> 12).into_bytes())
        .take(length)
        .collect()
}

/// A gzip member of `body` with this flag byte and what the flags announce; a header checksum is added if announced.
fn member(flags: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let plain = gzip(body);
    let mut bytes = [&[0x1f, 0x8b, 8, flags], &plain[4..10], fields].concat();
    if flags & 2 != 0 {
        let sum = crc32fast::hash(&bytes).to_le_bytes();
        bytes.extend_from_slice(&sum[..2]);
    }
    bytes.extend_from_slice(&plain[10..]);
    bytes
}

#[test]
fn names_of_encodings() {
    for known in ["", "identity", "gzip", "GZip", "x-gzip", "deflate", " gzip "] {
        assert!(ContentDecoder::for_encoding(known.as_bytes()).is_some(), "{known:?}");
    }
    for unknown in ["br", "zstd", "compress", "gzip, gzip", "identity, gzip", "gzip;q=1", "gzipp", "\u{e9}"] {
        assert!(ContentDecoder::for_encoding(unknown.as_bytes()).is_none(), "{unknown:?}");
    }
}

#[test]
fn bodies_of_every_encoding() {
    let body = text(300);
    let twice = body.repeat(2);
    let rows: Vec<(&str, &str, Vec<u8>, &[u8])> = vec![
        ("no encoding", "", body.clone(), &body),
        ("identity", "identity", body.clone(), &body),
        ("gzip", "gzip", gzip(&body), &body),
        ("zlib", "deflate", zlib(&body), &body),
        ("deflate without zlib", "deflate", bare(&body), &body),
        ("stored, without zlib", "deflate", [&[1, 3, 0, 0xfc, 0xff], &b"abc"[..]].concat(), b"abc"),
        ("two members", "gzip", [gzip(&body), gzip(&body)].concat(), &twice),
        ("members of nothing", "gzip", [gzip(b""), gzip(&body), gzip(b"")].concat(), &body),
        ("padding", "gzip", [&gzip(&body)[..], &[0; 5]].concat(), &body),
        ("padding between members", "gzip", [&gzip(&body)[..], &[0; 5], &gzip(&body)].concat(), &twice),
        ("a name", "gzip", member(8, b"a.json\0", &body), &body),
        ("a comment", "gzip", member(16, b"\0", &body), &body),
        ("an extra field", "gzip", member(4, b"\x05\0\0abc\0", &body), &body),
        ("an extra field of nothing", "gzip", member(4, b"\0\0", &body), &body),
        ("a header checksum", "gzip", member(2, b"", &body), &body),
        ("all fields", "gzip", member(31, b"\x02\0ABname\0comment\0", &body), &body),
        ("all fields, twice", "gzip", member(31, b"\x02\0ABname\0comment\0", &body).repeat(2), &twice),
        ("gzip of nothing", "gzip", gzip(b""), b""),
        ("zlib of nothing", "deflate", zlib(b""), b""),
        ("deflate of nothing", "deflate", bare(b""), b""),
        ("no bytes as gzip", "gzip", vec![], b""),
        ("no bytes as deflate", "deflate", vec![], b""),
    ];
    for (what, encoding, bytes, expected) in rows {
        let (decoded, result) = same_under_any_split(&bytes, |pieces| decode(encoding.as_bytes(), pieces, usize::MAX));
        assert_eq!((decoded.as_slice(), result), (expected, Ok(())), "{what}");
    }
}

#[test]
fn an_end_within_a_body_is_an_error() {
    for (encoding, bytes) in
        [("gzip", member(31, b"\x02\0ABname\0comment\0", b"abc")), ("deflate", zlib(b"abc")), ("deflate", bare(b"abc"))]
    {
        for end in 1..bytes.len() {
            let (_, result) = decode(encoding.as_bytes(), &[&bytes[..end]], usize::MAX);
            assert_eq!(result, Err(FramingError::Truncated), "{encoding} of {end} bytes");
        }
    }
    let (body, result) = decode(b"gzip", &[&[&gzip(b"abc")[..], b"\x1f"].concat()], usize::MAX);
    assert_eq!((body.as_slice(), result), (&b"abc"[..], Err(FramingError::Truncated)));
}

#[test]
fn what_a_body_must_not_be() {
    let changed = |bytes: Vec<u8>, at: usize| {
        let mut bytes = bytes;
        bytes[at] ^= 1;
        bytes
    };
    let body = text(300);
    let good = gzip(&body);
    let rows: Vec<(&str, &str, Vec<u8>)> = vec![
        ("text as gzip", "gzip", b"{\"a\":1}".to_vec()),
        ("text as deflate", "deflate", b"not found".to_vec()),
        ("another method", "gzip", changed(good.clone(), 2)),
        ("a reserved flag", "gzip", member(0x20, b"", &body)),
        ("a wrong header checksum", "gzip", changed(member(2, b"", &body), 10)),
        ("a header that its checksum denies", "gzip", changed(member(2, b"", &body), 5)),
        ("a wrong checksum", "gzip", changed(good.clone(), good.len() - 8)),
        ("a wrong length", "gzip", changed(good.clone(), good.len() - 1)),
        ("a block of no type", "gzip", [&good[..10], &[7, 0, 0]].concat()),
        ("a wrong checksum of zlib", "deflate", {
            let good = zlib(&body);
            changed(good.clone(), good.len() - 1)
        }),
        ("a preset dictionary", "deflate", vec![0x78, 0xbb, 1, 2, 3, 4, 3, 0]),
        ("a copy of what was before the start", "deflate", vec![3, 2, 0]),
        ("a copy of what another member wrote", "gzip", [&good[..], &good[..10], &[3, 2, 0]].concat()),
        ("a window beyond the greatest", "deflate", vec![0x88, 0x1c, 3, 0, 0, 0, 0, 1]),
        ("bytes after the last member", "gzip", [&good[..], b"x"].concat()),
        ("bytes after zlib", "deflate", [&zlib(&body)[..], &[0]].concat()),
        ("bytes after deflate", "deflate", [&bare(&body)[..], &[0]].concat()),
    ];
    for (what, encoding, bytes) in rows {
        let (_, result) = same_under_any_split(&bytes, |pieces| decode(encoding.as_bytes(), pieces, usize::MAX));
        assert_eq!(result, Err(FramingError::BadEncoding), "{what}");
    }
}

#[test]
fn a_limit_lets_out_exactly_that_much() {
    let body = text(300);
    for (encoding, bytes) in
        [("", body.clone()), ("gzip", gzip(&body)), ("deflate", zlib(&body)), ("deflate", bare(&body))]
    {
        for limit in [0, 1, 150, 299] {
            let (decoded, result) = same_under_any_split(&bytes, |pieces| decode(encoding.as_bytes(), pieces, limit));
            assert_eq!(
                (decoded.as_slice(), result),
                (&body[..limit], Err(FramingError::TooLong { limit })),
                "{encoding}"
            );
        }
        assert_eq!(decode(encoding.as_bytes(), &[&bytes], 300), (body.clone(), Ok(())), "{encoding}");
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = ContentDecoder::for_encoding(b"gzip").unwrap();
    let error = Err(FramingError::BadEncoding);
    assert_eq!(decoder.feed(b"no", &mut |_| unreachable!()), error);
    assert_eq!(decoder.feed(&gzip(b"abc"), &mut |_| unreachable!()), error);
    assert_eq!(decoder.end(), error);
}

#[test]
fn content_comes_with_the_flush_that_completes_it() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = ContentDecoder::for_encoding(b"gzip").unwrap();
    let mut sent = 0;
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut decoded = Vec::new();
        decoder.feed(&encoder.get_ref()[sent..], &mut |piece| decoded.extend_from_slice(piece)).unwrap();
        sent = encoder.get_ref().len();
        assert_eq!(decoded, event.as_bytes());
    }
}

#[test]
fn long_bodies_wrap_the_window() {
    let body = text(300_000);
    for (encoding, bytes) in [("gzip", gzip(&body)), ("deflate", zlib(&body)), ("deflate", bare(&body))] {
        for length in [1, 7, 1000, 32_768, usize::MAX] {
            let (decoded, result) = decode(encoding.as_bytes(), &bytes.chunks(length).collect::<Vec<_>>(), usize::MAX);
            assert!(decoded == body && result == Ok(()), "{encoding} by {length}: {} bytes, {result:?}", decoded.len());
        }
    }
    let zeros = vec![0; 10_000_000];
    assert!(decode(b"gzip", &[&gzip(&zeros)], usize::MAX) == (zeros, Ok(())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn gives_back_what_was_compressed(
        bodies in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..2000), 1..4),
        lengths in prop::collection::vec(0_usize..300, 1..8),
    ) {
        let members: Vec<u8> = bodies.iter().flat_map(|body| gzip(body)).collect();
        prop_assert_eq!(decode(b"gzip", &pieces(&members, &lengths), usize::MAX), (bodies.concat(), Ok(())));
        for bytes in [zlib(&bodies[0]), bare(&bodies[0])] {
            prop_assert_eq!(decode(b"deflate", &pieces(&bytes, &lengths), usize::MAX), (bodies[0].clone(), Ok(())));
        }
    }

    /// The same bytes come out before the same error, however a damaged body is split.
    #[test]
    fn damage_is_the_same_under_any_split(
        damage in prop::collection::vec((0_usize..400, any::<u8>()), 1..4),
        lengths in prop::collection::vec(0_usize..80, 1..8),
    ) {
        let body = text(1000);
        for (encoding, mut bytes) in [("gzip", gzip(&body).repeat(2)), ("deflate", zlib(&body)), ("deflate", bare(&body))] {
            for (at, byte) in &damage {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            let whole = decode(encoding.as_bytes(), &[&bytes], 100_000);
            prop_assert_eq!(decode(encoding.as_bytes(), &pieces(&bytes, &lengths), 100_000), whole);
        }
    }
}
