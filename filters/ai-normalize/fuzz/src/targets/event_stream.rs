use ai_framing::{EventStreamDecoder, Frame, FramingError, encode_frame};

use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "event-stream",
    run,
    seeds,
    dictionary: &[
        b":event-type",
        b":message-type",
        b"\x07\x00\x05",
        b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb",
    ],
};

const LIMIT: usize = 1 << 10;

/// Headers as printed, and the payload.
type Frames = Vec<(Vec<String>, Vec<u8>)>;

/// Raw bytes if the mode is even. Otherwise a list of frames (the length of the headers, that of the payload, both) that get right checksums, as chance
/// would never find one; the mode's higher bits damage one byte.
fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    if input.mode() & 1 == 0 {
        let _ = input.same_under_splits(input.text, |pieces| decode(pieces, LIMIT));
        return;
    }
    let (mut sealed, payloads) = seal(input.text);
    let damaged = usize::from(input.mode() >> 1);
    if damaged > 0
        && let Some(byte) = sealed.get_mut(damaged)
    {
        *byte ^= 1;
    }
    let (frames, result) = input.same_under_splits(&sealed, |pieces| decode(pieces, LIMIT));
    assert!(frames.len() <= payloads.len());
    for ((headers, found), payload) in frames.iter().zip(&payloads) {
        assert_eq!(found, payload, "{headers:?}");
    }
    if result.is_ok() {
        assert_eq!(frames.len(), payloads.len());
    }
}

fn seal(recipe: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let (mut bytes, mut payloads) = (Vec::new(), Vec::new());
    let mut rest = recipe;
    while let [headers_length, payload_length, tail @ ..] = rest {
        let (headers, tail) = tail.split_at(usize::from(*headers_length).min(tail.len()));
        let (payload, tail) = tail.split_at(usize::from(*payload_length).min(tail.len()));
        rest = tail;
        payloads.push(payload);
        // The encoder's frame around both as a payload, with the length of the headers set and new checksums.
        let mut frame = encode_frame(&[], &[headers, payload].concat());
        frame.truncate(frame.len() - 4);
        frame[4..8].copy_from_slice(&u32::from(u8::try_from(headers.len()).unwrap()).to_be_bytes());
        let prelude = crc(&frame[..8]);
        frame[8..12].copy_from_slice(&prelude);
        let message = crc(&frame);
        frame.extend(message);
        bytes.extend(frame);
    }
    (bytes, payloads)
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_be_bytes()
}

fn decode(pieces: &[&[u8]], limit: usize) -> (Frames, Result<(), FramingError>) {
    let mut frames = Vec::new();
    let mut each = |frame: Frame<'_>| {
        let headers = frame.headers().map(|(name, value)| format!("{name:?} {value:?}")).collect();
        let first = frame.headers().next().and_then(|(name, _)| str::from_utf8(name).ok());
        if let Some(name) = first {
            // Must not fail whatever the type.
            let _ = frame.header(name);
        }
        frames.push((headers, frame.payload().to_vec()));
    };
    let mut decoder = EventStreamDecoder::new(limit);
    let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut each));
    let ended = decoder.end(&mut each);
    assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
    (frames, ended)
}

fn seeds() -> Vec<Vec<u8>> {
    let frame = encode_frame(
        &[(":event-type", "contentBlockDelta"), (":message-type", "event")],
        b"{\"delta\":{\"text\":\"Hi\"}}",
    );
    let headers = b"\x01a\x00\x01b\x01\x01c\x02c\x01d\x03dd\x01e\x04eeee\x01f\x05ffffffff\x01g\x06\0\x01g\x01h\x07\0\x01h\x01i\x08iiiiiiii\x01j\x09jjjjjjjjjjjjjjjj";
    let recipe = [&[u8::try_from(headers.len()).unwrap(), 3], &headers[..], b"xyz", &[0, 2], b"{}"].concat();
    vec![
        Input::seed(0, &frame),
        Input::seed(0, &frame.repeat(2)),
        Input::seed(1, &recipe),
        Input::seed(1 | 20 << 1, &recipe),
    ]
}
