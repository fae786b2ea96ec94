use ai_framing::{FramingError, SseDecoder, SseItem};

use crate::{Input, Target};

pub(super) const TARGET: Target = Target {
    name: "sse",
    run,
    seeds,
    dictionary: &[
        b"data: ",
        b"data",
        b"event: ",
        b"id: ",
        b": ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"[DONE]",
    ],
};

type Items = Vec<(bool, Vec<u8>, Vec<u8>)>;

fn run(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let limit = if input.mode() == 255 { 1 << 20 } else { usize::from(input.mode()) };
    let (items, _) = input.same_under_splits(input.text, |pieces| decode(pieces, limit));
    let mut total = 0;
    for (_, name, data) in &items {
        assert!(name.len() + data.len() <= limit, "{} bytes", name.len() + data.len());
        total += name.len() + data.len();
    }
    assert!(total <= input.text.len(), "{total} bytes");
}

fn decode(pieces: &[&[u8]], limit: usize) -> (Items, Result<(), FramingError>) {
    let mut items = Vec::new();
    let mut each = |item: SseItem<'_>| {
        items.push(match item {
            SseItem::Event { name, data } => (true, name.to_vec(), data.to_vec()),
            SseItem::Comment(text) => (false, vec![], text.to_vec()),
        });
    };
    let mut decoder = SseDecoder::new(limit);
    let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut each));
    let ended = decoder.end(&mut each);
    assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
    (items, ended)
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n",
        "event: message_start\r\ndata: {\"type\":\"message_start\"}\r\n\r\n: ping\r\n\r\nevent: ping\r\ndata\r\n\r\n",
        "\u{feff}data: a\rdata:b\r\rid: 1\nretry: 2\n\ndata: é",
    ]
    .iter()
    .flat_map(|text| [Input::seed(255, text.as_bytes()), Input::seed(40, text.as_bytes())])
    .collect()
}
