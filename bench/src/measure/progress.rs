//! The progress of a running load, once a second, for the observers that show it.

use std::fmt::Debug;

use crate::outcome::Second;

/// The phase of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections open.
    Connecting,
    /// Open connections are held.
    Holding,
    /// Messages run, unmeasured.
    Warmup,
    /// Messages run and are measured.
    Measuring,
    /// The last replies are outstanding.
    Finishing,
}

impl Phase {
    /// The name for people.
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

/// The unit of a load's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Messages, or with `churn` connections.
    Messages,
    /// Bytes without message boundaries (`bulk`).
    Bytes,
}

/// The progress after a further second.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The phase that took most of the row.
    pub(crate) phase: Phase,
    /// The unit of the progress.
    pub(crate) flow: Flow,
    /// The part of a sweep or duel: `B, round 3 of 12`, `step 4: 80000/s`.
    pub(crate) part: Option<String>,
    /// Number of connections in the plan.
    pub(crate) connections: u32,
    /// The last row.
    pub(crate) second: Second,
    /// Messages measured so far.
    pub(crate) messages: u64,
    /// Errors so far.
    pub(crate) errors: u64,
    /// The rest of the measured time in nanoseconds; `None` with a message count.
    pub(crate) left_ns: Option<u64>,
}

/// Observes a running load. Called on the main thread, never on a lane's thread.
pub(crate) trait Observer: Debug {
    /// Called once a second.
    fn second(&mut self, snapshot: &Snapshot);
}
