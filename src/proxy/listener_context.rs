//! The context that all sessions of a listener share on a lane: its name, service, limits and
//! timeouts. Built when a lane prepares a generation; the accept loop and every session hold a
//! reference.

use std::io;
use std::sync::Arc;

use super::deadline::Timeouts;
use super::limit::{Permit, SessionLimit};
use super::service::Service;
use super::session_ids::SessionIds;
use super::spare::Spares;
use crate::net::Listener;
use crate::runtime::{Handle, Latch, LogInterval, Seat};

/// A listener, as its accept loops and its sessions on a lane need it.
#[derive(Debug)]
pub struct ListenerContext {
    /// The listener's id. Sessions keep the context, so the id says their generation.
    pub id: ListenerId,
    /// The listener's name in the configuration.
    pub name: Arc<str>,
    /// The lane.
    pub lane: Handle,
    /// The lane's index.
    pub lane_index: usize,
    /// The service of each connection.
    pub service: Service,
    /// The limit on sessions, shared by all lanes and listeners.
    pub limit: Arc<SessionLimit>,
    /// The ids of all sessions of the process.
    pub ids: Arc<SessionIds>,
    /// The time limits of its sessions.
    pub timeouts: Timeouts,
    /// Limits log lines about failed accepts; shared by all lanes of the listener.
    pub failures: Arc<LogInterval>,
    /// Opens when this listener stops accepting on this lane.
    pub stop: Latch,
}

/// A listener. Unique in the process, also after later configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId {
    /// The number of its configuration. Every applied configuration has the next number.
    pub generation: u32,
    /// The listener's index in this configuration.
    pub index: u32,
}

impl ListenerContext {
    /// Sockets for its first session, as far as this machine has descriptors.
    #[must_use]
    pub fn spares(&self) -> Spares {
        let mut spares = Spares::default();
        // The accept loop tries again and reports a failure before it accepts.
        drop(spares.fill(&self.service));
        spares
    }

    /// A permit for a session. Waits until there is a free permit.
    pub(super) async fn permit(&self, seat: &Seat) -> Permit {
        if let Some(permit) = self.limit.try_acquire() {
            return permit;
        }
        self.lane.stats().permit_waits.add(1);
        self.limit.acquire(seat).await
    }

    /// An accept has failed for lack of descriptors or memory.
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
