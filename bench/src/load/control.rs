//! What the main thread tells the lanes. They look after each turn: wake them afterwards.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use corelane::sys::Time;

/// The time that is measured: from its start up to, and without, its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

impl Window {
    /// Nothing is measured yet.
    pub(crate) const NONE: Self = Self {
        start: Time::NEVER,
        end: Time::NEVER,
    };

    pub(crate) fn contains(self, now: Time) -> bool {
        self.start <= now && now < self.end
    }
}

/// When the messages begin to flow, and when they are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Time,
    pub(crate) window: Window,
}

/// Written by the main thread alone.
#[derive(Debug)]
pub(crate) struct LaneControl {
    go: OnceLock<Start>,
    /// When it all stopped, in nanoseconds; `u64::MAX` while it has not.
    stopped_at: AtomicU64,
    /// How many rows of the series were asked for.
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

    /// Lets the messages flow. Counts the first time only.
    pub(crate) fn go(&self, go: Start) {
        self.go.get_or_init(|| go);
    }

    pub(crate) fn gone(&self) -> Option<Start> {
        self.go.get().copied()
    }

    /// Starts no more messages, and closes.
    pub(crate) fn stop(&self, now: Time) {
        self.stopped_at.fetch_min(now.as_nanos(), Release);
    }

    pub(crate) fn stopped(&self) -> Option<Time> {
        let nanos = self.stopped_at.load(Acquire);
        (nanos != u64::MAX).then_some(Time::from_nanos(nanos))
    }

    /// Asks each lane for what it has counted since it was last asked.
    pub(crate) fn ask_for_row(&self) {
        self.rows.fetch_add(1, Release);
    }

    pub(crate) fn rows(&self) -> u32 {
        self.rows.load(Acquire)
    }
}
