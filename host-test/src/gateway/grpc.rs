//! Unary gRPC callouts on the network, ending as they do in Envoy 1.40.

use std::cell::Cell;
use std::rc::Rc;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::callouts::{MAX_ANSWER_BYTES, whole};
use super::clusters::ThreadCluster;
use super::words::Failure;
use super::{head, http2};
use crate::outlet::grpc_status;
use crate::{GrpcAnswer, GrpcCallout};

/// Calls under way that a thread has at most for one cluster. Envoy's default limit of requests to a cluster is the same.
const MAX_CALLS: usize = 1024;
/// The longest frame head: flag and length.
const FRAME_HEAD: usize = 5;
/// The greatest status that gRPC knows.
const MAX_STATUS: u32 = 16;
/// What Envoy makes of other ones.
const INVALID_STATUS: u32 = u32::MAX;
/// What Envoy puts behind the message of a status that a server has sent.
const VIA_UPSTREAM: &str = "via_upstream";

/// gRPC statuses of its own making.
const UNKNOWN: u32 = 2;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;

/// Makes a call.
pub(super) async fn call(cluster: Option<Rc<ThreadCluster>>, callout: GrpcCallout) -> GrpcAnswer {
    let Some(cluster) = cluster else { return GrpcAnswer::unknown_cluster() };
    let Some(_place) = Place::take(&cluster) else { return before_head("overflow") };
    let _active = cluster.state.stats.rq_active.hold();
    let answering = Cell::new(false);
    let asking = ask(&cluster, &callout, &answering);
    match callout.timeout {
        None => asking.await,
        Some(timeout) => tokio::time::timeout(timeout, asking).await.unwrap_or_else(|_| {
            cluster.state.stats.rq_timeout.inc();
            if answering.get() { failed(INTERNAL, "response_timeout") } else { GrpcAnswer::timeout() }
        }),
    }
}

/// One of the calls that may be under way.
struct Place(Rc<ThreadCluster>);

