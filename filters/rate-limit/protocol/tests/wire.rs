//! Messages byte for byte: field numbers are the contract.
#![allow(missing_docs)]

use rate_limit_protocol::{
    Code, CurrentLimit, Descriptor, Duration, Entry, Header, Message, Override, Request, Response, Status, Unit,
};

#[test]
fn a_request_is_these_bytes() {
    let entries = vec![Entry { key: "k".into(), value: "v".into() }];
    let limit = Some(Override { requests_per_unit: 9, unit: Unit::Minute.into() });
    let descriptor = Descriptor { entries, limit, hits_addend: Some(0), is_negative_hits: true };
    let request = Request { domain: "d".into(), descriptors: vec![descriptor], hits_addend: 3 };
    let bytes = b"\x0a\x01d\x12\x12\x0a\x06\x0a\x01k\x12\x01v\x12\x04\x08\x09\x10\x02\x1a\x00\x20\x01\x18\x03";
    assert_eq!(request.encode_to_vec(), bytes, "zero hits are a wrapper with nothing in it, not nothing");
    assert_eq!(Request::decode(&bytes[..]).unwrap(), request);
}

#[test]
fn a_response_is_these_bytes() {
    let current_limit = Some(CurrentLimit { requests_per_unit: 9, unit: Unit::Week.into(), name: "n".into() });
    let duration_until_reset = Some(Duration { seconds: 60, nanos: 5 });
    let status = Status { code: Code::Ok.into(), current_limit, limit_remaining: 8, duration_until_reset };
    let response = Response {
        overall_code: Code::OverLimit.into(),
        statuses: vec![status],
        response_headers_to_add: vec![Header { key: "a".into(), value: "b".into(), raw_value: Vec::new() }],
        request_headers_to_add: vec![Header { key: "c".into(), value: String::new(), raw_value: b"\xff".to_vec() }],
        raw_body: b"no".to_vec(),
    };
    let bytes = b"\x08\x02\x12\x13\x08\x01\x12\x07\x08\x09\x10\x07\x1a\x01n\x18\x08\x22\x04\x08\x3c\x10\x05\
                  \x1a\x06\x0a\x01a\x12\x01b\x22\x06\x0a\x01c\x1a\x01\xff\x2a\x02no";
    assert_eq!(response.encode_to_vec(), bytes);
    assert_eq!(Response::decode(&bytes[..]).unwrap(), response);
}

#[test]
fn what_is_not_known_is_skipped_or_unknown() {
    // a code of 7, metadata (6), a quota (7)
    let response = Response::decode(&b"\x08\x07\x32\x02\x0a\x00\x3a\x00"[..]).unwrap();
    assert_eq!((response.overall_code, response.overall_code()), (7, Code::Unknown));
    assert_eq!(Status { code: -1, ..Status::default() }.code(), Code::Unknown);
    assert_eq!(Unit::try_from(8).unwrap_or(Unit::Unknown).seconds(), 0);
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    for bytes in [&b"\xff\xff"[..], b"\x12\x05\x08", b"\x08", b"\x0a\x02\xff\xfe"] {
        assert!(Response::decode(bytes).is_err() || Request::decode(bytes).is_err(), "{bytes:x?}");
    }
    let nested = [b"\x12\x02\x12".to_vec(), vec![0x80]].concat();
    assert!(Response::decode(nested.as_slice()).is_err());
}
