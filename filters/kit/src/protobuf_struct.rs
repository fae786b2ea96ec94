//! Reads a serialized `google.protobuf.Struct`.
//!
//! Envoy's documentation says that a plugin configuration given as a Struct reaches the plugin as JSON. It does not
//! (measured on 1.36, 1.39 and 1.40): what arrives is the message's wire format, and this turns it into JSON. Numbers
//! are doubles there, so whole ones beyond 2^53 have lost their last digits before they get here.

use serde_json::{Map, Number, Value};

/// Deepest nesting, as in serde_json.
const MAX_DEPTH: u32 = 128;

/// The message as JSON, or `None` for anything else. Text never passes: the second field of a map entry starts with a
/// control character that JSON has no place for.
pub fn to_json(bytes: &[u8]) -> Option<Value> {
    if bytes.is_empty() { None } else { object(bytes, 0) }
}

/// `Struct { map<string, Value> fields = 1 }`
fn object(mut bytes: &[u8], depth: u32) -> Option<Value> {
    let mut map = Map::new();
    while !bytes.is_empty() {
        let Field::Bytes(1, entry) = field(&mut bytes)? else { return None };
        let (key, value) = pair(entry, depth)?;
        map.insert(key, value);
    }
    Some(Value::Object(map))
}

/// A map's entry: key 1, value 2; an absent one has its type's default.
fn pair(mut bytes: &[u8], depth: u32) -> Option<(String, Value)> {
    let (mut key, mut found) = (String::new(), Value::Null);
    while !bytes.is_empty() {
        match field(&mut bytes)? {
            Field::Bytes(1, text) => key = String::from_utf8(text.to_vec()).ok()?,
            Field::Bytes(2, inner) => found = value(inner, depth + 1)?,
            _ => return None,
        }
    }
    Some((key, found))
}

/// `Value { null 1, number 2, string 3, bool 4, struct 5, list 6 }`
fn value(mut bytes: &[u8], depth: u32) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut found = Value::Null;
    while !bytes.is_empty() {
        found = match field(&mut bytes)? {
            Field::Varint(1, _) => Value::Null,
            Field::Fixed(2, bits) => number(f64::from_bits(bits))?,
            Field::Bytes(3, text) => Value::String(String::from_utf8(text.to_vec()).ok()?),
            Field::Varint(4, bit) => Value::Bool(bit != 0),
            Field::Bytes(5, inner) => object(inner, depth)?,
            Field::Bytes(6, inner) => list(inner, depth)?,
            _ => return None,
        };
    }
    Some(found)
}

/// `ListValue { repeated Value values = 1 }`
fn list(mut bytes: &[u8], depth: u32) -> Option<Value> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let Field::Bytes(1, inner) = field(&mut bytes)? else { return None };
        values.push(value(inner, depth + 1)?);
    }
    Some(Value::Array(values))
}

/// A whole number as an integer, so that it can be read as one.
pub(crate) fn number(double: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    if double.fract() == 0.0 && double.abs() < EXACT {
        return Some(Value::from(double as i64));
    }
    Number::from_f64(double).map(Value::Number)
}

enum Field<'a> {
    Varint(u64, u64),
    Fixed(u64, u64),
    Bytes(u64, &'a [u8]),
}

/// Takes one field off the front.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let tag = varint(bytes)?;
    let number = tag >> 3;
    match tag & 7 {
        0 => Some(Field::Varint(number, varint(bytes)?)),
        1 => Some(Field::Fixed(number, u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))),
        2 => {
            let len = usize::try_from(varint(bytes)?).ok()?;
            Some(Field::Bytes(number, take(bytes, len)?))
        }
        _ => None,
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A length-delimited field.
    fn bytes(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let mut len = inner.len();
        while len > 0x7f {
            field.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        field.push(len as u8);
        [field, inner.to_vec()].concat()
    }

    fn encode_value(value: &Value) -> Vec<u8> {
        match value {
            Value::Null => vec![0x08, 0],
            Value::Number(number) => [vec![0x11], number.as_f64().unwrap().to_le_bytes().to_vec()].concat(),
            Value::String(text) => bytes(3, text.as_bytes()),
            Value::Bool(bit) => vec![0x20, u8::from(*bit)],
            Value::Object(_) => bytes(5, &encode(value)),
            Value::Array(values) => {
                bytes(6, &values.iter().flat_map(|value| bytes(1, &encode_value(value))).collect::<Vec<_>>())
            }
        }
    }

    fn encode(object: &Value) -> Vec<u8> {
        let entry = |(key, value): (&String, &Value)| {
            bytes(1, &[bytes(1, key.as_bytes()), bytes(2, &encode_value(value))].concat())
        };
        object.as_object().unwrap().iter().flat_map(entry).collect()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let config = json!({
            "rules": [{"name": "a", "priority": 100, "x": 1.5, "y": -3, "z": null, "t": true, "f": false}, []],
            "long": "x".repeat(300), "empty": {},
        });
        assert_eq!(to_json(&encode(&config)), Some(config));
    }

    #[test]
    fn text_and_broken_messages_are_not_read() {
        let mut deep = encode_value(&json!("x"));
        for _ in 0..200 {
            deep = bytes(6, &bytes(1, &deep));
        }
        let deep = bytes(1, &[bytes(1, b"a"), bytes(2, &deep)].concat());
        for bytes in [
            &b""[..],
            b"{}",
            b"\n{}",
            b"\n{\n \"rules\": []}",
            b"\x0a",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            &deep,
        ] {
            assert_eq!(to_json(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = to_json(&bytes);
        }

        #[test]
        fn changed_messages_are_read_or_not(at in 0usize..60, byte: u8) {
            let mut bytes = encode(&json!({"rules": [{"name": "a", "n": 1}], "default": "continue"}));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = to_json(&bytes);
        }
    }
}
