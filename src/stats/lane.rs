//! A lane's counters. Each has one writer: the lane, or the watchdog where noted.

use super::counter::Counter;
use super::histogram::Histogram;

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
    /// Nanoseconds of ended stalls. Written by the watchdog's thread.
    pub stall: Histogram,
    /// Tasks that waited at the start of the last turn.
    pub run_queue: Counter,
    /// Buffers in use at the end of the last turn.
    pub buffers: Counter,
    /// Nanoseconds from the start of a turn to its wait for completions; of some turns.
    pub turn: Histogram,
    /// Nanoseconds that a task waited to run; of one task in each of these turns.
    pub queue_delay: Histogram,
    /// Nanoseconds that a switch to a new configuration held the lane.
    pub switch_pause: Histogram,
}

impl LaneStats {
    /// Sessions that have begun and not ended.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        // A reader of a foreign lane's counters may see a session's end before its begin.
        self.begun.value().saturating_sub(self.ended.value())
    }
}
