//! The main thread's signals to the lanes. A lane reads them after each turn, so the main thread
//! wakes the lanes after a change.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use corelane::sys::Time;

/// The measured time: from `start` up to `end`, without `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

impl Window {
    /// Before the start: no time is measured.
    pub(crate) const NONE: Self = Self {
        start: Time::NEVER,
        end: Time::NEVER,
    };

    pub(crate) fn contains(self, now: Time) -> bool {
        self.start <= now && now < self.end
    }
}

/// The start of the messages and the measured time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Time,
    pub(crate) window: Window,
}

/// The signals. Written by the main thread only.
#[derive(Debug)]
pub(crate) struct LaneControl {
    go: OnceLock<Start>,
    /// The time of the stop in nanoseconds; `u64::MAX` before the stop.
    stopped_at: AtomicU64,
    /// The number of requested rows of the series.
    rows: AtomicU32,
}

impl LaneControl {
    pub(crate) fn new() -> Self {
        Self {
            go: OnceLock::new(),
            stopped_at: AtomicU64::new(u64::MAX),
            rows: AtomicU32::new(0),
        }
    }

    /// Starts the messages. A second call has no effect.
    pub(crate) fn go(&self, go: Start) {
        self.go.get_or_init(|| go);
    }

    pub(crate) fn gone(&self) -> Option<Start> {
        self.go.get().copied()
    }

    /// Stops new messages and closes the connections.
    pub(crate) fn stop(&self, now: Time) {
        self.stopped_at.fetch_min(now.as_nanos(), Release);
    }

    pub(crate) fn stopped(&self) -> Option<Time> {
        let nanos = self.stopped_at.load(Acquire);
        (nanos != u64::MAX).then_some(Time::from_nanos(nanos))
    }

    /// Requests each lane's counts since the previous request.
    pub(crate) fn ask_for_row(&self) {
        self.rows.fetch_add(1, Release);
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows.load(Acquire)
    }
}
