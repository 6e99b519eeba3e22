//! The streams of simulated connections: eight bytes with the sender's name, then bytes derived
//! from name and position.

/// Length of the name.
pub(super) const HEADER: u64 = 8;

/// The word at an index of the stream of `name`; word 0 is the name.
fn word(name: u64, index: u64) -> u64 {
    if index == 0 {
        return name;
    }
    let mixed = (name ^ index.rotate_left(40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// The byte at `at`.
fn byte(name: u64, at: u64) -> u8 {
    word(name, at / 8).to_le_bytes()[usize::try_from(at % 8).expect("below 8")]
}

/// Fills a buffer with the stream from `at` on.
pub(super) fn write(name: u64, mut at: u64, mut into: &mut [u8]) {
    while !into.is_empty() && !at.is_multiple_of(8) {
        into[0] = byte(name, at);
        (into, at) = (&mut into[1..], at + 1);
    }
    let mut words = into.chunks_exact_mut(8);
    for chunk in &mut words {
        chunk.copy_from_slice(&word(name, at / 8).to_le_bytes());
        at += 8;
    }
    for last in words.into_remainder() {
        *last = byte(name, at);
        at += 1;
    }
}

/// Checks a received stream and learns its sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    pub(super) received: u64,
    header: [u8; 8],
}

impl Reader {
    /// The sender's name, once all its bytes have arrived.
    pub(super) fn name(&self) -> Option<u64> {
        (self.received >= HEADER).then(|| u64::from_le_bytes(self.header))
    }

    /// Takes bytes; the error is the position of the first wrong byte.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while self.received < HEADER && !bytes.is_empty() {
            self.header[usize::try_from(self.received).expect("below 8")] = bytes[0];
            (bytes, self.received) = (&bytes[1..], self.received + 1);
        }
        let Some(name) = self.name() else {
            return Ok(());
        };
        while !bytes.is_empty() && !self.received.is_multiple_of(8) {
            self.take_one(name, bytes[0])?;
            bytes = &bytes[1..];
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for &chunk in words {
            if u64::from_le_bytes(chunk) != word(name, self.received / 8) {
                return Err(self.received);
            }
            self.received += 8;
        }
        rest.iter().try_for_each(|&byte| self.take_one(name, byte))
    }

    fn take_one(&mut self, name: u64, got: u8) -> Result<(), u64> {
        if got != byte(name, self.received) {
            return Err(self.received);
        }
        self.received += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, write};

    #[test]
    fn is_read_in_any_pieces_and_every_byte_counts() {
        let mut all = vec![0; 1000];
        write(77, 0, &mut all);
        for piece in [1, 3, 8, 13, 1000] {
            let mut again = vec![0; 1000];
            for (at, part) in (0..).step_by(piece).zip(again.chunks_mut(piece)) {
                write(77, at, part);
            }
            assert_eq!(again, all);
            let mut reader = Reader::default();
            for part in all.chunks(piece) {
                reader.take(part).unwrap();
            }
            assert_eq!((reader.name(), reader.received), (Some(77), 1000));
        }
        for at in 8..1000 {
            let mut bad = all.clone();
            bad[at] ^= 1;
            assert!(Reader::default().take(&bad).is_err());
        }
    }
}
