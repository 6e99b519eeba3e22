//! The administrative state of an endpoint: set by an operator, read by every new session.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// What an operator lets an endpoint do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminState {
    /// Sessions may choose the endpoint.
    Ready,
    /// No new session chooses the endpoint; present sessions stay.
    Drain,
    /// As [`AdminState::Drain`], and a session that connects meanwhile ends.
    Maintenance,
}

impl AdminState {
    /// In the order of their codes.
    const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Maintenance];

    /// The word for answers and for the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}

/// An administrative state, written by the main thread and read by the lanes. Messages between the
/// threads order the change before any request that follows.
#[derive(Debug, Default)]
pub(super) struct SharedAdminState(AtomicU8);

impl SharedAdminState {
    pub(super) fn get(&self) -> AdminState {
        AdminState::ALL[usize::from(self.0.load(Relaxed))]
    }

    pub(super) fn set(&self, state: AdminState) {
        self.0.store(state as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminState, SharedAdminState};

    #[test]
    fn a_shared_state_begins_ready_and_keeps_what_is_set() {
        let shared = SharedAdminState::default();
        assert_eq!(shared.get(), AdminState::Ready);
        for state in AdminState::ALL.into_iter().rev() {
            shared.set(state);
            assert_eq!(shared.get(), state);
        }
    }
}
