//! A client that sees bytes: what came, and whether it ended well.
#![allow(dead_code)]

use mock_providers::{Kind, Server};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body ended as HTTP says.
    pub complete: bool,
    /// The connection was reset.
    pub reset: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The data of all events but `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let data = self.text().lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

/// Sends a request and reads all that comes.
pub fn send(server: &Server, kind: Kind, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(server.address(kind).unwrap()).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut raw = Vec::new();
    let mut buffer = [0; 65536];
    let reset = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break false,
            Ok(count) => raw.extend_from_slice(&buffer[..count]),
            Err(_) => break true,
        }
    };
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(raw[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let rest = &raw[end..];
    let (body, ended) =
        if head.contains("transfer-encoding: chunked") { unchunked(rest) } else { (rest.to_vec(), true) };
    Response { status, head, body, complete: ended && !reset, reset }
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        rest = &rest[line + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

/// Posts JSON with the headers that the provider wants, and these.
pub fn post(server: &Server, kind: Kind, path: &str, more: &[(&str, &str)], body: &Value) -> Response {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend_from_slice(match kind {
        Kind::Anthropic => &[("x-api-key", "key"), ("anthropic-version", "2023-06-01")],
        Kind::Gemini => &[("x-goog-api-key", "key")],
        Kind::Azure => &[("api-key", "key")],
        _ => &[("authorization", "Bearer key")],
    });
    headers.extend_from_slice(more);
    send(server, kind, "POST", path, &headers, body.to_string().as_bytes())
}

/// A request body with some members changed; null takes one away.
pub fn with(base: &Value, changes: Value) -> Value {
    let mut body = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

/// A schema with one member.
pub fn city() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false})
}

/// One pixel.
pub const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
