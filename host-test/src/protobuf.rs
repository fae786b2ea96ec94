//! The few protobuf messages that the ABI hands through.

use crate::value::Value;
use std::collections::BTreeMap;

/// A `Metadata` message: a `Struct` for every filter name.
pub(crate) fn metadata(filters: &BTreeMap<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, fields) in filters {
        let mut entry = Vec::new();
        put(&mut entry, 1, name.as_bytes());
        put(&mut entry, 2, &structure(fields));
        put(&mut out, 1, &entry);
    }
    out
}

/// A `Struct` message. What is not a map has no fields.
fn structure(fields: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Value::Map(fields) | Value::Group(fields) = fields {
        for (name, field) in fields {
            let mut entry = Vec::new();
            put(&mut entry, 1, name.as_bytes());
            put(&mut entry, 2, &value(field));
            put(&mut out, 1, &entry);
        }
    }
    out
}

/// A `Value` message.
fn value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend([0x08, 0]),
        Value::Double(number) => {
            out.push(0x11);
            out.extend(number.to_le_bytes());
        }
        Value::Int(number) => return self::value(&Value::Double(*number as f64)),
        Value::Uint(number) => return self::value(&Value::Double(*number as f64)),
        Value::Bytes(text) => put(&mut out, 3, text),
        Value::Bool(truth) => out.extend([0x20, u8::from(*truth)]),
        Value::Map(_) | Value::Group(_) => put(&mut out, 5, &structure(value)),
        Value::Metadata(filters) => put(&mut out, 5, &metadata(filters)),
        Value::List(items) => {
            let mut list = Vec::new();
            for item in items {
                put(&mut list, 1, &self::value(item));
            }
            put(&mut out, 6, &list);
        }
    }
    out
}

/// A length-delimited field with a number below 16.
fn put(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

/// The path and the value of a `SetEnvoyFilterStateArguments` message (fields 1 and 2, both of bytes).
pub(crate) fn filter_state_arguments(mut message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut path, mut value): (&[u8], &[u8]) = (&[], &[]);
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                varint(&mut message)?;
            }
            2 => {
                let len = usize::try_from(varint(&mut message)?).ok()?;
                let (field, rest) = message.split_at_checked(len)?;
                message = rest;
                match tag >> 3 {
                    1 => path = field,
                    2 => value = field,
                    _ => {}
                }
            }
            _ => return None,
        }
    }
    Some((path, value))
}

/// Takes a number of at most ten bytes.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_a_message_of_structs() {
        let fields =
            Value::Map(BTreeMap::from([("n".to_owned(), Value::Double(1.0)), ("t".to_owned(), Value::from("x"))]));
        let message = metadata(&BTreeMap::from([("f".to_owned(), fields)]));
        let number = b"\x0a\x0e\x0a\x01n\x12\x09\x11\0\0\0\0\0\0\xf0\x3f";
        let text = b"\x0a\x08\x0a\x01t\x12\x03\x1a\x01x";
        let mut expected = b"\x0a\x1f\x0a\x01f\x12\x1a".to_vec();
        expected.extend(number);
        expected.extend(text);
        assert_eq!(message, expected);
    }

    #[test]
    fn filter_state_arguments_are_read_from_protobuf_bytes() {
        let message = b"\x0a\x03key\x12\x02ab\x18\x01";
        assert_eq!(filter_state_arguments(message), Some((&b"key"[..], &b"ab"[..])));
        assert_eq!(filter_state_arguments(b"\x0a\x09key"), None);
        assert_eq!(filter_state_arguments(b"\x0b"), None);
        assert_eq!(filter_state_arguments(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
