//! Buffers that stay within a limit.

/// The capacity that is kept from one event to the next.
const KEPT: usize = 16 * 1024;
const SMALLEST: usize = 64;

/// Appends, growing by doubling but not past `limit` unless the bytes themselves need it.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = buffer.len().saturating_add(bytes.len());
    if needed > buffer.capacity() {
        let wanted = buffer.capacity().saturating_mul(2).clamp(SMALLEST, limit.max(SMALLEST)).max(needed);
        buffer.reserve_exact(wanted - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// Empties a buffer; one large event does not hold its memory for the rest of a long answer.
pub(crate) fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_doubling_up_to_the_limit() {
        let mut buffer = Vec::new();
        let mut capacities = Vec::new();
        for _ in 0..1000 {
            append(&mut buffer, b"x", 1000);
            capacities.push(buffer.capacity());
        }
        capacities.dedup();
        assert_eq!(capacities, [64, 128, 256, 512, 1000]);
    }

    #[test]
    fn gives_large_memory_back() {
        let mut buffer = vec![0; KEPT];
        empty(&mut buffer);
        assert_eq!(buffer.capacity(), KEPT);
        append(&mut buffer, &[0; KEPT + 1], usize::MAX);
        empty(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
    }
}
