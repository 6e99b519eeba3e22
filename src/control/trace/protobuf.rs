//! The wire format of Protocol Buffers, as far as a trace needs it. Appends to a buffer.

/// Appends a field with an integer.
pub(super) fn integer(to: &mut Vec<u8>, field: u32, value: u64) {
    varint(to, u64::from(field) << 3);
    varint(to, value);
}

/// Appends a field of eight bytes (`fixed64`).
pub(super) fn fixed(to: &mut Vec<u8>, field: u32, value: u64) {
    varint(to, u64::from(field) << 3 | 1);
    to.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field with a text.
pub(super) fn text(to: &mut Vec<u8>, field: u32, text: &str) {
    varint(to, u64::from(field) << 3 | 2);
    varint(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

/// Appends a field with the message that `fill` appends.
pub(super) fn message(to: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    varint(to, u64::from(field) << 3 | 2);
    // Most messages are shorter than 128 bytes: their length is one byte.
    let place = to.len();
    to.push(0);
    fill(to);
    let bytes = to.len() - place - 1;
    if let Ok(short @ 0..128) = u8::try_from(bytes) {
        to[place] = short;
    } else {
        let mut length = Vec::new();
        varint(&mut length, bytes as u64);
        to.splice(place..=place, length);
    }
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::{fixed, integer, message, text};

    /// The bytes of the examples in Google's description of the encoding.
    #[test]
    fn fields_are_written_as_the_format_says() {
        let mut bytes = Vec::new();
        integer(&mut bytes, 1, 150);
        assert_eq!(bytes, [0x08, 0x96, 0x01]);
        bytes.clear();
        text(&mut bytes, 2, "testing");
        assert_eq!(bytes, b"\x12\x07testing");
        bytes.clear();
        message(&mut bytes, 3, |inner| integer(inner, 1, 150));
        assert_eq!(bytes, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        bytes.clear();
        fixed(&mut bytes, 47, 1);
        assert_eq!(bytes, [0xf9, 0x02, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        for length in [127, 128, 300, 20_000] {
            let mut bytes = Vec::new();
            let long = "x".repeat(length);
            message(&mut bytes, 1, |inner| {
                inner.extend_from_slice(long.as_bytes())
            });
            let mut expected = Vec::new();
            text(&mut expected, 1, &long);
            assert_eq!(bytes, expected, "{length}");
        }
    }
}
