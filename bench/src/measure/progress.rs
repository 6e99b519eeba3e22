//! A load while it runs: a small value once a second, for whoever shows it.

use std::fmt::Debug;

use crate::outcome::Second;

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections are being opened.
    Connecting,
    /// They are held.
    Holding,
    /// Messages flow and are not measured yet.
    Warmup,
    /// Messages flow and are measured.
    Measuring,
    /// The last answers are waited for.
    Finishing,
}

impl Phase {
    /// As people say it.
    #[must_use]
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Holding => "holding",
            Self::Warmup => "warm-up",
            Self::Measuring => "measuring",
            Self::Finishing => "finishing",
        }
    }
}

/// What a load is made of, and its progress is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Messages, or connections that are made and closed.
    Messages,
    /// Bytes without an end (`bulk`).
    Bytes,
}

/// What is known after another second.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Where the load was for most of the row.
    pub(crate) phase: Phase,
    /// What it is made of.
    pub(crate) flow: Flow,
    /// What is under way, for a load of several parts: `B, round 3 of 12`, `step 4: 80000/s`.
    pub(crate) part: Option<String>,
    /// Connections asked for.
    pub(crate) connections: u32,
    /// The row that has ended.
    pub(crate) second: Second,
    /// Messages measured so far.
    pub(crate) messages: u64,
    /// ErrorCounts so far.
    pub(crate) errors: u64,
    /// The measured time that is left, in nanoseconds; `None` for a load by count.
    pub(crate) left_ns: Option<u64>,
}

/// Is told of a load while it runs, on the main thread, never on a lane's.
pub(crate) trait Observer: Debug {
    /// Another second has passed.
    fn second(&mut self, snapshot: &Snapshot);
}
