//! A YAML map as the wire format of `google.protobuf.Struct`.
//!
//! Envoy's documentation says that a plugin configuration given as a Struct reaches the plugin as JSON. What arrives is
//! the serialized message (measured on 1.40), so the embedded gateway hands over the same.

use crate::yaml::{Key, Node, Value};

/// `Struct { map<string, Value> fields = 1 }`, the entries in the order of the file.
pub(super) fn encode(entries: &[(Key, Node)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, node) in entries {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, key.name.as_bytes());
        bytes(&mut entry, 2, &value(&node.value));
        bytes(&mut out, 1, &entry);
    }
    out
}

/// `Value { null 1, number 2, string 3, bool 4, struct 5, list 6 }`
fn value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend_from_slice(&[1 << 3, 0]),
        Value::Bool(flag) => out.extend_from_slice(&[4 << 3, u8::from(*flag)]),
        Value::Int(number) => {
            out.push((2 << 3) | 1);
            out.extend_from_slice(&(*number as f64).to_le_bytes());
        }
        Value::Text(text) => bytes(&mut out, 3, text.as_bytes()),
        Value::Map(entries) => bytes(&mut out, 5, &encode(entries)),
        Value::List(items) => {
            let mut list = Vec::new();
            for item in items {
                bytes(&mut list, 1, &self::value(&item.value));
            }
            bytes(&mut out, 6, &list);
        }
    }
    out
}

/// A length-delimited field.
fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push((field << 3) | 2);
    let mut length = content.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn values_are_encoded_as_protobuf_does() {
        for (text, expected) in [
            ("a: 1", &b"\x0a\x0e\x0a\x01a\x12\x09\x11\0\0\0\0\0\0\xf0\x3f"[..]),
            ("a: null", b"\x0a\x07\x0a\x01a\x12\x02\x08\0"),
            ("a: true", b"\x0a\x07\x0a\x01a\x12\x02\x20\x01"),
            ("a: b", b"\x0a\x08\x0a\x01a\x12\x03\x1a\x01b"),
            ("a: {}", b"\x0a\x07\x0a\x01a\x12\x02\x2a\0"),
            ("a: [b]", b"\x0a\x0c\x0a\x01a\x12\x07\x32\x05\x0a\x03\x1a\x01b"),
        ] {
            let Value::Map(entries) = yaml::parse(text).unwrap().value else { panic!() };
            assert_eq!(encode(&entries), expected, "{text}");
        }
    }

    #[test]
    fn long_lengths_take_more_bytes() {
        let Value::Map(entries) = yaml::parse(&format!("a: {}", "x".repeat(300))).unwrap().value else { panic!() };
        let encoded = encode(&entries);
        assert!(encoded.windows(3).any(|window| window == [0x1a, 0xac, 0x02]));
    }
}
