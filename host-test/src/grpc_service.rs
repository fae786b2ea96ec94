//! The bytes by which a guest names the service of a gRPC callout: an `envoy.config.core.v3.GrpcService` message, or a
//! cluster's name. Envoy tries the message first, so this has to tell well-formed messages from other bytes as protobuf does.

use crate::protobuf::varint;

/// What the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service<'a> {
    /// Not a message: the name of a cluster.
    Name(&'a [u8]),
    /// A message with `envoy_grpc`.
    Cluster {
        /// `cluster_name`
        name: &'a [u8],
        /// `authority`
        authority: Option<&'a [u8]>,
    },
    /// A message with `google_grpc`.
    GoogleGrpc,
    /// A message without a target. Envoy's process ends there.
    NoTarget,
}

/// How deep protobuf lets messages and groups be nested.
const MAX_DEPTH: u32 = 100;

const ENVOY_GRPC: u64 = 1;
const GOOGLE_GRPC: u64 = 2;
const CLUSTER_NAME: u64 = 1;
const AUTHORITY: u64 = 2;

/// Reads the bytes.
pub(crate) fn read(bytes: &[u8]) -> Service<'_> {
    let mut service = Service::NoTarget;
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((number, value)) = field(&mut rest, MAX_DEPTH) else { return Service::Name(bytes) };
        let Some(message) = value else { continue };
        match number {
            ENVOY_GRPC => {
                // A second one adds to the first, and takes the place of another target.
                let before = match service {
                    Service::Cluster { name, authority } => (name, authority),
                    _ => (&[][..], None),
                };
                let Some((name, authority)) = envoy_grpc(message, before) else { return Service::Name(bytes) };
                service = Service::Cluster { name, authority };
            }
            GOOGLE_GRPC if is_message(message) => service = Service::GoogleGrpc,
            // timeout, initial_metadata, retry_policy
            GOOGLE_GRPC | 3 | 5 | 6 if !is_message(message) => return Service::Name(bytes),
            _ => {}
        }
    }
    service
}

type Target<'a> = (&'a [u8], Option<&'a [u8]>);

fn envoy_grpc<'a>(mut message: &'a [u8], before: Target<'a>) -> Option<Target<'a>> {
    let (mut name, mut authority) = before;
    while !message.is_empty() {
        let (number, value) = field(&mut message, MAX_DEPTH)?;
        let Some(value) = value else { continue };
        match number {
            CLUSTER_NAME | AUTHORITY => {
                std::str::from_utf8(value).ok()?;
                if number == CLUSTER_NAME {
                    name = value;
                } else {
                    authority = Some(value).filter(|value| !value.is_empty());
                }
            }
            // retry_policy, max_receive_message_length
            3 | 4 if !is_message(value) => return None,
            _ => {}
        }
    }
    Some((name, authority))
}

fn is_message(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if field(&mut bytes, MAX_DEPTH).is_none() {
            return false;
        }
    }
    true
}

/// Takes one field: its number, and its bytes when it is length-delimited. `None` when it is malformed.
fn field<'a>(bytes: &mut &'a [u8], depth: u32) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = tag(bytes)?;
    let number = tag >> 3;
    match tag & 7 {
        0 => {
            varint(bytes)?;
        }
        1 => take(bytes, 8).map(drop)?,
        2 => {
            let len = usize::try_from(varint(bytes)?).ok()?;
            return Some((number, Some(take(bytes, len)?)));
        }
        3 => {
            let depth = depth.checked_sub(1)?;
            loop {
                let mut ahead = *bytes;
                let next = self::tag(&mut ahead)?;
                if next & 7 == 4 {
                    *bytes = ahead;
                    if next >> 3 != number {
                        return None;
                    }
                    break;
                }
                field(bytes, depth)?;
            }
        }
        5 => take(bytes, 4).map(drop)?,
        _ => return None,
    }
    Some((number, None))
}

/// A tag: at most 32 bits, and no field is number 0.
fn tag(bytes: &mut &[u8]) -> Option<u64> {
    varint(bytes).filter(|tag| *tag >> 3 != 0 && u32::try_from(*tag).is_ok())
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of every kind were measured in Envoy 1.40.
    #[test]
    fn services_are_told_from_names() {
        let cluster = |name: &'static [u8]| Service::Cluster { name, authority: None };
        for (bytes, expected) in [
            (&b"limits"[..], Service::Name(b"limits")),
            (b"rate-limit-service", Service::Name(b"rate-limit-service")),
            (b"\x0a\x06\x0a\x04side", cluster(b"side")),
            (b"\x0a\x00", cluster(b"")),
            (b"\x0a\x05\x0a\x04side", Service::Name(b"\x0a\x05\x0a\x04side")),
            (b"\x0a\x03\x0a\x01\xff", Service::Name(b"\x0a\x03\x0a\x01\xff")),
            (b"\x0a\x03\x0a\x01a\x0a\x03\x12\x01b", Service::Cluster { name: b"a", authority: Some(b"b") }),
            (b"\x0a\x03\x0a\x01a\x12\x00", Service::GoogleGrpc),
            // A duration, and fields that the message does not know.
            (b"\x0a\x03\x0a\x01a\x1a\x02\x08\x05h1", cluster(b"a")),
            (b"\x0a\x03\x0a\x01a\x1a\x02\x08\x85", Service::Name(b"\x0a\x03\x0a\x01a\x1a\x02\x08\x85")),
            // Names that happen to be messages.
            (b"", Service::NoTarget),
            (b"users", Service::NoTarget),
            (b"inventory", Service::NoTarget),
            (b"h1", Service::NoTarget),
            (b"h", Service::Name(b"h")),
            // Groups are closed by their own number.
            (b"\x0bh1\x0c", Service::NoTarget),
            (b"\x0bh1\x14", Service::Name(b"\x0bh1\x14")),
            (b"\x0c", Service::Name(b"\x0c")),
            (b"\x0a\x03\x0a\x01a\x0c", Service::Name(b"\x0a\x03\x0a\x01a\x0c")),
            // The field of the duration as a number is one that nobody knows; malformed metadata and retries are an error.
            (b"\x0a\x03\x0a\x01a\x18\x01", cluster(b"a")),
            (b"\x0a\x03\x0a\x01a\x2a\x02\xff\xff", Service::Name(b"\x0a\x03\x0a\x01a\x2a\x02\xff\xff")),
            (b"\x0a\x03\x0a\x01a\x32\x02\xff\xff", Service::Name(b"\x0a\x03\x0a\x01a\x32\x02\xff\xff")),
            (b"\x12\x00\x0a\x03\x0a\x01a", cluster(b"a")),
            (b"\x80\x80\x80\x80\x80\x01x", Service::Name(b"\x80\x80\x80\x80\x80\x01x")),
            (b"\x00\x00", Service::Name(b"\x00\x00")),
        ] {
            assert_eq!(read(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn a_guests_bytes_never_panic_and_names_in_messages_come_back(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
            name in "[ -~]{1,100}",
        ) {
            read(&bytes);
            let inner = [&[0x0a, name.len() as u8][..], name.as_bytes()].concat();
            let message = [&[0x0a, inner.len() as u8][..], &inner].concat();
            let expected = Service::Cluster { name: name.as_bytes(), authority: None };
            proptest::prop_assert_eq!(read(&message), expected);
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(read(&[0x0b; 100_000]), Service::Name(&[0x0b; 100_000]));
    }
}
