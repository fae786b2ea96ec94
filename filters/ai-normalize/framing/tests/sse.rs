//! Server-sent events by the rules of WHATWG HTML section 9.2, under any split.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use ai_framing::{FramingError, SseDecoder, SseItem};
use proptest::prelude::*;
use support::{pieces, same_under_any_split};

const ROOMY: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Event(Vec<u8>, Vec<u8>),
    Comment(Vec<u8>),
}

fn event(name: &str, data: &str) -> Item {
    Item::Event(name.into(), data.into())
}

fn comment(text: &str) -> Item {
    Item::Comment(text.into())
}

fn decode(pieces: &[&[u8]], limit: usize) -> (Vec<Item>, Result<(), FramingError>) {
    let mut items = Vec::new();
    let mut each = |item: SseItem<'_>| {
        items.push(match item {
            SseItem::Event { name, data } => Item::Event(name.into(), data.into()),
            SseItem::Comment(text) => Item::Comment(text.into()),
        });
    };
    let mut decoder = SseDecoder::new(limit);
    let fed: Result<(), FramingError> = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut each));
    let ended = decoder.end(&mut each);
    assert!(fed.is_ok() || fed == ended, "{fed:?}, then {ended:?}");
    (items, ended)
}

/// The same, by the letter of the standard, from the whole input.
fn naive(input: &[u8], limit: usize) -> (Vec<Item>, Result<(), FramingError>) {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut lines = vec![vec![]];
    for (at, byte) in input.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && input[at - 1] == b'\r' => {}
            b'\n' | b'\r' => lines.push(vec![]),
            _ => lines.last_mut().unwrap().push(*byte),
        }
    }
    let last = lines.pop().unwrap();
    let mut items = Vec::new();
    let (mut name, mut data) = (vec![], vec![]);
    // The last line has no end; the blank one after it stands for the end of the input.
    for line in lines.into_iter().chain([last, vec![]]) {
        let joined = data.len().saturating_sub(1);
        if name.len() + joined + line.len() > limit {
            return (items, Err(FramingError::TooLong { limit }));
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                items.push(Item::Event(name.clone(), data.clone()));
            }
            (name, data) = (vec![], vec![]);
        } else if field.is_empty() {
            items.push(Item::Comment(value.to_vec()));
        } else if field == b"event" {
            name = value.to_vec();
        } else if field == b"data" {
            data.extend_from_slice(value);
            data.push(b'\n');
        }
    }
    (items, Ok(()))
}

