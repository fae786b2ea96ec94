//! The head of a request or response: an ordered list of fields, as bytes, with the edits made to it.

use std::fmt;

/// A head, read once from the host. Fields lie in one buffer; looking at them copies nothing.
///
/// Names compare without case. Edits change what [`Head::get`] sees at once and are kept as a list, so that the
/// shell writes back only what changed.
#[derive(Debug, Default, Clone)]
pub struct Head {
    /// What was read.
    bytes: Vec<u8>,
    /// What was written; its spans count on behind `bytes`, which is not moved for it.
    written: Vec<u8>,
    fields: Vec<Field>,
    edits: Vec<(EditKind, Field)>,
}

/// Room for what a filter usually writes.
const USUAL_EDITS: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: Span,
    value: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EditKind {
    Set,
    Add,
    Remove,
}

/// One change of a head, in the terms of the host's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// All fields of this name give way to one with this value.
    Set(&'a [u8], &'a [u8]),
    /// A further field.
    Add(&'a [u8], &'a [u8]),
    /// All fields of this name go.
    Remove(&'a [u8]),
}

/// A name or value that must not be written to the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The name is not a token of RFC 9110 (a pseudo header may start with a colon).
    Name,
    /// The value holds a control character other than a tab (RFC 9110, section 5.5), or a path is not an absolute one.
    Value,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "not a header name",
            Self::Value => "not a header value",
        })
    }
}

/// Bytes that are not a header map in the ABI's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedMap;

