//! The time of round robin, shared by all lanes.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The time of the latest turn of an upstream. With round robin every new session writes this time,
/// so the cache line holds no further data; 128 bytes, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Turns(AtomicU64);

impl Turns {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// A turn at this time is taken.
    pub(super) fn advance(&self, to: u64) {
        self.0.fetch_max(to, Relaxed);
    }
}