#[test]
fn the_standards_rules() {
    let rows: &[(&str, &str, &[Item])] = &[
        ("nothing gives nothing", "", &[]),
        ("a blank line ends an event", "data: a\n\n", &[event("", "a")]),
        (
            "LF, CRLF and CR end lines",
            "data: a\n\ndata: b\r\n\r\ndata: c\r\r",
            &[event("", "a"), event("", "b"), event("", "c")],
        ),
        (
            "line ends may be mixed",
            "data: a\r\n\ndata: b\r\r\ndata: c\n\r",
            &[event("", "a"), event("", "b"), event("", "c")],
        ),
        ("CRLF is one line end", "data: a\r\ndata: b\r\n\r\n", &[event("", "a\nb")]),
        ("LF CR is two line ends", "data: a\n\rdata: b\n\r", &[event("", "a"), event("", "b")]),
        (
            "one space after the colon goes",
            "data:a\n\ndata: a\n\ndata:  a \n\n",
            &[event("", "a"), event("", "a"), event("", " a ")],
        ),
        ("a tab stays", "data:\ta\n\n", &[event("", "\ta")]),
        ("lines of data are joined by LF", "data: a\r\ndata\r\ndata: c\r\n\r\n", &[event("", "a\n\nc")]),
        ("data without bytes is data", "data\n\ndata:\n\ndata: \n\n", &[event("", ""), event("", ""), event("", "")]),
        ("two lines without bytes are one LF", "data\ndata\n\n", &[event("", "\n")]),
        ("an event needs data", "event: a\n\nid: 1\n\n\n\ndata: b\n\n", &[event("", "b")]),
        ("the name goes with its event only", "event: a\ndata: 1\n\ndata: 2\n\n", &[event("a", "1"), event("", "2")]),
        ("the last name counts", "event: a\ndata: 1\nevent: b\n\n", &[event("b", "1")]),
        ("a name may be taken back", "event: a\nevent\ndata: 1\n\n", &[event("", "1")]),
        (
            "a comment starts with a colon",
            ": hi\n:hi\n:\n::\ndata: a\n\n",
            &[comment("hi"), comment("hi"), comment(""), comment(":"), event("", "a")],
        ),
        ("a comment within an event comes first", "data: a\n: hi\ndata: b\n\n", &[comment("hi"), event("", "a\nb")]),
        ("a comment ends no event", "data: a\n:\n\n", &[comment(""), event("", "a")]),
        ("id, retry and unknown fields are ignored", "id: 1\nretry: 2\nfoo: 3\nfoo\ndata: a\n\n", &[event("", "a")]),
        (
            "field names are exact",
            "Data: a\ndata : b\n data: c\ndatax: d\ndat: e\nevents: f\ndata: g\n\n",
            &[event("", "g")],
        ),
        ("a BOM at the start goes", "\u{feff}data: a\n\n", &[event("", "a")]),
        (
            "a BOM elsewhere stays",
            "\u{feff}\u{feff}data: a\n\n\u{feff}data: b\n\ndata: \u{feff}\n\n",
            &[event("", "\u{feff}")],
        ),
        ("a colon in the value stays", "data: a: b\n\ndata::\n\n", &[event("", "a: b"), event("", ":")]),
        ("the end of the input is a blank line", "data: a\n", &[event("", "a")]),
        ("the end of the input ends a line", "event: x\ndata: a", &[event("x", "a")]),
        ("a comment at the end counts", "data: a\n:b", &[comment("b"), event("", "a")]),
        ("a CR at the end ends a line", "data: a\r", &[event("", "a")]),
        ("a space at the end stays", "data: a ", &[event("", "a ")]),
        ("characters of several bytes", "data: é€😀\n\n", &[event("", "é€😀")]),
        ("a NUL is a byte as any", "data: a\0b\n\n", &[event("", "a\0b")]),
    ];
    for (rule, input, expected) in rows {
        let (items, result) = same_under_any_split(input.as_bytes(), |pieces| decode(pieces, ROOMY));
        assert_eq!((items.as_slice(), result), (*expected, Ok(())), "{rule}");
        assert_eq!(naive(input.as_bytes(), ROOMY), (items, Ok(())), "{rule}, by the naive decoder");
    }
}

#[test]
fn a_beginning_of_a_bom_is_not_a_bom() {
    for input in
        [&b"\xef"[..], b"\xef\xbb", b"\xef\xbb\ndata: a\n\n", b"\xef\xbbdata: a\n\n", b"\xefdata: a\n\ndata: b\n\n"]
    {
        let (items, result) = same_under_any_split(input, |pieces| decode(pieces, ROOMY));
        assert_eq!((items, result), naive(input, ROOMY));
    }
}

#[test]
fn an_event_comes_with_the_byte_that_completes_it() {
    for (input, completing) in
        [("data: a\n\n", 8), ("data: a\r\n\r\n", 9), ("data: a\r\r", 8), (": x\r\n", 3), ("data:\r\n\n", 7)]
    {
        let mut decoder = SseDecoder::new(ROOMY);
        for (at, byte) in input.bytes().enumerate() {
            let mut count = 0;
            decoder.feed(&[byte], &mut |_| count += 1).unwrap();
            assert_eq!(count, usize::from(at == completing), "byte {at} of {input:?}");
        }
    }
}

