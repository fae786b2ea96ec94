//! Where headers, data and trailers leave the chain, and the replies that the host makes itself.

use crate::chain::Chain;
use crate::effect::{Effect, LocalReply, ResetReason};
use crate::header_edits::HeaderEdits;
use crate::headers::{HeaderMap, Role};
use crate::stream_data::Direction;

impl Chain<'_> {
    pub(crate) fn emit_headers(&mut self, direction: Direction, end: bool) {
        // A filter that resumes in its own callback and goes on sends the headers twice through the later filters.
        if std::mem::replace(&mut self.stream.sides.of_mut(direction).headers_left, true) {
            return;
        }
        let headers = self.with_half(direction, |half| half.headers.clone()).unwrap_or_default();
        match direction {
            Direction::Request => {
                let behind_routing = self.stream.data.borrow().attributes.behind_routing;
                if let Some(why) = unsendable(&headers, behind_routing) {
                    self.stream.sides.of_mut(Direction::Request).aborted = true;
                    self.send_reply(LocalReply {
                        status: 503,
                        body: why.clone().into_bytes(),
                        details: format!("filter_removed_required_request_headers{{{}}}", why.replace(' ', "_")),
                        ..LocalReply::default()
                    });
                    return;
                }
                self.stream.effects.push(Effect::RequestHeaders(headers, end));
            }
            Direction::Response => {
                self.stream.response_started = true;
                self.stream.effects.push(Effect::ResponseHeaders(headers, end));
            }
        }
        self.stream.sides.of_mut(direction).finished |= end;
    }

    pub(crate) fn emit_data(&mut self, direction: Direction, end: bool) {
        let data = self.with_half(direction, |half| std::mem::take(half.flowing()));
        let side = self.stream.sides.of_mut(direction);
        if side.finished || (data.is_empty() && !end) {
            return;
        }
        side.finished = end;
        match direction {
            Direction::Request => self.stream.effects.push(Effect::RequestData(data, end)),
            Direction::Response => {
                self.stream.data.borrow_mut().sent += data.len() as u64;
                self.stream.effects.push(Effect::ResponseData(data, end));
            }
        }
    }

    pub(crate) fn emit_trailers(&mut self, direction: Direction) {
        let trailers = self.with_half(direction, |half| half.trailers.clone()).unwrap_or_default();
        if std::mem::replace(&mut self.stream.sides.of_mut(direction).finished, true) {
            return;
        }
        self.stream.effects.push(match direction {
            Direction::Request => Effect::RequestTrailers(trailers),
            Direction::Response => Effect::ResponseTrailers(trailers),
        });
    }

    /// Too much is held back, and nobody said that it may grow.
    pub(crate) fn check_limit(&mut self, direction: Direction) {
        let held = self.with_half(direction, |half| half.buffer.as_ref().map_or(0, Vec::len));
        let limit = self.stream.data.borrow().attributes.limit(direction);
        if held <= limit || self.stream.sides.of(direction).streaming {
            return;
        }
        let (status, text, details) = match direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        self.local_reply(LocalReply {
            status,
            body: text.as_bytes().to_vec(),
            details: details.to_owned(),
            ..LocalReply::default()
        });
    }

    /// A reply that somebody asks for. The first one wins.
    pub(crate) fn local_reply(&mut self, reply: LocalReply) {
        let response_over = self.stream.sides.of(Direction::Response).finished;
        if self.stream.reset || response_over || self.stream.prepared.is_some() {
            return;
        }
        let decoding = self.stream.sides.of(Direction::Request).depth > 0;
        let has_response = self.with_half(Direction::Response, |half| half.headers.is_some());
        if !has_response {
            if decoding {
                // Sent once the callback has returned; nothing moves on until then.
                self.stream.sides.of_mut(Direction::Request).aborted = true;
                self.stream.prepared = Some(reply);
            } else {
                self.send_reply(reply);
            }
            return;
        }
        self.stream.data.borrow_mut().details = Some(reply.details.clone());
        self.stream.sides.of_mut(Direction::Response).aborted = true;
        self.stream.replied = true;
        if self.stream.response_started {
            self.reset(ResetReason::ReplyTooLate(reply.details));
            return;
        }
        // No filter sees a reply that replaces the upstream's response.
        let (headers, body) = self.make_response(&reply);
        self.emit_reply(headers, body);
    }

    /// A whole response leaves the chain past its filters.
    fn emit_reply(&mut self, headers: HeaderMap, body: Vec<u8>) {
        let end = body.is_empty();
        self.with_half(Direction::Response, |half| half.headers = Some(headers.clone()));
        self.stream.response_started = true;
        self.stream.sides.of_mut(Direction::Response).finished = true;
        self.stream.effects.push(Effect::ResponseHeaders(headers, end));
        if !end {
            self.stream.data.borrow_mut().sent += body.len() as u64;
            self.stream.effects.push(Effect::ResponseData(body, true));
        }
    }

    /// Sends a reply back through the filters that have seen the request, the replying one first.
    pub(crate) fn send_reply(&mut self, reply: LocalReply) {
        self.stream.replied = true;
        let (headers, body) = self.make_response(&reply);
        self.stream.data.borrow_mut().details = Some(reply.details);
        if self.stream.data.borrow().attributes.behind_routing {
            // Envoy hands it to the chain before the router, which runs its own response callbacks
            return self.emit_reply(headers, body);
        }
        let end = body.is_empty();
        self.with_half(Direction::Response, |half| half.headers = Some(headers));
        self.stream.sides.of_mut(Direction::Response).ended = end;
        self.headers(Direction::Response, 0, end);
        if !end && !self.stream.reset {
            self.stream.sides.of_mut(Direction::Response).ended = true;
            self.with_half(Direction::Response, |half| half.chunk = body);
            self.data(Direction::Response, 0, false, true);
        }
    }

    fn make_response(&mut self, reply: &LocalReply) -> (HeaderMap, Vec<u8>) {
        let mut data = self.stream.data.borrow_mut();
        data.response_code = Some(reply.status);
        let edits = data.route().map(|route| route.response_edits.clone()).unwrap_or_default();
        response(reply, &edits, self.stream.is_grpc, self.stream.is_head)
    }
}

