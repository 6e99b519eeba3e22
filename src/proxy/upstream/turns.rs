//! A count of turns, shared by all lanes.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Turns of the endpoints of an upstream. Every new session writes this count, so the cache line
/// holds no further data; 128 bytes, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Turns(AtomicUsize);

impl Turns {
    /// The next turn.
    pub(super) fn take(&self) -> usize {
        self.0.fetch_add(1, Relaxed)
    }
}
