//! A whole, buffered body.

/// A buffered request or response body. Reading is free; the shell writes it back only after [`Body::replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
    /// There was nothing to replace.
    empty: bool,
    replaced: bool,
}

impl Body {
    /// Takes over the bytes that a host handed out.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { empty: bytes.is_empty(), bytes, replaced: false }
    }

    /// No body.
    pub fn none() -> Self {
        Self::new(Vec::new())
    }

    /// The body as it will go on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it came with no bytes.
    pub fn came_empty(&self) -> bool {
        self.empty
    }

    /// Puts another body in its place, whose framing is the shell's business. A body of no bytes stays one: behind a
    /// head, or trailers, that end a message no host lets a filter add anything.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        if !self.empty {
            self.bytes = bytes;
            self.replaced = true;
        }
    }

    /// The new bytes, if there are any to write back.
    pub fn into_replacement(self) -> Option<Vec<u8>> {
        self.replaced.then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_no_bytes_stays_one() {
        for (before, after) in [("", None), ("a", Some(b"new".to_vec()))] {
            let mut body = Body::new(before.into());
            assert_eq!(body.clone().into_replacement(), None);
            body.replace(b"new".to_vec());
            assert_eq!(body.into_replacement(), after, "{before}");
        }
        let mut body = Body::new(b"a".to_vec());
        body.replace(Vec::new());
        body.replace(b"b".to_vec());
        assert_eq!(body.bytes(), b"b");
    }
}