/// The message that a local reply becomes, with the route's edits before its own headers.
pub(crate) fn response(
    reply: &LocalReply,
    edits: &[HeaderEdits],
    to_grpc: bool,
    to_head: bool,
) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.add(":status", reply.status.to_string());
    for edits in edits {
        edits.apply(Role::Response, &mut headers);
    }
    for (name, value) in &reply.headers {
        if !name.eq_ignore_ascii_case(b":status") && !name.eq_ignore_ascii_case(b"content-length") {
            headers.append(Role::Response, name, value);
        }
    }
    let mut body = reply.body.clone();
    if to_grpc {
        headers.replace(":status", "200");
        headers.replace("content-type", "application/grpc");
        if headers.get(b"grpc-status").is_none() {
            headers.add("grpc-status", reply.grpc_status.unwrap_or_else(|| grpc_status(reply.status)).to_string());
        }
        if !body.is_empty() && !to_head {
            headers.replace("grpc-message", percent_encoded(&body));
        }
        body.clear();
    } else if body.is_empty() {
        headers.remove(b"content-type");
    } else {
        headers.replace("content-length", body.len().to_string());
        if headers.get(b"content-type").is_none() {
            headers.add("content-type", "text/plain");
        }
        if to_head {
            body.clear();
        }
    }
    (headers, body)
}

/// Why the codec would refuse these request headers.
fn unsendable(headers: &HeaderMap, behind_routing: bool) -> Option<String> {
    if headers.get(b":path").is_none() {
        // Before the router there is no route without a path, and its 404 comes first.
        return behind_routing.then(|| "missing required header: :path".to_owned());
    }
    if headers.get(b":method").is_none() {
        return Some("missing required header: :method".to_owned());
    }
    let bad = headers.iter().find(|(_, value)| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)))?;
    Some(format!("invalid header value for: {}", String::from_utf8_lossy(bad.0)))
}

/// The gRPC status that stands for an HTTP status.
pub(crate) fn grpc_status(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_the_codec_refuses_are_found() {
        let base = [(":method", "GET"), (":path", "/"), ("x", "a b")];
        let mut headers: HeaderMap = base.into_iter().collect();
        assert_eq!(unsendable(&headers, false), None);
        headers.replace("x", "a\rb");
        assert_eq!(unsendable(&headers, false).as_deref(), Some("invalid header value for: x"));
        headers.remove(b":method");
        assert_eq!(unsendable(&headers, false).as_deref(), Some("missing required header: :method"));
        headers.remove(b":path");
        assert_eq!(unsendable(&headers, false), None);
        assert_eq!(unsendable(&headers, true).as_deref(), Some("missing required header: :path"));
    }

    #[test]
    fn grpc_messages_are_percent_encoded() {
        assert_eq!(percent_encoded(b"a%\n\xff"), b"a%25%0A%FF");
    }
}
