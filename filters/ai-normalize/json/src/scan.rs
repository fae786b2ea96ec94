//! The bytes of strings and numbers.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of a word that end the plain part of a string: a quote, a backslash, a control character. Bytes above such a
/// one may be marked as well, none below it is.
fn marks(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zero(word ^ (ONES * 0x22));
    let backslashes = zero(word ^ (ONES * 0x5c));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHS
}

/// The byte of the lowest mark.
fn place(marks: u64) -> usize {
    usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0)
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low(both: u128) -> u64 {
    both as u64
}

/// How many bytes from `at` on are plain: no quote, no backslash, no control character.
pub(crate) fn plain(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut length = 0;
    // most strings are long: two words at a time, and which of both it was only where one is marked
    let (pairs, rest) = rest.as_chunks::<16>();
    for pair in pairs {
        let both = u128::from_le_bytes(*pair);
        let (first, second) = (marks(low(both)), marks(low(both >> 64)));
        if first | second != 0 {
            return length + if first != 0 { place(first) } else { 8 + place(second) };
        }
        length += 16;
    }
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return length + place(marks);
        }
        length += 8;
    }
    length + tail.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

/// The end of the number that begins at `at`, if there is one.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        from + count
    };
    let start = if bytes.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = match bytes.get(start)? {
        b'0' => start + 1,
        b'1'..=b'9' => digits(start),
        _ => return None,
    };
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == end + 1 {
            return None;
        }
        end = fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == end + 1 + sign {
            return None;
        }
        end = exponent;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_parts_end_at_each_special_byte_wherever_it_stands() {
        for special in (0..=0x1f_u8).chain([b'"', b'\\']) {
            for length in 0..40 {
                for before in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    let mut bytes = vec![before; length];
                    bytes.push(special);
                    bytes.extend([before; 9]);
                    assert_eq!(plain(&bytes, 0), length, "{special} behind {length} of {before}");
                }
            }
        }
        assert_eq!(plain(b"plain", 0), 5);
        assert_eq!(plain(b"plain", 9), 0);
    }

    #[test]
    fn numbers_end_where_their_grammar_ends() {
        for (text, end) in [
            ("0", Some(1)),
            ("-0", Some(2)),
            ("01", Some(1)),
            ("12.50e+3,", Some(8)),
            ("1e9", Some(3)),
            ("1.", None),
            ("1.e3", None),
            ("1e", None),
            ("1e+", None),
            ("-", None),
            (".5", None),
            ("+1", None),
            ("", None),
        ] {
            assert_eq!(number(text.as_bytes(), 0), end, "{text}");
        }
    }
}
