//! HTTP/1.1 messages on a socket, read and written byte for byte.

use super::observe::Message;
use std::io::{self, Read};

/// Largest head, and largest body, that a test needs.
const MAX_HEAD: usize = 1024 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Reads messages from one connection.
pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
}

/// Which end of a connection the messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests.
    Request,
    /// Responses; a response to `HEAD` has no body.
    Response {
        /// The request was a `HEAD`.
        to_head: bool,
    },
}

/// A message, or as much of it as came before the connection ended.
pub struct Received {
    /// What came.
    pub message: Message,
    /// It came to its proper end.
    pub complete: bool,
}

impl<R: Read> Reader<R> {
    /// A reader at the start of a connection.
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// The next message; nothing if the connection ended before it began.
    pub fn message(&mut self, kind: Kind) -> io::Result<Option<Received>> {
        let Some(head) = self.until(b"\r\n\r\n", MAX_HEAD)? else { return Ok(None) };
        let mut message = Message { headers: headers(&head, kind), ..Message::default() };
        let complete = self.body(&mut message, kind).is_ok();
        if complete && !self.buffer.is_empty() {
            message.framing =
                Some(format!("{} bytes behind the body: {}", self.buffer.len(), self.buffer.escape_ascii()));
        }
        Ok(Some(Received { message, complete }))
    }

    fn body(&mut self, message: &mut Message, kind: Kind) -> io::Result<()> {
        let status = message.value(":status").unwrap_or_default();
        if kind == (Kind::Response { to_head: true }) || status == b"204" || status == b"304" {
            return Ok(());
        }
        let chunked = message.values("transfer-encoding").any(|value| value.eq_ignore_ascii_case(b"chunked"));
        let length = message.value("content-length").and_then(|v| std::str::from_utf8(v).ok()?.parse::<usize>().ok());
        match (chunked, length, kind) {
            (true, _, _) => self.chunks(message),
            (false, Some(length), _) => self.take(length, &mut message.body),
            (false, None, Kind::Request) => Ok(()),
            (false, None, Kind::Response { .. }) => {
                while self.fill()? {}
                message.body.append(&mut self.buffer);
                Ok(())
            }
        }
    }

    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.until(b"\r\n", MAX_HEAD)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let digits = line.split(|b| *b == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            if size == 0 {
                break;
            }
            self.take(size, &mut message.body)?;
            self.until(b"\r\n", 2)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        loop {
            let line = self.until(b"\r\n", MAX_HEAD)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match field(&line) {
                Some(field) => message.trailers.push(field),
                None => return Ok(()),
            }
        }
    }

    /// Bytes up to a mark, without it; nothing at the end of the connection.
    fn until(&mut self, mark: &[u8], limit: usize) -> io::Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            let start: usize = from;
            let tail = self.buffer.get(start..).unwrap_or_default();
            if let Some(at) = tail.windows(mark.len()).position(|window| window == mark) {
                let rest = self.buffer.split_off(start + at + mark.len());
                let mut taken = std::mem::replace(&mut self.buffer, rest);
                taken.truncate(start + at);
                return Ok(Some(taken));
            }
            from = self.buffer.len().saturating_sub(mark.len());
            if self.buffer.len() > limit + mark.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, size: usize, body: &mut Vec<u8>) -> io::Result<()> {
        if size > MAX_BODY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        while self.buffer.len() < size {
            if !self.fill()? {
                body.append(&mut self.buffer);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(size);
        body.append(&mut std::mem::replace(&mut self.buffer, rest));
        Ok(())
    }

    /// More bytes; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 * 1024];
        let size = self.source.read(&mut piece)?;
        self.buffer.extend_from_slice(piece.get(..size).unwrap_or_default());
        Ok(size > 0)
    }
}

fn headers(head: &[u8], kind: Kind) -> Vec<(String, Vec<u8>)> {
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().splitn(3, |b| *b == b' ').map(<[u8]>::to_vec);
    let mut headers = Vec::new();
    let mut first = words.next().unwrap_or_default();
    if kind == Kind::Request {
        headers.push((":method".to_owned(), std::mem::take(&mut first)));
        headers.push((":path".to_owned(), words.next().unwrap_or_default()));
    } else {
        headers.push((":status".to_owned(), words.next().unwrap_or_default()));
    }
    for (name, value) in lines.filter_map(field) {
        let name = if name == "host" { ":authority".to_owned() } else { name };
        headers.push((name, value));
    }
    headers
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|b| *b == b':')?;
    let name = String::from_utf8_lossy(line.get(..colon)?).to_ascii_lowercase();
    Some((name, line.get(colon + 1..)?.trim_ascii().to_vec()))
}

/// Writes a message: a first line, headers, and a body with its framing.
pub fn write(
    first: &[u8],
    headers: &[(String, Vec<u8>)],
    body: Option<&[u8]>,
    trailers: &[(String, Vec<u8>)],
) -> Vec<u8> {
    let mut bytes = [first, b"\r\n"].concat();
    let line = |bytes: &mut Vec<u8>, name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for (name, value) in headers {
        line(&mut bytes, name, value);
    }
    let Some(body) = body else { return [bytes, b"\r\n".to_vec()].concat() };
    if trailers.is_empty() {
        line(&mut bytes, "content-length", body.len().to_string().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        return bytes;
    }
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    if !body.is_empty() {
        bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        line(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], kind: Kind) -> Received {
        Reader::new(bytes).message(kind).unwrap().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let headers = [("host".to_owned(), b"a".to_vec()), ("x".to_owned(), b"\xff".to_vec())];
        for trailers in [vec![], vec![("t".to_owned(), b"1".to_vec())]] {
            let received = read(&write(b"POST /a HTTP/1.1", &headers, Some(b"body"), &trailers), Kind::Request);
            assert!(received.complete);
            let message = received.message;
            assert_eq!((message.value(":path"), message.value("x")), (Some(&b"/a"[..]), Some(&b"\xff"[..])));
            assert_eq!((message.body.as_slice(), message.trailers, message.framing), (&b"body"[..], trailers, None));
        }
    }

    #[test]
    fn a_body_that_is_not_as_long_as_said_is_noticed() {
        let long = read(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nabc", Kind::Request);
        assert_eq!(long.message.framing.as_deref(), Some("1 bytes behind the body: c"));
        let short = read(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc", Kind::Response { to_head: false });
        assert!(!short.complete);
        let cut = read(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Kind::Response { to_head: false },
        );
        assert!(!cut.complete && cut.message.body == b"abc");
    }
}
