//! Frames of AWS event streams, against frames made by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use ai_framing::{EventStreamDecoder, Frame, FramingError, HeaderValue, encode_frame};
use proptest::prelude::*;
use support::{pieces, same_under_any_split};

const ROOMY: usize = 1 << 20;

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    (!crc).to_be_bytes()
}

/// A frame of this header block, with the lengths as given and checksums that are right.
fn sealed(total: u32, headers_length: u32, headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = [total.to_be_bytes(), headers_length.to_be_bytes()].concat();
    frame.extend(crc(&frame));
    frame.extend([headers, payload].concat());
    frame.extend(crc(&frame));
    frame
}

fn raw_frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    sealed(
        (16 + headers.len() + payload.len()).try_into().unwrap(),
        headers.len().try_into().unwrap(),
        headers,
        payload,
    )
}

type Owned = (Vec<(Vec<u8>, String)>, Vec<u8>);

fn owned(frame: Frame<'_>) -> Owned {
    let headers = frame.headers().map(|(name, value)| (name.to_vec(), format!("{value:?}"))).collect();
    (headers, frame.payload().to_vec())
}

fn decode(pieces: &[&[u8]], limit: usize) -> (Vec<Owned>, Result<(), FramingError>) {
    let mut frames = Vec::new();
    let mut decoder = EventStreamDecoder::new(limit);
    let mut each = |frame: Frame<'_>| frames.push(owned(frame));
    let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut each));
    let ended = decoder.end(&mut each);
    assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
    (frames, ended)
}

#[test]
fn the_checksum_of_the_tests_is_the_standards() {
    assert_eq!(crc(b"123456789"), 0xcbf4_3926_u32.to_be_bytes());
}

#[test]
fn a_frame_made_by_hand() {
    let mut bytes = b"\0\0\0\x3d\0\0\0\x20".to_vec();
    bytes.extend(0x07fd_8396_u32.to_be_bytes());
    bytes.extend(b"\x0ccontent-type\x07\x00\x10application/json");
    bytes.extend(b"{'foo':'bar'}");
    bytes.extend(0x8d9c_08b1_u32.to_be_bytes());
    let (frames, result) = same_under_any_split(&bytes, |pieces| decode(pieces, ROOMY));
    let headers = vec![(b"content-type".to_vec(), format!("{:?}", HeaderValue::String(b"application/json")))];
    assert_eq!((frames, result), (vec![(headers, b"{'foo':'bar'}".to_vec())], Ok(())));
    assert_eq!(encode_frame(&[("content-type", "application/json")], b"{'foo':'bar'}"), bytes);
}

