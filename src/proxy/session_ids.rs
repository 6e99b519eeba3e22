//! The ids of sessions: one sequence for all lanes of the process.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::runtime::SessionId;

/// The source of ids. Costs a locked instruction for a session and nothing for a message. All lanes
/// write it: hence two cache lines of its own, which processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub struct SessionIds(AtomicU64);

impl SessionIds {
    /// Begins at this id. A process after an upgrade begins behind the last id of its predecessor.
    #[must_use]
    pub(crate) fn beginning_at(first: SessionId) -> Self {
        Self(AtomicU64::new(first.0))
    }

    /// An unused id. 2^64 ids outlast any machine.
    pub(super) fn next(&self) -> SessionId {
        SessionId(self.0.fetch_add(1, Relaxed))
    }
}

impl Default for SessionIds {
    /// The first process begins at 1.
    fn default() -> Self {
        Self::beginning_at(SessionId(1))
    }
}
