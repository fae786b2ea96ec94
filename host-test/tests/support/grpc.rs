//! A small gRPC server over plain h2. The method of a call says what the server does.
#![allow(dead_code)]

use bytes::Bytes;
use h2::server::SendResponse;
use host_test::GrpcAnswer;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How Envoy 1.40 tells a guest of what the server does, by method.
pub const OUTCOMES: &[(&str, Outcome)] = &[
    ("Late", Outcome::Message("late")),
    ("Say", Outcome::Message("pong")),
    ("Empty", Outcome::Message("")),
    ("Two", Outcome::Message("two")),
    ("Fail", Outcome::Failed(8, "too%20many%21{via_upstream}")),
    ("FailBare", Outcome::Failed(5, "via_upstream")),
    ("FailAtOnce", Outcome::Failed(7, "not you{via_upstream}")),
    ("FailAtOnce503", Outcome::Failed(7, "not you{via_upstream}")),
    ("OkAtOnce", Outcome::Failed(13, "")),
    ("NoMessage", Outcome::Failed(13, "")),
    ("Cut", Outcome::Failed(13, "")),
    ("OddStatus", Outcome::Failed(u32::MAX, "odd{via_upstream}")),
    ("HighStatus", Outcome::Failed(u32::MAX, "high{via_upstream}")),
    ("HugeStatus", Outcome::Failed(u32::MAX, "via_upstream")),
    ("BadMessage", Outcome::Failed(3, "%zz%4{via_upstream}")),
    ("NoStatus", Outcome::Failed(2, "via_upstream")),
    ("NoTrailers", Outcome::Failed(2, "via_upstream")),
    ("NoTrailersNoMessage", Outcome::Failed(2, "via_upstream")),
    ("Compressed", Outcome::Failed(13, "via_upstream")),
    ("Garbage", Outcome::Failed(13, "via_upstream")),
    ("Http404", Outcome::Failed(12, "via_upstream")),
    ("Http429", Outcome::Failed(14, "via_upstream")),
    ("Http500", Outcome::Failed(2, "via_upstream")),
    ("Http204", Outcome::Failed(2, "via_upstream")),
    (
        "Reset",
        Outcome::Failed(
            14,
            "upstream connect error or disconnect/reset before headers. reset reason: remote reset{upstream_reset_before_response_started{remote_reset}}",
        ),
    ),
    (
        "Refuse",
        Outcome::Failed(
            14,
            "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset{upstream_reset_before_response_started{remote_refused_stream_reset}}",
        ),
    ),
    (
        "Hangup",
        Outcome::Failed(
            14,
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination{upstream_reset_before_response_started{connection_termination}}",
        ),
    ),
    ("ResetLater", Outcome::Failed(13, "upstream_reset_after_response_started{remote_reset}")),
    ("Stall", Outcome::Failed(13, "response_timeout")),
    ("Never", Outcome::Failed(14, "upstream request timeout{response_timeout}")),
];

#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Message(&'static str),
    Failed(u32, &'static str),
}

impl Outcome {
    pub fn of(method: &str) -> Option<Self> {
        OUTCOMES.iter().find(|(name, _)| *name == method).map(|(_, outcome)| *outcome)
    }

    pub fn answer(self) -> GrpcAnswer {
        match self {
            Self::Message(message) => GrpcAnswer::Message(message.as_bytes().to_vec()),
            Self::Failed(status, message) => GrpcAnswer::Failed { status, message: message.to_owned() },
        }
    }
}

/// The server, on its own thread, for as long as the test runs.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub connections: usize,
    pub calls: usize,
    /// Calls that the client has reset.
    pub resets: usize,
}

