//! A piece of a body that goes on as it comes.

/// A piece of a response body, or its end. Reading is free; the shell writes it back only after [`Chunk::replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    bytes: Vec<u8>,
    last: bool,
    replaced: bool,
}

impl Chunk {
    /// Takes over the bytes that a host handed out; `last` if none come after them.
    pub fn new(bytes: Vec<u8>, last: bool) -> Self {
        Self { bytes, last, replaced: false }
    }

    /// The piece as it will go on; may be empty.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the body ends with it.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Puts other bytes in its place, more or fewer or none.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        self.replaced = self.replaced || bytes != self.bytes;
        self.bytes = bytes;
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
    fn only_other_bytes_are_written_back() {
        let mut chunk = Chunk::new(b"a".to_vec(), false);
        chunk.replace(b"a".to_vec());
        assert_eq!(chunk.clone().into_replacement(), None);
        chunk.replace(Vec::new());
        assert_eq!((chunk.bytes(), chunk.is_last()), (&b""[..], false));
        assert_eq!(chunk.into_replacement(), Some(Vec::new()));
    }
}
