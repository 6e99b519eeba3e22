//! A lane's counters. Each counter has one writer, its lane or the watchdog; every thread may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writing thread and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds, without a locked instruction; for the counter's own writer only.
    pub fn add(&self, n: u64) {
        self.0
            .store(self.value().wrapping_add(n), Ordering::Relaxed);
    }

    /// Raises the value to `n` if it is lower, as [`Counter::add`] does.
    pub fn raise_to(&self, n: u64) {
        self.0.store(self.value().max(n), Ordering::Relaxed);
    }

    /// The present value.
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
    /// Accepted connections that waited for a permit of `max_sessions`.
    pub permit_waits: Counter,
    /// Requests for a buffer while all were in use.
    pub buffer_waits: Counter,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Bytes sent.
    pub sent_bytes: Counter,
    /// Stalls: turns of 50 ms or longer. Written by the watchdog's thread.
    pub stalls: Counter,
    /// The longest stall in microseconds, to within 25 ms. Written by the watchdog's thread.
    pub stall_longest_us: Counter,
}

impl LaneStats {
    /// Sessions that have begun and not ended.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        // A reader of a foreign lane's counters may see a session's end before its begin.
        self.begun.value().saturating_sub(self.ended.value())
    }
}