impl Server {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self { port: address.port(), seen: Arc::default() };
        let shared = server.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    shared.seen.lock().unwrap().connections += 1;
                    tokio::spawn(shared.clone().connection(stream));
                }
            });
        });
        server
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap()
    }

    async fn connection(self, stream: tokio::net::TcpStream) {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            self.seen.lock().unwrap().calls += 1;
            if request.uri().path().ends_with("/Hangup") {
                return;
            }
            let server = self.clone();
            tokio::spawn(async move { server.call(request, respond).await });
        }
    }

    async fn call(self, request: http::Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
        let (parts, mut body) = request.into_parts();
        let mut data = Vec::new();
        while let Some(Ok(chunk)) = body.data().await {
            data.extend_from_slice(&chunk);
            let _ = body.flow_control().release_capacity(chunk.len());
        }
        let method = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let ok = [("grpc-status", "0")];
        match method.as_str() {
            "Say" => answer(&mut respond, 200, &framed(0, b"pong"), &ok),
            "Empty" => answer(&mut respond, 200, &framed(0, b""), &ok),
            "Echo" => answer(&mut respond, 200, &data, &ok),
            // The request's head and frame as the message.
            "Show" => {
                let mut shown = vec![format!(":method={} :path={}", parts.method, parts.uri.path())];
                shown.push(format!(":scheme={}", parts.uri.scheme_str().unwrap_or_default()));
                shown.push(format!(":authority={}", parts.uri.authority().map_or("", |name| name.as_str())));
                for (name, value) in &parts.headers {
                    if name != "x-request-id" {
                        shown.push(format!("{name}={}", value.as_bytes().escape_ascii()));
                    }
                }
                shown.push(format!("frame={}", data.escape_ascii()));
                answer(&mut respond, 200, &framed(0, shown.join(" ").as_bytes()), &ok);
            }
            "Late" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                answer(&mut respond, 200, &framed(0, b"late"), &ok);
            }
            "Fail" => {
                answer(&mut respond, 200, &framed(0, b"x"), &[("grpc-status", "8"), ("grpc-message", "too%20many%21")]);
            }
            "FailBare" => answer(&mut respond, 200, b"", &[("grpc-status", "5")]),
            "FailAtOnce" => only_head(&mut respond, 200, &[("grpc-status", "7"), ("grpc-message", "not you")]),
            "FailAtOnce503" => only_head(&mut respond, 503, &[("grpc-status", "7"), ("grpc-message", "not you")]),
            "OkAtOnce" => only_head(&mut respond, 200, &ok),
            "OddStatus" => answer(&mut respond, 200, b"", &[("grpc-status", "abc"), ("grpc-message", "odd")]),
            "HighStatus" => answer(&mut respond, 200, b"", &[("grpc-status", "99"), ("grpc-message", "high")]),
            "HugeStatus" => answer(&mut respond, 200, b"", &[("grpc-status", "4294967296")]),
            "BadMessage" => answer(&mut respond, 200, b"", &[("grpc-status", "3"), ("grpc-message", "%zz%4")]),
            "NoMessage" => answer(&mut respond, 200, b"", &ok),
            "NoStatus" => answer(&mut respond, 200, &framed(0, b"pong"), &[("x-other", "1")]),
            "NoTrailers" => answer(&mut respond, 200, &framed(0, b"pong"), &[]),
            "NoTrailersNoMessage" => only_head(&mut respond, 200, &[]),
            "Two" => answer(&mut respond, 200, &[framed(0, b"one"), framed(0, b"two")].concat(), &ok),
            "Compressed" => answer(&mut respond, 200, &framed(1, b"pong"), &ok),
            "Garbage" => answer(&mut respond, 200, b"garbage, not a frame", &ok),
            "Cut" => answer(&mut respond, 200, &framed(0, b"pong")[..7], &ok),
            "Page" => answer(&mut respond, 200, b"<html>", &[]),
            "Http404" => answer(&mut respond, 404, b"not here", &[]),
            "Http429" => only_head(&mut respond, 429, &[]),
            "Http500" => answer(&mut respond, 500, b"oops", &[]),
            "Http204" => only_head(&mut respond, 204, &[]),
            "Large" => answer(&mut respond, 200, &framed(0, &vec![b'x'; 3_000_000]), &ok),
            "TooLarge" => answer(&mut respond, 200, &framed(0, &vec![b'x'; 17 << 20]), &ok),
            "Reset" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            "Refuse" => respond.send_reset(h2::Reason::REFUSED_STREAM),
            // Head and half a frame, and nothing more.
            "Stall" => {
                if let Ok(mut stream) = respond.send_response(head(200, &[]), false) {
                    let _ = stream.send_data(Bytes::from(framed(0, b"pong")[..7].to_vec()), false);
                    let _ = std::future::poll_fn(|context| stream.poll_reset(context)).await;
                }
            }
            "ResetLater" => {
                if let Ok(mut stream) = respond.send_response(head(200, &[]), false) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.send_reset(h2::Reason::CANCEL);
                }
            }
            // Never, and other methods too.
            _ => {
                if std::future::poll_fn(|context| respond.poll_reset(context)).await.is_ok() {
                    self.seen.lock().unwrap().resets += 1;
                }
            }
        }
    }
}

/// A message behind its flag and length.
pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend(message);
    out
}

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).unwrap();
    *head.headers_mut() = map(fields);
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    head.headers_mut().insert("x-initial", HeaderValue::from_static("1"));
    head
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

fn only_head(respond: &mut SendResponse<Bytes>, status: u16, fields: &[(&'static str, &'static str)]) {
    let _ = respond.send_response(head(status, fields), true);
}

/// Head, data and trailers; without trailers the data ends the answer.
fn answer(respond: &mut SendResponse<Bytes>, status: u16, data: &[u8], trailers: &[(&'static str, &'static str)]) {
    let Ok(mut stream) = respond.send_response(head(status, &[]), false) else { return };
    let end = trailers.is_empty();
    if !data.is_empty() || end {
        let _ = stream.send_data(Bytes::copy_from_slice(data), end);
    }
    if !end {
        let _ = stream.send_trailers(map(trailers));
    }
}