impl Place {
    fn take(cluster: &Rc<ThreadCluster>) -> Option<Self> {
        let taken = cluster.calls.get();
        (taken < MAX_CALLS).then(|| {
            cluster.calls.set(taken + 1);
            Self(cluster.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.set(self.0.calls.get().saturating_sub(1));
    }
}

/// Makes a call, and says when the head of the answer has come.
async fn ask(cluster: &Rc<ThreadCluster>, callout: &GrpcCallout, answering: &Cell<bool>) -> GrpcAnswer {
    let stats = &cluster.state.stats;
    let Some(address) = cluster.pick() else {
        stats.cx_none_healthy.inc();
        return GrpcAnswer::no_healthy_upstream();
    };
    let Some(request) = request(callout, cluster.state.config.http2) else { return unreachable(Failure::NotHttp) };
    let (response, lease) = match cluster.clone().send(address, request).await {
        Ok(answered) => answered,
        Err(failure) => return unreachable(failure),
    };
    answering.set(true);
    stats.answered(response.status().as_u16());
    let (parts, body) = response.into_parts();
    let ends = body.is_end_stream();
    if parts.status != http::StatusCode::OK && !(ends && parts.headers.contains_key("grpc-status")) {
        return failed(grpc_status(u32::from(parts.status.as_u16())), VIA_UPSTREAM);
    }
    if ends {
        lease.give_back();
        return closed(&parts.headers, None);
    }
    let answer = read(body).await;
    lease.give_back();
    answer
}

/// The request, unless HTTP does not take what the guest's metadata makes of it.
fn request(callout: &GrpcCallout, is_http2: bool) -> Option<http::Request<super::pipe::Reader>> {
    let map = callout.request_head();
    let is_foreign = |(name, value): (&[u8], &[u8])| match name {
        b"connection" | b"content-length" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            true
        }
        b"te" => value != b"trailers",
        _ => false,
    };
    if map.iter().any(is_foreign) {
        return None;
    }
    let mut request = head::to_upstream(&map, whole(callout.frame())).ok()?;
    if is_http2 {
        let scheme = http::uri::Scheme::try_from(map.get(b":scheme").unwrap_or(b"http")).ok()?;
        let authority = http::uri::Authority::try_from(map.get(b":authority").unwrap_or_default()).ok()?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(scheme);
        parts.authority = Some(authority);
        *request.uri_mut() = http::Uri::from_parts(parts).ok()?;
    }
    Some(request)
}

/// Reads the answer behind its head.
async fn read(mut body: Incoming) -> GrpcAnswer {
    let mut frames = Frames::default();
    loop {
        let frame = match body.frame().await {
            // Trailers tell the status, so an end without them tells none.
            None => return failed(UNKNOWN, VIA_UPSTREAM),
            Some(Err(error)) => {
                let reason = match http2::failure(&error) {
                    Failure::Reset | Failure::StreamRefused => "remote_reset",
                    _ => "connection_termination",
                };
                return failed(INTERNAL, &format!("upstream_reset_after_response_started{{{reason}}}"));
            }
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => {
                if let Err(answer) = frames.take(&data) {
                    return answer;
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return closed(&trailers, frames.message);
                }
            }
        }
    }
}

/// What a status says, and its message.
fn closed(headers: &http::HeaderMap, message: Option<Vec<u8>>) -> GrpcAnswer {
    let status = headers.get("grpc-status").map(|value| {
        let number = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        number.filter(|number| *number <= MAX_STATUS).unwrap_or(INVALID_STATUS)
    });
    let status = status.unwrap_or(UNKNOWN);
    if status == 0 {
        // One without a message is no answer.
        return message.map_or_else(|| failed(INTERNAL, ""), GrpcAnswer::Message);
    }
    let text = headers.get("grpc-message").map(|value| String::from_utf8_lossy(value.as_bytes()));
    match text.filter(|text| !text.is_empty()) {
        Some(text) => failed(status, &format!("{text}{{{VIA_UPSTREAM}}}")),
        None => failed(status, VIA_UPSTREAM),
    }
}

fn failed(status: u32, message: &str) -> GrpcAnswer {
    GrpcAnswer::Failed { status, message: message.to_owned() }
}

fn unreachable(failure: Failure) -> GrpcAnswer {
    match failure {
        Failure::NoHost => GrpcAnswer::no_healthy_upstream(),
        Failure::Connect | Failure::Tls => GrpcAnswer::refused(),
        Failure::ConnectTimeout => before_head("connection timeout"),
        Failure::Ended => before_head("connection termination"),
        Failure::NotHttp => before_head("protocol error"),
        Failure::Reset => before_head("remote reset"),
        Failure::StreamRefused => before_head("remote refused stream reset"),
    }
}

fn before_head(reason: &str) -> GrpcAnswer {
    let details = reason.replace(' ', "_");
    GrpcAnswer::unavailable(&format!(
        "upstream connect error or disconnect/reset before headers. reset reason: \
         {reason}{{upstream_reset_before_response_started{{{details}}}}}"
    ))
}

/// Frames on their way in, and the last whole message.
#[derive(Debug, Default)]
struct Frames {
    rest: Vec<u8>,
    received: usize,
    message: Option<Vec<u8>>,
}

impl Frames {
    /// Takes the next bytes. An error ends the call.
    fn take(&mut self, data: &[u8]) -> Result<(), GrpcAnswer> {
        self.received = self.received.saturating_add(data.len());
        if self.received > MAX_ANSWER_BYTES {
            return Err(failed(RESOURCE_EXHAUSTED, "the answer is larger than the embedded gateway takes"));
        }
        self.rest.extend_from_slice(data);
        let mut read = 0;
        while let Some([flag, length @ ..]) = self.rest.get(read..).and_then(|rest| rest.first_chunk::<FRAME_HEAD>()) {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let start = read + FRAME_HEAD;
            let message = start.checked_add(length).and_then(|end| self.rest.get(start..end));
            // A compressed message cannot be read; nobody said that it may be one.
            if *flag > 1 || (*flag == 1 && length > 0 && message.is_some()) {
                return Err(failed(INTERNAL, VIA_UPSTREAM));
            }
            let Some(message) = message else { break };
            read = start + length;
            self.message = Some(message.to_vec());
        }
        if self.rest.get(read).is_some_and(|flag| *flag > 1) {
            return Err(failed(INTERNAL, VIA_UPSTREAM));
        }
        self.rest.drain(..read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_wherever_they_are_cut() {
        let bytes = b"\0\0\0\0\x03one\0\0\0\0\0\0\0\0\0\x03two\0\0";
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            for piece in bytes.chunks(size) {
                frames.take(piece).unwrap();
            }
            assert_eq!((frames.message.as_deref(), frames.rest.as_slice()), (Some(&b"two"[..]), &b"\0\0"[..]));
        }
    }

    #[test]
    fn what_is_no_plain_frame_ends_the_call() {
        for bytes in [&b"\x02"[..], b"<html>", b"\x01\0\0\0\x01x", b"\0\0\0\0\0\x80"] {
            assert_eq!(Frames::default().take(bytes), Err(failed(INTERNAL, VIA_UPSTREAM)), "{}", bytes.escape_ascii());
        }
        assert_eq!(Frames::default().take(b"\x01\0\0\0\0"), Ok(()), "nothing is compressed there");
    }

    proptest::proptest! {
        #[test]
        fn a_servers_bytes_never_panic_and_cuts_change_nothing(
            bytes in proptest::collection::vec(0_u8..3, 0..64),
            cut in 0_usize..64,
        ) {
            let mut whole = Frames::default();
            let at_once = whole.take(&bytes);
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut pieces = Frames::default();
            let in_pieces = pieces.take(head).and_then(|()| pieces.take(tail));
            proptest::prop_assert_eq!(&at_once, &in_pieces);
            if at_once.is_ok() {
                proptest::prop_assert_eq!(whole.message, pieces.message);
            }
        }
    }

    #[test]
    fn an_answer_has_a_largest_size() {
        let mut frames = Frames::default();
        frames.take(b"\0\xff\xff\xff\xff").unwrap();
        frames.take(&vec![0; MAX_ANSWER_BYTES - 5]).unwrap();
        assert!(matches!(frames.take(b"x"), Err(GrpcAnswer::Failed { status: RESOURCE_EXHAUSTED, .. })));
    }
}
