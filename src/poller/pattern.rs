//! The bytes that streams carry in tests: the conformance suite's and the scripts' alike.
//!
//! On every system, unlike the scripts. Never built into the product.

/// The bytes that a stream named `seed` carries from `offset` on.
pub(super) fn pattern(seed: u64, offset: usize, bytes: usize) -> Vec<u8> {
    let byte = |at: usize| {
        let word = (at as u64 / 8 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed << 17;
        word.rotate_left(23)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .to_le_bytes()[at % 8]
    };
    (offset..offset + bytes).map(byte).collect()
}
