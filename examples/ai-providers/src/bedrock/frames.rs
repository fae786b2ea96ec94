//! Frames of an AWS event stream: lengths, headers, payload, and two checksums.

use serde_json::Value;

use crate::text;

/// The type of a header whose value is a string.
const STRING: u8 = 7;

/// A frame with an event.
pub fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, text::write(payload).as_bytes())
}

/// A frame with an exception.
pub fn exception(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    frame(&headers, text::write(payload).as_bytes())
}

/// A frame that is right, with a payload that is not.
pub fn garbage(kind: &str) -> Vec<u8> {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, b"{\"garbage\": tru")
}

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or_default());
        head.extend_from_slice(name.as_bytes());
        head.push(STRING);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or_default().to_be_bytes();
    // twice four bytes of lengths and twice four of checksums
    let mut frame = [length(head.len() + payload.len() + 16), length(head.len())].concat();
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_frame_is_lengths_headers_payload_and_checksums() {
        let frame = event("messageStop", &json!({}));
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let length = frame.len();
        assert_eq!(number(0) as usize, length);
        assert_eq!(number(8), crc32fast::hash(&frame[..8]));
        assert_eq!(number(length - 4), crc32fast::hash(&frame[..length - 4]));
        let headers = &frame[12..12 + number(4) as usize];
        assert!(headers.starts_with(b"\x0b:event-type\x07\x00\x0bmessageStop\x0d:content-type"));
        assert_eq!(&frame[12 + headers.len()..length - 4], b"{}");
        // the check value of this CRC
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }
}
