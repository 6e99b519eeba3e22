//! The ways of the writing thread to the lanes, for listings of sessions.

use std::fmt;

use crate::control::ToLane;

/// The ways to the lanes.
pub(in crate::server) struct Lanes(pub(in crate::server) Vec<Box<dyn Fn(ToLane) + Send>>);

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends a command, which is dropped if the lane has ended.
    pub(super) fn send(&self, lane: usize, command: ToLane) {
        if let Some(send) = self.0.get(lane) {
            send(command);
        }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lanes").field(&self.0.len()).finish()
    }
}
