//! Server-sent events, out.

use crate::text;
use serde_json::Value;

/// `data: JSON`
pub fn data(value: &Value) -> Vec<u8> {
    format!("data: {}\n\n", text::write(value)).into_bytes()
}

/// `event: NAME` and `data: JSON`
pub fn event(name: &str, value: &Value) -> Vec<u8> {
    format!("event: {name}\ndata: {}\n\n", text::write(value)).into_bytes()
}

/// `data: JSON` with the line ends of Google.
pub fn crlf(value: &Value) -> Vec<u8> {
    format!("data: {}\r\n\r\n", text::write(value)).into_bytes()
}

/// The end of a stream of OpenAI.
pub fn done() -> Vec<u8> {
    b"data: [DONE]\n\n".to_vec()
}

/// An event whose data is no JSON.
pub fn garbage() -> Vec<u8> {
    b"data: {\"garbage\": tru\n\n".to_vec()
}
