//! Embeddings: the same text gets the same vector.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A vector of a text. Its numbers are multiples of 1/256, so that they are exact in any form: the text's length in bytes, the sum of
/// its bytes, then numbers that count on.
pub fn of(text: &str, dimensions: usize) -> Vec<f32> {
    let length = u16::try_from(text.len() % 256).unwrap_or(0);
    let sum = text.bytes().fold(0u16, |sum, byte| (sum + u16::from(byte)) % 256);
    let counted = (0..).map(move |index: u16| sum.wrapping_add(index) % 256);
    [length, sum].into_iter().chain(counted.skip(1)).take(dimensions).map(|number| f32::from(number) / 256.0).collect()
}

/// As JSON numbers.
pub fn numbers(vector: &[f32]) -> Value {
    vector.iter().map(|&number| json!(number)).collect()
}

/// As base64 of little-endian floats.
pub fn base64(vector: &[f32]) -> Value {
    json!(STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_short_exact_and_told_apart() {
        assert_eq!(of("ab", 4), [2.0 / 256.0, 195.0 / 256.0, 196.0 / 256.0, 197.0 / 256.0]);
        assert_eq!(of("", 1), [0.0]);
        assert_ne!(of("ab", 8), of("ac", 8));
        assert_eq!(numbers(&of("ab", 1)).to_string(), "[0.0078125]");
        assert_eq!(base64(&[0.5]), "AAAAPw==");
    }
}
