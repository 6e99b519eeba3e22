//! Base64 (RFC 4648, 4): keys and values in etcd's JSON. Pure.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of bytes, with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let whole = [0, 1, 2].map(|at| group.get(at).copied().unwrap_or(0));
        let bits = u32::from_be_bytes([0, whole[0], whole[1], whole[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() {
                letter.into()
            } else {
                '='
            });
        }
    }
    text
}

/// The bytes of a text; `None` for any other text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let groups = text.len() / 4;
    for (index, group) in text.chunks(4).enumerate() {
        let padding = group
            .iter()
            .rev()
            .take_while(|letter| **letter == b'=')
            .count();
        if padding > 2 || padding > 0 && index + 1 < groups {
            return None;
        }
        let mut bits = 0;
        for letter in &group[..4 - padding] {
            let value = LETTERS.iter().position(|one| one == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let [_, whole @ ..] = (bits << (6 * padding)).to_be_bytes();
        bytes.extend(&whole[..3 - padding]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    /// RFC 4648, 10.
    #[test]
    fn the_vectors_of_the_rfc_hold_in_both_directions() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        for wrong in ["Z", "Zg=", "Zg==Zg==", "Z===", "Zm9 ", "Zm9-"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
