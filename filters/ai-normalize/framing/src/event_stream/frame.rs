use crate::FramingError;

/// A whole frame whose checksums and headers are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

/// The value of a header, by its type in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// Types 0 and 1.
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Short(i16),
    /// Type 4.
    Int(i32),
    /// Type 5.
    Long(i64),
    /// Type 6.
    Bytes(&'a [u8]),
    /// Type 7; should be UTF-8 but is not checked.
    String(&'a [u8]),
    /// Type 8, in milliseconds since 1970.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

/// The headers of a frame in order, as names and values.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame of exactly these bytes, whose prelude is checked.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FramingError> {
        let (checked, crc) = bytes.split_last_chunk().ok_or(FramingError::BadLength)?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*crc) {
            return Err(FramingError::BadMessageCrc);
        }
        let mut rest = checked;
        let [_total, headers, _crc] = [take(&mut rest), take(&mut rest), take(&mut rest)].map(|field| {
            field.and_then(|field| usize::try_from(u32::from_be_bytes(field)).ok()).ok_or(FramingError::BadLength)
        });
        let (headers, payload) = rest.split_at_checked(headers?).ok_or(FramingError::BadLength)?;
        let mut walked = headers;
        while !walked.is_empty() {
            take_header(&mut walked).ok_or(FramingError::BadHeader)?;
        }
        Ok(Self { headers, payload })
    }

    /// The value of the first header of this name, if that is a string or bytes.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        match self.headers().find(|(found, _)| *found == name.as_bytes())? {
            (_, HeaderValue::String(value) | HeaderValue::Bytes(value)) => Some(value),
            _ => None,
        }
    }

    /// All headers with their typed values.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { rest: self.headers }
    }

    /// What the frame carries.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], HeaderValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        take_header(&mut self.rest)
    }
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], HeaderValue<'a>)> {
    let [length] = take(rest)?;
    let name = take_slice(rest, length.into()).filter(|name| !name.is_empty())?;
    let value = match take(rest)? {
        [0] => HeaderValue::Bool(true),
        [1] => HeaderValue::Bool(false),
        [2] => HeaderValue::Byte(i8::from_be_bytes(take(rest)?)),
        [3] => HeaderValue::Short(i16::from_be_bytes(take(rest)?)),
        [4] => HeaderValue::Int(i32::from_be_bytes(take(rest)?)),
        [5] => HeaderValue::Long(i64::from_be_bytes(take(rest)?)),
        [6] => HeaderValue::Bytes(take_counted(rest)?),
        [7] => HeaderValue::String(take_counted(rest)?),
        [8] => HeaderValue::Timestamp(i64::from_be_bytes(take(rest)?)),
        [9] => HeaderValue::Uuid(take(rest)?),
        _ => return None,
    };
    Some((name, value))
}

fn take_counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest)?);
    take_slice(rest, length.into())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(taken)
}