impl Head {
    /// Reads the ABI's encoding of a map: `u32le count`, then per field `u32le name size, u32le value size`, then
    /// name NUL value NUL each. Takes the buffer over; an empty one is an empty map.
    ///
    /// # Errors
    /// If sizes point outside the buffer.
    pub fn from_map_bytes(bytes: Vec<u8>) -> Result<Self, MalformedMap> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let count = u32_at(&bytes, 0).ok_or(MalformedMap)?;
        let mut start = count.checked_mul(8).and_then(|sizes| sizes.checked_add(4)).ok_or(MalformedMap)?;
        if start > bytes.len() {
            return Err(MalformedMap);
        }
        let mut fields = Vec::with_capacity(count + 2);
        let mut sizes = bytes.get(4..start).unwrap_or_default().chunks_exact(8);
        for size in &mut sizes {
            let (name_len, value_len) = (u32_at(size, 0).ok_or(MalformedMap)?, u32_at(size, 4).ok_or(MalformedMap)?);
            let name = Span { start, len: name_len };
            let value_start = start.checked_add(name_len).and_then(|at| at.checked_add(1)).ok_or(MalformedMap)?;
            let value = Span { start: value_start, len: value_len };
            start = value_start.checked_add(value_len).and_then(|at| at.checked_add(1)).ok_or(MalformedMap)?;
            if start > bytes.len() {
                return Err(MalformedMap);
            }
            fields.push(Field { name, value });
        }
        Ok(Self { bytes, written: Vec::new(), fields, edits: Vec::new() })
    }

    /// A head from fields, for native runners and tests.
    pub fn from_fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut head = Self::default();
        for (name, value) in fields {
            let field = head.store(name.as_ref(), value.as_ref());
            head.fields.push(field);
        }
        head
    }

    /// All fields in order, edits included.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.at(field.name), self.at(field.value)))
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// All values of this name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| self.named(field, name.as_bytes())).map(|field| self.at(field.value))
    }

    /// `:method`, or nothing.
    pub fn method(&self) -> &[u8] {
        self.get(":method").unwrap_or_default()
    }

    /// `:path` with its query, or nothing.
    pub fn path(&self) -> &[u8] {
        self.get(":path").unwrap_or_default()
    }

    /// `:authority`, or else `host`, or nothing.
    pub fn authority(&self) -> &[u8] {
        self.get(":authority").or_else(|| self.get("host")).unwrap_or_default()
    }

    /// Whether another protocol is to follow and not a body (`CONNECT`, WebSockets). Nothing of it comes before the upstream
    /// has agreed, so there is nothing to wait for.
    pub fn is_upgrade(&self) -> bool {
        self.method() == b"CONNECT" || self.get("upgrade").is_some()
    }

    /// Lets one field of this name and value stand in place of all fields of this name.
    ///
    /// # Errors
    /// If name or value must not be written; the head is unchanged then.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        check(name, value)?;
        let mut same = self.get_all(name);
        let there = match (same.next(), same.next()) {
            (Some(only), None) if only == value => return Ok(()),
            (first, _) => first.is_some(),
        };
        drop(same);
        // where nothing stands, adding is what a host does faster
        let kind = if there || name.starts_with(':') || self.is_edited(name) { EditKind::Set } else { EditKind::Add };
        let field = if kind == EditKind::Set { self.forget(name, value) } else { self.store(name.as_bytes(), value) };
        self.fields.push(field);
        self.edits.push((kind, field));
        Ok(())
    }

    /// Appends a field.
    ///
    /// # Errors
    /// As [`Head::set`].
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        check(name, value)?;
        let field = self.store(name.as_bytes(), value);
        self.fields.push(field);
        self.edits.push((EditKind::Add, field));
        Ok(())
    }

    /// Takes all fields of this name out; nothing happens if there are none.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            let field = self.forget(name, b"");
            self.edits.push((EditKind::Remove, field));
        }
    }

    /// What changed, in an order in which a host may apply it.
    pub fn edits(&self) -> impl Iterator<Item = Edit<'_>> {
        self.edits.iter().map(|(kind, field)| {
            let (name, value) = (self.at(field.name), self.at(field.value));
            match kind {
                EditKind::Set => Edit::Set(name, value),
                EditKind::Add => Edit::Add(name, value),
                EditKind::Remove => Edit::Remove(name),
            }
        })
    }

    fn is_edited(&self, name: &str) -> bool {
        self.edits.iter().any(|(_, field)| self.named(field, name.as_bytes()))
    }

    /// Drops fields and earlier edits of this name.
    fn forget(&mut self, name: &str, value: &[u8]) -> Field {
        let field = self.store(name.as_bytes(), value);
        let (bytes, written) = (&self.bytes, &self.written);
        let other =
            |f: &Field| f.name.len != name.len() || !span(bytes, written, f.name).eq_ignore_ascii_case(name.as_bytes());
        self.fields.retain(other);
        self.edits.retain(|(_, field)| other(field));
        field
    }

    fn store(&mut self, name: &[u8], value: &[u8]) -> Field {
        if self.written.capacity() == 0 {
            self.written.reserve(USUAL_EDITS);
        }
        let start = self.bytes.len() + self.written.len();
        self.written.extend_from_slice(name);
        self.written.extend_from_slice(value);
        if let Some(name) = self.written.get_mut(start - self.bytes.len()..).and_then(|end| end.get_mut(..name.len())) {
            name.make_ascii_lowercase();
        }
        let name_span = Span { start, len: name.len() };
        let value_span = Span { start: start + name.len(), len: value.len() };
        Field { name: name_span, value: value_span }
    }

    fn at(&self, place: Span) -> &[u8] {
        span(&self.bytes, &self.written, place)
    }

    fn named(&self, field: &Field, name: &[u8]) -> bool {
        field.name.len == name.len() && self.at(field.name).eq_ignore_ascii_case(name)
    }
}

fn span<'a>(bytes: &'a [u8], written: &'a [u8], place: Span) -> &'a [u8] {
    let (from, start) = match place.start.checked_sub(bytes.len()) {
        None => (bytes, place.start),
        Some(start) => (written, start),
    };
    from.get(start..start + place.len).unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}

/// Whether `name` may stand on the wire: a token, with a colon before it for a pseudo header.
pub fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    !token.is_empty() && token.bytes().all(is_token_byte)
}

/// RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Whether `value` may stand on the wire as a field value.
pub fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f))
}

