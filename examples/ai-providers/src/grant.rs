//! Turns an answer into what goes over the wire, as the request wishes.

use crate::encoding::Encoding;
use crate::pace::Step;
use crate::reply::{Body, Reply};
use crate::wishes::{Cut, ErrorBody, LineEnd, Wishes};
use bytes::Bytes;
use std::time::Duration;

/// What a client must have read before a connection breaks, else it might lose it.
const BEFORE_BREAK: Duration = Duration::from_millis(30);

/// A response, ready to go.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    /// Its status.
    pub status: u16,
    /// Its headers without its length.
    pub headers: Vec<(&'static str, String)>,
    /// The way of its body.
    pub steps: Vec<Step>,
    /// How long its body is, if that is told before.
    pub length: Option<u64>,
}

/// Grants what the request wishes for the form of an error.
pub fn error(mut reply: Reply, wishes: &Wishes) -> Reply {
    if let Some(seconds) = wishes.retry_after {
        reply = reply.with("retry-after", seconds.to_string());
    }
    let page = |content_type: &str, text: &str| Reply {
        headers: [vec![("content-type", content_type.to_owned())], other_headers(&reply)].concat(),
        ..Reply::whole(reply.status, content_type, text.as_bytes().to_vec())
    };
    match (wishes.body, &reply.body) {
        (Some(ErrorBody::Html), _) => {
            let text = format!(
                "<html>\r\n<head><title>{0}</title></head>\r\n<body><h1>{0}</h1><hr>nginx</body>\r\n</html>\r\n",
                reply.status
            );
            page("text/html", &text)
        }
        (Some(ErrorBody::Text), _) => page("text/plain", "upstream connect error or disconnect/reset before headers"),
        (Some(ErrorBody::Empty), _) => Reply { headers: other_headers(&reply), body: Body::Whole(Vec::new()), ..reply },
        (Some(ErrorBody::Array), Body::Whole(body)) => {
            let body = [b"[", body.as_slice(), b"]"].concat();
            Reply { body: Body::Whole(body), ..reply }
        }
        (Some(ErrorBody::Gzip), _) => {
            let wishes = Wishes { gzip: true, ..wishes.clone() };
            reply.wishing(&wishes)
        }
        _ => reply,
    }
}

fn other_headers(reply: &Reply) -> Vec<(&'static str, String)> {
    reply.headers.iter().filter(|(name, _)| *name != "content-type").cloned().collect()
}

/// Grants the rest.
pub fn grant(reply: Reply) -> Granted {
    let Reply { status, mut headers, body, wishes } = reply;
    let good = status < 400;
    let whole = matches!(body, Body::Whole(_));
    let mut pieces = match body {
        Body::Whole(_) if good && wishes.garbage => vec![b"{\"garbage\": tru".to_vec()],
        Body::Whole(body) => vec![body],
        Body::Stream(stream) => {
            let mut events = stream.events;
            let mut error = stream.error;
            if headers.iter().any(|(_, value)| value.starts_with("text/event-stream")) {
                for event in events.iter_mut().chain([&mut error]) {
                    *event = relined(event, &wishes);
                }
            }
            let half = events.len() / 2;
            if wishes.mid_error.is_some() {
                events.truncate(half);
                events.push(error);
            } else if wishes.garbage {
                events.insert(half, stream.garbage);
            } else if wishes.bad_crc
                && let Some(last) = events.get_mut(half).and_then(|event| event.last_mut())
            {
                *last ^= 0xff;
            }
            events
        }
    };
    let encoding = match (wishes.gzip, wishes.deflate) {
        (true, _) => Some(Encoding::Gzip),
        (false, true) => Some(Encoding::Deflate),
        _ => None,
    };
    if let Some(encoding) = encoding {
        headers.push(("content-encoding", encoding.name().to_owned()));
        pieces = encoding.encode(&pieces);
    }
    if good && let Some(cut) = wishes.reset.or(wishes.truncate) {
        pieces = cut_off(pieces, cut);
    }
    if let Some(size) = wishes.chunk {
        pieces = pieces.concat().chunks(size).map(<[u8]>::to_vec).collect();
    }
    let broken = good && wishes.reset.is_some();
    // HTTP/1.1 has no trailers behind a length
    let told = whole && !broken && !wishes.trailers;
    let length = told.then(|| pieces.iter().map(|piece| piece.len() as u64).sum());
    Granted { status, headers, steps: steps(pieces, &wishes, broken), length }
}

/// An event with the line ends that are wished for, or without its name.
fn relined(event: &[u8], wishes: &Wishes) -> Vec<u8> {
    if wishes.lines.is_none() && !wishes.no_event {
        return event.to_vec();
    }
    let text = String::from_utf8_lossy(event);
    let own = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let end = wishes.lines.map_or(own, LineEnd::text);
    let lines = text.split_terminator(own).filter(|line| !wishes.no_event || !line.starts_with("event:"));
    lines.flat_map(|line| [line, end]).collect::<String>().into_bytes()
}

