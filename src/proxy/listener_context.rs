//! What all sessions of one listener on one lane share: its name, service, limits and timeouts.
//! Made when the lane starts; the accept loop, every session and every record hold it.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::deadline::Timeouts;
use super::handoff::{Allowance, Handoff};
use super::limit::{Permit, SessionLimit};
use super::service::Service;
use super::spare::Spares;
use crate::net::Listener;
use crate::runtime::{Handle, Latch, LogInterval, Seat};

/// What an accept loop needs to know.
#[derive(Debug)]
pub struct ListenerContext {
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
    /// How long its sessions may take.
    pub timeouts: Timeouts,
    /// When its failing accepts are logged; the same for all lanes of the listener.
    pub failures: Arc<LogInterval>,
    /// Opens when the lane is to stop accepting.
    pub stop: Rc<Latch>,
    /// The listener's place in the configuration.
    pub place: usize,
    /// How often it may look for a lane with fewer sessions.
    pub allowance: Allowance,
    /// Which lane is to have what is accepted; nobody asks where there is one lane only.
    pub handoff: Arc<OnceLock<Arc<Handoff>>>,
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
