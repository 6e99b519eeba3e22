//! The bytes that streams carry in tests, of the conformance suite and of the scripts.
//!
//! Unlike the scripts, on every system. Never built into the product.

/// The bytes of the stream named `seed` from `offset` on.
pub(super) fn pattern(seed: u64, offset: usize, bytes: usize) -> Vec<u8> {
    let (first, end) = (offset / 8, (offset + bytes).div_ceil(8));
    let mut all = Vec::with_capacity(8 * (end - first));
    for at in first..end {
        let word = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed << 17;
        let word = word.rotate_left(23).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        all.extend_from_slice(&word.to_le_bytes());
    }
    all.drain(..offset % 8);
    all.truncate(bytes);
    all
}
