//! The bytes that a connection sends: a function of the seed, the connection and the stream
//! position. So every received byte can be verified.
//!
//! Pure. Eight bytes cost one round of splitmix64, at any alignment.

use crate::outcome::Mismatch;
use crate::stats::{GOLDEN, mix};

/// Bytes generated at once.
const WORD: usize = size_of::<u64>();
const WORD_BYTES: u64 = WORD as u64;

/// The sent stream of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    seed: u64,
}

impl Pattern {
    /// Different seeds and different connections give unrelated streams.
    pub(crate) fn new(run: u64, connection: u32) -> Self {
        Self {
            seed: mix(mix(run) ^ u64::from(connection)),
        }
    }

    /// Writes the bytes that begin at `position`.
    pub(crate) fn fill(self, position: u64, into: &mut [u8]) {
        let (head, rest) = into.split_at_mut(to_boundary(position).min(into.len()));
        for (byte, at) in head.iter_mut().zip(position..) {
            *byte = self.byte(at);
        }
        let mut index = position.div_ceil(WORD_BYTES);
        let mut words = rest.chunks_exact_mut(WORD);
        for bytes in &mut words {
            bytes.copy_from_slice(&self.word(index));
            index += 1;
        }
        let tail = words.into_remainder();
        let bytes = self.word(index);
        tail.copy_from_slice(&bytes[..tail.len()]);
    }

    /// The first wrong byte of `bytes`, which begin at `position`.
    pub(crate) fn mismatch(self, position: u64, bytes: &[u8]) -> Option<Mismatch> {
        let (head, rest) = bytes.split_at(to_boundary(position).min(bytes.len()));
        let at = position + head.len() as u64;
        self.search(position, head).or_else(|| {
            let index = at / WORD_BYTES;
            let (words, tail) = rest.as_chunks::<WORD>();
            let wrong = (index..)
                .zip(words)
                .find(|(index, word)| self.word(*index) != **word);
            match wrong {
                Some((index, word)) => self.search(index * WORD_BYTES, word),
                None => self.search(at + (rest.len() - tail.len()) as u64, tail),
            }
        })
    }

    fn search(self, position: u64, bytes: &[u8]) -> Option<Mismatch> {
        (position..).zip(bytes).find_map(|(position, &got)| {
            let expected = self.byte(position);
            (expected != got).then_some(Mismatch {
                position,
                expected,
                got,
            })
        })
    }

    fn byte(self, position: u64) -> u8 {
        self.word(position / WORD_BYTES)[(position % WORD_BYTES) as usize]
    }

    fn word(self, index: u64) -> [u8; WORD] {
        mix(self.seed.wrapping_add(index.wrapping_mul(GOLDEN))).to_le_bytes()
    }
}

/// Bytes from a position to the next word boundary.
fn to_boundary(position: u64) -> usize {
    ((WORD_BYTES - position % WORD_BYTES) % WORD_BYTES) as usize
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use crate::outcome::Mismatch;

    /// The beginning of the stream, made in one piece.
    fn stream(pattern: Pattern, bytes: usize) -> Vec<u8> {
        let mut all = vec![0; bytes];
        pattern.fill(0, &mut all);
        all
    }

    #[test]
    fn a_piece_equals_the_part_of_the_stream() {
        let pattern = Pattern::new(1, 2);
        let all = stream(pattern, 100);
        for from in 0..40 {
            for to in from..100 {
                let mut piece = vec![0; to - from];
                pattern.fill(from as u64, &mut piece);
                assert_eq!(piece, all[from..to], "{from}..{to}");
                assert_eq!(pattern.mismatch(from as u64, &piece), None, "{from}..{to}");
            }
        }
    }

    #[test]
    fn one_wrong_bit_is_found_at_any_alignment() {
        let pattern = Pattern::new(1, 2);
        let all = stream(pattern, 64);
        for from in 0..20 {
            for at in from..64 {
                let mut bytes = all.clone();
                bytes[at] ^= 1;
                let wrong = Mismatch {
                    position: at as u64,
                    expected: all[at],
                    got: all[at] ^ 1,
                };
                let found = pattern.mismatch(from as u64, &bytes[from..]);
                assert_eq!(found, Some(wrong), "{at} in {from}..");
            }
        }
    }

    #[test]
    fn lost_repeated_and_foreign_bytes_are_found() {
        let pattern = Pattern::new(1, 2);
        let all = stream(pattern, 4096);
        for shift in 1..2000 {
            assert!(
                pattern.mismatch(0, &all[shift..]).is_some(),
                "{shift} bytes lost"
            );
            let repeated = pattern.mismatch(shift as u64, &all);
            assert!(repeated.is_some(), "{shift} bytes repeated");
        }
        for other in [Pattern::new(1, 3), Pattern::new(2, 2), Pattern::new(2, 1)] {
            assert!(other.mismatch(0, &all).is_some());
        }
    }

    #[test]
    fn positions_far_beyond_32_bits() {
        let pattern = Pattern::new(1, 2);
        let far = u64::from(u32::MAX) * 1000 + 3;
        let mut bytes = [0; 50];
        pattern.fill(far, &mut bytes);
        assert_eq!(pattern.mismatch(far, &bytes), None);
        assert!(pattern.mismatch(3, &bytes).is_some());
    }
}