#[test]
fn every_type_of_header() {
    let rows: &[(&[u8], HeaderValue<'_>)] = &[
        (b"\x00", HeaderValue::Bool(true)),
        (b"\x01", HeaderValue::Bool(false)),
        (b"\x02\xff", HeaderValue::Byte(-1)),
        (b"\x03\x01\x02", HeaderValue::Short(0x0102)),
        (b"\x04\xff\xff\xff\xfe", HeaderValue::Int(-2)),
        (b"\x05\0\0\0\0\0\0\x01\0", HeaderValue::Long(256)),
        (b"\x06\0\x02\xff\xfe", HeaderValue::Bytes(b"\xff\xfe")),
        (b"\x06\0\0", HeaderValue::Bytes(b"")),
        (b"\x07\0\x03abc", HeaderValue::String(b"abc")),
        (b"\x08\0\0\x01\0\0\0\0\0", HeaderValue::Timestamp(1 << 40)),
        (b"\x090123456789abcdef", HeaderValue::Uuid(*b"0123456789abcdef")),
    ];
    let mut block = Vec::new();
    for (encoded, value) in rows {
        let header = [b"\x01x", *encoded].concat();
        let frame = raw_frame(&header, b"");
        let mut decoder = EventStreamDecoder::new(ROOMY);
        let mut count = 0;
        decoder
            .feed(&frame, &mut |frame| {
                assert_eq!(frame.headers().collect::<Vec<_>>(), [(&b"x"[..], *value)]);
                count += 1;
            })
            .unwrap();
        assert_eq!(count, 1);
        block.extend_from_slice(&header);
        for end in 0..header.len() {
            let expected = if end == 0 { Ok(()) } else { Err(FramingError::BadHeader) };
            assert_eq!(decode(&[&raw_frame(&header[..end], b"")], ROOMY).1, expected, "{value:?} of {end} bytes");
        }
    }
    // What one looks for is found behind all types.
    block.extend_from_slice(b"\x0b:event-type\x07\0\x05chunk\x0b:event-type\x07\0\x05other\x01y\x06\0\x01z");
    let frame = raw_frame(&block, b"p");
    let mut decoder = EventStreamDecoder::new(ROOMY);
    decoder
        .feed(&frame, &mut |frame| {
            assert_eq!(frame.header(":event-type"), Some(&b"chunk"[..]));
            assert_eq!(frame.header("y"), Some(&b"z"[..]));
            assert_eq!(frame.header("x"), None);
            assert_eq!(frame.header("absent"), None);
            assert_eq!(frame.payload(), b"p");
        })
        .unwrap();
}

#[test]
fn what_a_frame_must_not_be() {
    let good = encode_frame(&[(":event-type", "chunk")], b"payload");
    let flipped = |at: usize| {
        let mut frame = good.clone();
        frame[at] ^= 1;
        frame
    };
    let rows = [
        ("a total that is damaged", flipped(3), ROOMY, FramingError::BadPreludeCrc),
        ("lengths of headers that are damaged", flipped(7), ROOMY, FramingError::BadPreludeCrc),
        ("a checksum of lengths that is damaged", flipped(8), ROOMY, FramingError::BadPreludeCrc),
        ("a header that is damaged", flipped(14), ROOMY, FramingError::BadMessageCrc),
        ("a payload that is damaged", flipped(good.len() - 5), ROOMY, FramingError::BadMessageCrc),
        ("a checksum that is damaged", flipped(good.len() - 1), ROOMY, FramingError::BadMessageCrc),
        ("a total below its own lengths", sealed(15, 0, b"", b""), ROOMY, FramingError::BadLength),
        ("a total of nothing", sealed(0, 0, b"", b""), ROOMY, FramingError::BadLength),
        ("headers longer than the frame", sealed(20, 5, b"", b"1234"), ROOMY, FramingError::BadLength),
        ("headers of the greatest length", sealed(20, u32::MAX, b"", b"1234"), ROOMY, FramingError::BadLength),
        ("the greatest total", sealed(u32::MAX, 0, b"", b""), ROOMY, FramingError::TooLong { limit: ROOMY }),
        ("one byte too many", good.clone(), good.len() - 1, FramingError::TooLong { limit: good.len() - 1 }),
        ("an unknown type", raw_frame(b"\x01x\x0a", b""), ROOMY, FramingError::BadHeader),
        ("a name of no bytes", raw_frame(b"\x00\x00", b""), ROOMY, FramingError::BadHeader),
        ("a value beyond the headers", raw_frame(b"\x01x\x07\0\x09abc", b"payload"), ROOMY, FramingError::BadHeader),
        ("a name beyond the headers", raw_frame(b"\x09x", b"payload"), ROOMY, FramingError::BadHeader),
        ("text that is no frame", b"{\"message\":\"Not found\"}".to_vec(), ROOMY, FramingError::BadPreludeCrc),
    ];
    for (what, bytes, limit, error) in rows {
        let (frames, result) = same_under_any_split(&bytes, |pieces| decode(pieces, limit));
        assert_eq!((frames.len(), result), (0, Err(error)), "{what}");
        // What came before is given out, nothing after.
        if limit == ROOMY {
            let (frames, result) = decode(&[&[good.clone(), bytes, good.clone()].concat()], limit);
            assert_eq!((frames.len(), result), (1, Err(error)), "{what}, after a good one");
        }
    }
}

#[test]
fn an_end_within_a_frame_is_an_error() {
    let good = encode_frame(&[("a", "b")], b"payload");
    let twice = good.repeat(2);
    for end in 0..=twice.len() {
        let (frames, result) = decode(&[&twice[..end]], ROOMY);
        let expected = if end % good.len() == 0 { Ok(()) } else { Err(FramingError::Truncated) };
        assert_eq!((frames.len(), result), (end / good.len(), expected));
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = EventStreamDecoder::new(ROOMY);
    let error = Err(FramingError::BadPreludeCrc);
    assert_eq!(decoder.feed(b"HTTP/1.1 200", &mut |_| unreachable!()), error);
    assert_eq!(decoder.feed(&encode_frame(&[], b""), &mut |_| unreachable!()), error);
    assert_eq!(decoder.end(&mut |_| unreachable!()), error);
}

#[test]
fn a_frame_within_one_feed_is_lent_from_it() {
    let bytes = encode_frame(&[("name", "value")], b"payload").repeat(2);
    let mut decoder = EventStreamDecoder::new(ROOMY);
    decoder
        .feed(&bytes, &mut |frame| {
            assert!(bytes.as_ptr_range().contains(&frame.payload().as_ptr()));
            assert!(bytes.as_ptr_range().contains(&frame.header("name").unwrap().as_ptr()));
        })
        .unwrap();
}

#[test]
fn headers_that_do_not_fit_are_left_out_by_the_encoder() {
    let long = "x".repeat(65_536);
    let frame = encode_frame(&[("", "a"), (&long[..256], "b"), ("c", &long), (&long[..255], &long[..65_535])], b"");
    let (frames, result) = decode(&[&frame], ROOMY);
    assert_eq!(result, Ok(()));
    assert_eq!(frames[0].0.iter().map(|(name, _)| name.len()).collect::<Vec<_>>(), [255]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn gives_back_what_was_encoded(
        frames in prop::collection::vec(
            (prop::collection::vec(("[a-z:-]{1,20}", ".{0,20}"), 0..5), prop::collection::vec(any::<u8>(), 0..100)), 0..6),
        lengths in prop::collection::vec(0_usize..60, 1..8),
    ) {
        let mut bytes = Vec::new();
        let mut expected: Vec<Owned> = Vec::new();
        for (headers, payload) in frames {
            let borrowed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            bytes.extend(encode_frame(&borrowed, &payload));
            let text = |value: &str| format!("{:?}", HeaderValue::String(value.as_bytes()));
            expected.push((borrowed.iter().map(|(name, value)| (name.as_bytes().to_vec(), text(value))).collect(), payload));
        }
        prop_assert_eq!(decode(&pieces(&bytes, &lengths), ROOMY), (expected, Ok(())));
    }

    /// Lengths and checksums are right so that more than the first check is met.
    #[test]
    fn takes_any_headers(
        blocks in prop::collection::vec((prop::collection::vec(0_u8..12, 0..30), prop::collection::vec(any::<u8>(), 0..20)), 1..4),
        lengths in prop::collection::vec(0_usize..60, 1..8),
    ) {
        let bytes: Vec<u8> = blocks.iter().flat_map(|(headers, payload)| raw_frame(headers, payload)).collect();
        prop_assert_eq!(decode(&pieces(&bytes, &lengths), ROOMY), decode(&[&bytes], ROOMY));
    }

    #[test]
    fn takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), lengths in prop::collection::vec(0_usize..60, 1..8)) {
        prop_assert_eq!(decode(&pieces(&bytes, &lengths), 64), decode(&[&bytes], 64));
    }
}
