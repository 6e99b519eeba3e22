//! Random numbers to spread load over time and to tell answers apart, no lasting secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number, for rare use.
pub(super) fn random() -> u64 {
    // Each state has separate keys.
    RandomState::new().build_hasher().finish()
}

/// Random numbers (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(random())
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a usize")
    }

    /// At least 0, less than 1.
    pub(super) fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).expect("32 bits"))
            / f64::from(u32::MAX).next_up()
    }
}
