//! What all sessions of one listener on one lane share: its name, service, limits and timeouts.
//! Made when the lane starts; the accept loop, every session and every record hold it.

use std::io;
use std::sync::Arc;

use super::deadline::Timeouts;
use super::limit::{Permit, SessionLimit};
use super::service::Service;
use super::session_ids::SessionIds;
use super::spare::Spares;
use crate::net::Listener;
use crate::runtime::{Handle, Latch, LogInterval, Seat};

/// What an accept loop needs to know.
#[derive(Debug)]
pub struct ListenerContext {
    /// Tells the listener from all others; a session keeps it, and with it its generation.
    pub id: ListenerId,
    /// What the listener is called in the configuration.
    pub name: Arc<str>,
    /// The lane that it accepts for.
    pub lane: Handle,
    /// Which one that is.
    pub lane_index: usize,
    /// What each connection gets.
    pub service: Service,
    /// How many sessions there may be.
    pub limit: Arc<SessionLimit>,
    /// The ids of all sessions of the process.
    pub ids: Arc<SessionIds>,
    /// How long its sessions may take.
    pub timeouts: Timeouts,
    /// When its failing accepts are logged; the same for all lanes of the listener.
    pub failures: Arc<LogInterval>,
    /// Opens when this listener is to stop accepting on this lane.
    pub stop: Latch,
}

/// A listener of the process, whatever configurations come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId {
    /// The configuration that the listener is of: each that is applied has the next number.
    pub generation: u32,
    /// The listener's index in that configuration.
    pub index: u32,
}

impl ListenerContext {
    /// What its first session needs, as far as it is to be had.
    #[must_use]
    pub fn spares(&self) -> Spares {
        let mut spares = Spares::default();
        // If not, it is tried again, and then reported, before anybody is accepted.
        drop(spares.fill(&self.service));
        spares
    }

    /// A place for a session, waiting until there is one.
    pub(super) async fn place(&self, seat: &Seat) -> Permit {
        if let Some(permit) = self.limit.try_acquire() {
            return permit;
        }
        self.lane.stats().permit_waits.add(1);
        self.limit.acquire(seat).await
    }

    /// An accept has failed for want of descriptors or memory.
    pub(super) fn report_failure(&self, error: &io::Error) {
        self.lane.stats().accept_failures.add(1);
        if let Some(times) = self.failures.note(self.lane.now()) {
            tracing::warn!(
                listener = &*self.name,
                %error,
                times,
                remedy = Listener::remedy(error),
                "cannot accept; clients wait in the backlog until this passes"
            );
        }
    }
}
