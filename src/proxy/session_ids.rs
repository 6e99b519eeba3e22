//! The ids of sessions: one sequence for all lanes of the process.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::runtime::SessionId;

/// Where the next id comes from. One locked instruction a session, in the cache line of no message.
#[derive(Debug)]
pub struct SessionIds(AtomicU64);

impl SessionIds {
    /// Begins at this id: a process that continues another one begins behind the other's last.
    #[must_use]
    pub fn beginning_at(first: SessionId) -> Self {
        Self(AtomicU64::new(first.0))
    }

    /// An id that was never used. 2^64 of them last for longer than any machine.
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
