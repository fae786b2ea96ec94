//! The answer to one request.

use std::time::Duration;

use crate::wishes::Wishes;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;

/// A request with this header gets all its headers and trailers back.
const ECHO_HEADERS: &str = "x-echo-headers";

/// Which attempt of a request this is, where the proxy before this server says so (Envoy's
/// `include_request_attempt_count`).
const ATTEMPT: &str = "x-envoy-attempt-count";

/// What the answer tells, in this order.
#[derive(Serialize)]
struct Received<'r> {
    service: &'r str,
    method: &'r str,
    path: String,
    host: String,
    /// Which attempt it was, when the request says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// The size of the body, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_bytes: Option<u64>,
    /// `name: value` for each header, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<String>>,
    /// The same for trailers, when there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<String>,
}

/// Reads the request to its end and tells what it was, late or with an error if its query wishes that. The body is counted,
/// not kept.
pub async fn answer(service: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, mut body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let mut body_bytes = 0;
    let mut trailers = Vec::new();
    // A body that breaks off ends the connection; the answer is then sent to nobody.
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            body_bytes += data.len() as u64;
        } else if let Some(fields) = frame.trailers_ref() {
            trailers = lines(fields);
        }
    }
    let host = match (head.headers.get(HOST), head.uri.authority()) {
        (_, Some(authority)) => authority.to_string(),
        (Some(host), None) => printable(host.as_bytes()),
        (None, None) => String::new(),
    };
    let path = head.uri.path_and_query().map_or("*", |path| path.as_str());
    let attempt = head.headers.get(ATTEMPT).and_then(|value| value.to_str().ok()?.parse().ok());
    let wishes = Wishes::read(head.uri.query().unwrap_or_default());
    let received = Received {
        service,
        method: head.method.as_str(),
        path: printable(path.as_bytes()),
        host,
        attempt,
        body_bytes: has_body.then_some(body_bytes),
        headers: head.headers.contains_key(ECHO_HEADERS).then(|| lines(&head.headers)),
        trailers,
    };
    // Strings and numbers always become JSON.
    let mut text = serde_json::to_string(&received).unwrap_or_default();
    text.push('\n');
    tokio::time::sleep(Duration::from_millis(wishes.delay_ms)).await;
    let mut response = Response::new(Full::from(text));
    // Without a number, every attempt is the first.
    if attempt.unwrap_or(1) <= wishes.failures {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn lines(fields: &HeaderMap) -> Vec<String> {
    fields.iter().map(|(name, value)| format!("{name}: {}", printable(value.as_bytes()))).collect()
}

/// Text as it is; a byte that is no UTF-8 as `\xNN`.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        assert_eq!(printable(b"/plain?x=1"), "/plain?x=1");
        assert_eq!(printable("/münchen".as_bytes()), "/münchen");
        assert_eq!(printable(b"a\xff\xc3(b"), "a\\xFF\\xC3(b");
        assert_eq!(printable(b""), "");
    }
}