#[test]
fn the_limit_is_met_at_the_same_byte_however_split() {
    let too_long = |limit| Err(FramingError::TooLong { limit });
    let rows = [
        ("data: abcd\n\n", 10, Ok(()), 1),
        ("data: abcd\n\n", 9, too_long(9), 0),
        ("data: 1\n\ndata: 2\n\n: 12345678\n", 9, too_long(9), 2),
        ("data: 1\n\ndata: 2\n\nfoo: 12345678", 9, too_long(9), 2),
        // A name of 3, data of 1 and a line of 7.
        ("event: abc\ndata: 1\ndata: 2\n\n", 11, Ok(()), 1),
        ("event: abc\ndata: 1\ndata: 2\n\n", 10, too_long(10), 0),
        ("data\ndata\ndata\ndata\n\n", 6, Ok(()), 1),
        ("data\ndata\ndata\ndata\n\n", 5, too_long(5), 0),
        // What is complete is not kept.
        (": 123456\n: 123456\ndata: 12\n: 1234\n: 1234\n\n", 8, Ok(()), 5),
        ("\u{feff}data\n\n", 4, Ok(()), 1),
        ("\u{feff}", 0, Ok(()), 0),
        ("\n\r\n\r", 0, Ok(()), 0),
        ("a", 0, too_long(0), 0),
    ];
    for (input, limit, expected, count) in rows {
        let (items, result) = same_under_any_split(input.as_bytes(), |pieces| decode(pieces, limit));
        assert_eq!((result, items.len()), (expected, count), "{input:?} within {limit}");
        assert_eq!(naive(input.as_bytes(), limit), (items, result), "{input:?} within {limit}");
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = SseDecoder::new(8);
    let error = Err(FramingError::TooLong { limit: 8 });
    assert_eq!(decoder.feed(b"data: 123", &mut |_| unreachable!()), error);
    assert_eq!(decoder.feed(b"\n\ndata: 1\n\n", &mut |_| unreachable!()), error);
    assert_eq!(decoder.end(&mut |_| unreachable!()), error);
}

#[test]
fn is_as_new_after_the_end() {
    let mut decoder = SseDecoder::new(ROOMY);
    for _ in 0..3 {
        let mut count = 0;
        decoder.feed("\u{feff}event: a\ndata: 1\r".as_bytes(), &mut |_| unreachable!()).unwrap();
        decoder
            .end(&mut |item| {
                assert_eq!(item, SseItem::Event { name: b"a", data: b"1" });
                count += 1;
            })
            .unwrap();
        assert_eq!(count, 1);
    }
}

#[test]
fn what_is_whole_in_one_feed_is_lent_from_it() {
    let input = b"event: content_block_delta\ndata: {\"a\":1}\r\n\r\n: ping\n\n";
    let mut decoder = SseDecoder::new(ROOMY);
    let within = |slice: &[u8]| input.as_ptr_range().contains(&slice.as_ptr());
    // The second time there is an incomplete line in front.
    for before in [&b""[..], b"data: 0\n\nid: 1"] {
        let mut count = 0;
        decoder.feed(before, &mut |_| {}).unwrap();
        decoder.feed(if before.is_empty() { b"" } else { b"\n\n" }, &mut |_| {}).unwrap();
        decoder
            .feed(input, &mut |item| {
                count += 1;
                match item {
                    SseItem::Event { name, data } => assert!(within(name) && within(data)),
                    SseItem::Comment(text) => assert!(within(text)),
                }
            })
            .unwrap();
        assert_eq!(count, 2);
    }
}

/// Text in which every rule is met often.
fn near_events() -> impl Strategy<Value = Vec<u8>> {
    let tokens = vec![
        "data", "data:", "data: ", "event", "event: ", "id: ", "retry:", ":", ": ", " ", "\n", "\n", "\r", "\r\n",
        "\n\n", "\r\n\r\n", "a", "é", "{}", "\u{feff}", "\0",
    ];
    let token = prop_oneof![
        8 => prop::sample::select(tokens).prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_naive_decoder(
        input in near_events(),
        lengths in prop::collection::vec(0_usize..12, 1..8),
        limit in prop_oneof![Just(ROOMY), 0_usize..40],
    ) {
        prop_assert_eq!(decode(&pieces(&input, &lengths), limit), naive(&input, limit));
    }

    #[test]
    fn takes_any_bytes(input in prop::collection::vec(any::<u8>(), 0..400), lengths in prop::collection::vec(0_usize..50, 1..8)) {
        prop_assert_eq!(decode(&pieces(&input, &lengths), 64), naive(&input, 64));
    }
}
