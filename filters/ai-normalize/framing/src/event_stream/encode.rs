/// A frame with string headers, as AWS would send it; for tests and stand-ins of providers.
///
/// A header that the format cannot hold (a name of no or over 255 bytes, a value over 65535) is left out.
#[must_use]
pub fn encode_frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        let (Ok(name_length @ 1..), Ok(value_length)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
            continue;
        };
        block.push(name_length);
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&value_length.to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let mut frame = Vec::with_capacity(16 + block.len() + payload.len());
    for length in [16 + block.len() + payload.len(), block.len()] {
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&block);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}