fn check(name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
    if !is_header_name(name) {
        return Err(InvalidHeader::Name);
    }
    let good = match name {
        // a host answers 404 to anything else, and a blank would end the request line
        ":path" => value.first() == Some(&b'/') && value.iter().all(|b| *b > 0x20 && *b != 0x7f && *b != b'#'),
        ":authority" => !value.is_empty() && value.iter().all(|b| *b > 0x20 && *b != 0x7f),
        _ => is_header_value(value),
    };
    good.then_some(()).ok_or(InvalidHeader::Value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = (fields.len() as u32).to_le_bytes().to_vec();
        for (name, value) in fields {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in fields {
            bytes.extend(*name);
            bytes.push(0);
            bytes.extend(*value);
            bytes.push(0);
        }
        bytes
    }

    fn edits(head: &Head) -> Vec<String> {
        let text = String::from_utf8_lossy;
        head.edits()
            .map(|edit| match edit {
                Edit::Set(n, v) => format!("set {}={}", text(n), text(v)),
                Edit::Add(n, v) => format!("add {}={}", text(n), text(v)),
                Edit::Remove(n) => format!("remove {}", text(n)),
            })
            .collect()
    }

    #[test]
    fn a_map_is_read_in_place_with_repeats_empty_values_and_raw_bytes() {
        let head =
            Head::from_map_bytes(encode(&[(b":path", b"/a"), (b"x", b""), (b"x", b"\xff\xfe"), (b"", b"v")])).unwrap();
        assert_eq!(head.path(), b"/a");
        assert_eq!(head.get_all("X").collect::<Vec<_>>(), [&b""[..], b"\xff\xfe"]);
        assert_eq!(head.get("y"), None);
        assert_eq!(head.iter().count(), 4);
        assert_eq!(Head::from_map_bytes(Vec::new()).unwrap().iter().count(), 0);
    }

    #[test]
    fn only_what_changed_is_an_edit() {
        let mut head = Head::from_fields([(":path", "/a"), ("x", "1"), ("x", "2"), ("y", "1")]);
        head.set(":path", b"/a").unwrap();
        head.set("y", b"1").unwrap();
        head.remove("absent");
        assert_eq!(edits(&head), [""; 0]);
        head.set("x", b"1").unwrap();
        assert_eq!(edits(&head), ["set x=1"]);
        head.remove("x");
        assert_eq!(edits(&head), ["remove x"]);
        assert_eq!(head.get("x"), None);
        head.add("X-New", b"a").unwrap();
        head.add("x-new", b"b").unwrap();
        assert_eq!(edits(&head), ["remove x", "add x-new=a", "add x-new=b"]);
        head.set("x-new", b"c").unwrap();
        assert_eq!(edits(&head), ["remove x", "set x-new=c"]);
        head.set("x-fresh", b"d").unwrap();
        head.set(":scheme", b"http").unwrap();
        assert_eq!(edits(&head), ["remove x", "set x-new=c", "add x-fresh=d", "set :scheme=http"]);
    }

    #[test]
    fn nothing_that_splits_a_message_can_be_written() {
        let mut head = Head::default();
        for (name, value, error) in [
            ("a b", &b""[..], InvalidHeader::Name),
            ("", b"", InvalidHeader::Name),
            ("a\r\n", b"", InvalidHeader::Name),
            (":", b"", InvalidHeader::Name),
            ("a", b"x\r\ny: z", InvalidHeader::Value),
            ("a", b"\0", InvalidHeader::Value),
            (":path", b"", InvalidHeader::Value),
            (":path", b"a", InvalidHeader::Value),
            (":path", b"/a b", InvalidHeader::Value),
            (":path", b"/a#b", InvalidHeader::Value),
            (":authority", b"", InvalidHeader::Value),
        ] {
            assert_eq!(head.set(name, value), Err(error), "{name:?}");
            assert_eq!(head.add(name, value), Err(error), "{name:?}");
        }
        assert_eq!(head.iter().count(), 0);
        head.set("a", b"tab\tand \xff").unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(head) = Head::from_map_bytes(bytes) {
                prop_assert!(head.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() <= 200);
            }
        }

        #[test]
        fn near_maps_are_read_or_refused(at in 0usize..40, byte in any::<u8>()) {
            let mut bytes = encode(&[(b":path", b"/a"), (b"x", b"1")]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = Head::from_map_bytes(bytes);
        }
    }
}
