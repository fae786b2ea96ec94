//! Property values and their byte form.

use crate::abi::Status;
use crate::pairs;
use crate::protobuf;
use std::collections::BTreeMap;

/// A value of an attribute or of metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// One byte.
    Bool(bool),
    /// Eight bytes, little endian.
    Int(i64),
    /// Eight bytes, little endian. Times and durations are nanoseconds.
    Uint(u64),
    /// Eight bytes, little endian. All numbers of metadata are of this kind.
    Double(f64),
    /// The bytes as they are.
    Bytes(Vec<u8>),
    /// A list: the pair encoding with empty values.
    List(Vec<Value>),
    /// A map: the pair encoding.
    Map(BTreeMap<String, Value>),
    /// A group of attributes (`request`): its members can be read, it has no byte form itself.
    Group(BTreeMap<String, Value>),
    /// Metadata by filter name: the bytes of a protobuf `Metadata` message.
    Metadata(BTreeMap<String, Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl Value {
    /// The member named by one path segment.
    pub(crate) fn member(&self, segment: &[u8]) -> Option<Value> {
        match self {
            Self::Map(members) | Self::Group(members) => members.get(std::str::from_utf8(segment).ok()?).cloned(),
            Self::Metadata(filters) => (segment == b"filter_metadata").then(|| Value::Map(filters.clone())),
            Self::List(items) => items.get(std::str::from_utf8(segment).ok()?.parse::<usize>().ok()?).cloned(),
            _ => None,
        }
    }

    /// The bytes that the guest gets.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Status> {
        Ok(match self {
            Self::Null | Self::Group(_) => return Err(Status::SerializationFailure),
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_le_bytes().to_vec(),
            Self::Uint(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::List(items) => {
                let items: Vec<Vec<u8>> = items.iter().map(Value::bytes).collect::<Result<_, _>>()?;
                counted(pairs::encode(items.iter().map(|item| (item.as_slice(), &b""[..]))))
            }
            Self::Map(members) => {
                let members: Vec<(&[u8], Vec<u8>)> =
                    members.iter().map(|(k, v)| Ok((k.as_bytes(), v.bytes()?))).collect::<Result<_, Status>>()?;
                counted(pairs::encode(members.iter().map(|(k, v)| (*k, v.as_slice()))))
            }
            Self::Metadata(filters) => protobuf::metadata(filters),
        })
    }
}

/// A map or list without members is a count of zero here, not nothing.
fn counted(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.is_empty() { vec![0; 4] } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_byte_form() {
        let map = |value| BTreeMap::from([("k".to_owned(), value)]);
        let rows = [
            (Value::from("a"), Ok(b"a".to_vec())),
            (Value::Bool(true), Ok(vec![1])),
            (Value::Uint(258), Ok(vec![2, 1, 0, 0, 0, 0, 0, 0])),
            (Value::Int(-1), Ok(vec![255; 8])),
            (Value::Double(1.0), Ok(vec![0, 0, 0, 0, 0, 0, 240, 63])),
            (Value::List(vec![Value::from("a")]), Ok(vec![1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a', 0, 0])),
            (Value::Map(map(Value::from("v"))), Ok(vec![1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'k', 0, b'v', 0])),
            (Value::Map(BTreeMap::new()), Ok(vec![0; 4])),
            (Value::Metadata(BTreeMap::new()), Ok(Vec::new())),
            (Value::Group(map(Value::from("v"))), Err(Status::SerializationFailure)),
        ];
        for (value, expected) in rows {
            assert_eq!(value.bytes(), expected, "{value:?}");
        }
    }

    #[test]
    fn members_are_found_by_name_and_by_index() {
        let value = Value::Map(BTreeMap::from([("l".to_owned(), Value::List(vec![Value::from("x")]))]));
        assert_eq!(value.member(b"l").and_then(|l| l.member(b"0")), Some(Value::from("x")));
        assert_eq!(value.member(b"l").and_then(|l| l.member(b"1")), None);
        assert_eq!(value.member(b"\xff"), None);
    }
}
