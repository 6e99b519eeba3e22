//! A lane's counters: each has one writer, its lane; anybody may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread changes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the counter's own lane may. No locked instruction.
    pub fn add(&self, n: u64) {
        self.0
            .store(self.value().wrapping_add(n), Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one lane.
#[derive(Debug, Default)]
pub struct LaneStats {
    /// Turns of the lane.
    pub turns: Counter,
    /// Tasks polled.
    pub polls: Counter,
    /// Tasks started.
    pub spawned: Counter,
    /// Tasks ended by a panic.
    pub panics: Counter,
    /// Sessions begun.
    pub begun: Counter,
    /// Sessions ended.
    pub ended: Counter,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: Counter,
    /// Connections that were accepted and waited for a place.
    pub place_waits: Counter,
    /// Times that a buffer was wanted and all were in use.
    pub buffer_waits: Counter,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Bytes sent.
    pub sent_bytes: Counter,
}

impl LaneStats {
    /// Sessions that have begun and not ended.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        // Of another lane, one may be seen to end before it is seen to begin.
        self.begun.value().saturating_sub(self.ended.value())
    }
}
