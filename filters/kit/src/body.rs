//! A whole, buffered body.

/// A buffered request or response body. Reading is free; the shell writes it back only after [`Body::replace`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Body {
    bytes: Vec<u8>,
    replaced: bool,
}

impl Body {
    /// Takes over the bytes that a host handed out.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, replaced: false }
    }

    /// The body as it will go on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts another body in its place. The framing is the shell's business: it has removed `content-length` before.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
        self.replaced = true;
    }

    /// The new bytes, if there are any to write back.
    pub fn into_replacement(self) -> Option<Vec<u8>> {
        self.replaced.then_some(self.bytes)
    }
}