fn steps(pieces: Vec<Vec<u8>>, wishes: &Wishes, broken: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        if !steps.is_empty() {
            steps.push(Step::Wait(wishes.gap()));
        }
        steps.push(Step::Send(Bytes::from(piece)));
    }
    if broken {
        steps.extend([Step::Wait(BEFORE_BREAK), Step::Break]);
    } else if wishes.trailers {
        steps.push(Step::Trailer);
    }
    steps
}

fn cut_off(mut pieces: Vec<Vec<u8>>, cut: Cut) -> Vec<Vec<u8>> {
    let mut left = match (cut, pieces.as_mut_slice()) {
        (Cut::Bytes(count), _) => count,
        (Cut::Half, [only]) => only.len() / 2,
        (Cut::Half, several) => several.iter().take(several.len() / 2).map(Vec::len).sum(),
    };
    for piece in &mut pieces {
        piece.truncate(left);
        left -= piece.len();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Stream;

    fn stream(words: &str) -> Granted {
        let events = ["one", "two", "three", "four"].map(|event| event.as_bytes().to_vec()).to_vec();
        let stream = Stream { events, error: b"error".to_vec(), garbage: b"garbage".to_vec() };
        grant(Reply::stream("text/event-stream", stream).wishing(&Wishes::default().and(words)))
    }

    fn sent(granted: &Granted) -> Vec<String> {
        let sent = granted.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Step::Break => Some("!".to_owned()),
            Step::Trailer => Some(".".to_owned()),
            Step::Wait(_) => None,
        });
        sent.collect()
    }

    #[test]
    fn streams_break_where_they_are_told_to() {
        for (words, expected) in [
            ("", &["one", "two", "three", "four"][..]),
            ("mid_error", &["one", "two", "error"]),
            ("mid_error=429", &["one", "two", "error"]),
            ("truncate", &["one", "two"]),
            ("truncate=5", &["one", "tw"]),
            ("reset", &["one", "two", "!"]),
            ("reset=1", &["o", "!"]),
            ("garbage", &["one", "two", "garbage", "three", "four"]),
            ("chunk=4", &["onet", "woth", "reef", "our"]),
            ("trailers", &["one", "two", "three", "four", "."]),
            ("bad_crc", &["one", "two", "thre\u{fffd}", "four"]),
        ] {
            assert_eq!(sent(&stream(words)), expected, "{words}");
        }
        let steps = stream("gap_ms=5;truncate").steps;
        assert_eq!(steps.get(1), Some(&Step::Wait(Duration::from_millis(5))));
    }

    #[test]
    fn events_have_other_lines_if_that_is_wished_for() {
        for (event, words, expected) in [
            ("event: a\ndata: 1\n\n", "", "event: a\ndata: 1\n\n"),
            ("event: a\ndata: 1\n\n", "lines=cr", "event: a\rdata: 1\r\r"),
            ("event: a\ndata: 1\n\n", "lines=crlf;no_event", "data: 1\r\n\r\n"),
            ("data: 1\r\n\r\n", "lines=lf", "data: 1\n\n"),
            ("data: 1\r\n\r\n", "no_event", "data: 1\r\n\r\n"),
            (": keep-alive\n\n", "lines=cr", ": keep-alive\r\r"),
        ] {
            let relined = relined(event.as_bytes(), &Wishes::default().and(words));
            assert_eq!(String::from_utf8(relined).unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn whole_bodies_have_a_true_length() {
        let whole = |words: &str| {
            grant(Reply::whole(200, "text/plain", b"0123456789".to_vec()).wishing(&Wishes::default().and(words)))
        };
        assert_eq!(whole("").length, Some(10));
        assert_eq!(whole("truncate").length, Some(5));
        assert_eq!(whole("chunk=3").length, Some(10));
        assert_eq!(sent(&whole("chunk=3")), ["012", "345", "678", "9"]);
        assert_eq!(whole("reset").length, None);
        assert_eq!(whole("trailers").length, None);
    }

    #[test]
    fn errors_come_in_many_forms() {
        let of = |words: &str| {
            let wishes = Wishes::default().and(words);
            let reply = error(Reply::whole(503, "application/json", b"{}".to_vec()).with("request-id", "r"), &wishes);
            let Body::Whole(body) = &reply.body else { panic!() };
            let names: Vec<_> = reply.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            (names.join(", "), String::from_utf8(body.clone()).unwrap())
        };
        let json = "content-type: application/json, request-id: r";
        assert_eq!(of(""), (json.to_owned(), "{}".to_owned()));
        assert_eq!(of("retry_after=3"), (format!("{json}, retry-after: 3"), "{}".to_owned()));
        assert_eq!(of("body=array"), (json.to_owned(), "[{}]".to_owned()));
        assert_eq!(of("body=empty"), ("request-id: r".to_owned(), String::new()));
        assert!(of("body=html").1.starts_with("<html>"));
        assert!(of("body=text").0.starts_with("content-type: text/plain"));
    }
}
