//! The byte form of header maps and of property maps: a count, all sizes, then every name and value with a NUL behind.

use crate::headers::HeaderMap;

const MAX_PAIRS: usize = 1024;
const MAX_BYTES: usize = 1024 * 1024;

/// Encodes pairs. No pairs are no bytes at all: the host hands out a null pointer for them.
pub(crate) fn encode<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let (count, bytes) = pairs.clone().fold((0_usize, 0_usize), |(n, b), (k, v)| (n + 1, b + k.len() + v.len() + 2));
    if count == 0 {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(4 + 8 * count + bytes);
    out.extend_from_slice(&size(count));
    for (name, value) in pairs.clone() {
        out.extend_from_slice(&size(name.len()));
        out.extend_from_slice(&size(value.len()));
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

fn size(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes()
}

/// Encodes a header map.
pub(crate) fn encode_map(map: &HeaderMap) -> Vec<u8> {
    encode(map.entries())
}

/// Decodes pairs. Whatever is malformed, longer than 1 MiB or more than 1024 pairs is an empty list, as in Envoy.
pub(crate) fn decode(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    try_decode(bytes).unwrap_or_default()
}

fn try_decode(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let mut sizes = bytes.get(4..)?;
    let count = read_u32(bytes)?;
    if count > MAX_PAIRS {
        return None;
    }
    let mut data = sizes.get(count.checked_mul(8)?..)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let name = take(&mut data, read_u32(sizes)?)?;
        let value = take(&mut data, read_u32(sizes.get(4..)?)?)?;
        sizes = sizes.get(8..)?;
        pairs.push((name, value));
    }
    data.is_empty().then_some(pairs)
}

fn read_u32(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn take(data: &mut &[u8], len: usize) -> Option<Vec<u8>> {
    let piece = data.get(..len)?.to_vec();
    if data.get(len) != Some(&0) {
        return None;
    }
    *data = data.get(len + 1..)?;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_no_bytes_and_zero_pairs_are_nothing() {
        assert!(encode_map(&HeaderMap::new()).is_empty());
        assert!(decode(&[]).is_empty());
        assert!(decode(&[0, 0, 0, 0]).is_empty());
    }

    #[test]
    fn malformed_bytes_are_an_empty_list() {
        let good = encode([(&b"a"[..], &b"bc"[..])].into_iter());
        assert_eq!(decode(&good), [(b"a".to_vec(), b"bc".to_vec())]);
        let mut slack = good.clone();
        slack.push(0);
        let mut no_nul = good.clone();
        if let Some(last) = no_nul.last_mut() {
            *last = b'x';
        }
        let mut long = good.clone();
        long[4] = 200;
        for bad in [&slack[..], &no_nul, &long, &good[..good.len() - 1], &good[..3], &[255; 12]] {
            assert!(decode(bad).is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn the_limits_are_1024_pairs_and_one_mebibyte() {
        let many = |n: usize| vec![(b"k".to_vec(), Vec::new()); n];
        let bytes = |pairs: &[(Vec<u8>, Vec<u8>)]| encode(pairs.iter().map(|(k, v)| (&k[..], &v[..])));
        assert_eq!(decode(&bytes(&many(1024))).len(), 1024);
        assert!(decode(&bytes(&many(1025))).is_empty());
        let fits = vec![(Vec::new(), vec![b'v'; MAX_BYTES - 14])];
        assert_eq!(decode(&bytes(&fits)).len(), 1);
        let over = vec![(Vec::new(), vec![b'v'; MAX_BYTES - 13])];
        assert!(decode(&bytes(&over)).is_empty());
    }

    proptest! {
        #[test]
        fn a_strangers_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_plausible_head_never_panics(count in 0_u32..6, sizes in proptest::collection::vec(0_u32..9, 0..12), rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = count.to_le_bytes().to_vec();
            bytes.extend(sizes.iter().flat_map(|s| s.to_le_bytes()));
            bytes.extend(rest);
            prop_assert!(decode(&bytes).len() <= 5);
        }

        #[test]
        fn what_is_encoded_comes_back(pairs in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..9), proptest::collection::vec(any::<u8>(), 0..9)), 0..20)) {
            let bytes = encode(pairs.iter().map(|(k, v)| (&k[..], &v[..])));
            prop_assert_eq!(decode(&bytes), pairs);
        }
    }
}
