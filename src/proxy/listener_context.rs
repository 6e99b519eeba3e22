//! The context that all sessions of a listener share on a lane: its name, service, limits and
//! timeouts. Built when a lane first needs the listener; the accept loops and every session hold a
//! reference.

use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::access::{AccessLog, AccessNames};
use super::deadline::Timeouts;
use super::end_reason::EndReason;
use super::limit::SessionLimit;
use super::service::Service;
use super::session_ids::SessionIds;
use crate::net::Listener;
use crate::runtime::{Handle, LogInterval};
use crate::stats::{ListenerStats, PerLane};

/// A listener of a generation, shared by all lanes.
#[derive(Debug)]
pub struct SharedListener {
    /// The listener's id. Sessions keep the listener, so the id says their generation.
    pub id: ListenerId,
    /// The listener's name in the configuration.
    pub name: Arc<str>,
    /// The service of each connection.
    pub service: Service,
    /// The limit on sessions, shared by all lanes and listeners.
    pub limit: Arc<SessionLimit>,
    /// The ids of all sessions of the process.
    pub ids: Arc<SessionIds>,
    /// The time limits of its sessions.
    pub timeouts: Timeouts,
    /// Limits log lines about failed accepts.
    pub failures: LogInterval,
    /// The counters of each lane, of all generations with a listener of this name.
    pub stats: Arc<PerLane<ListenerStats>>,
    /// `None` if its sessions have no lines in the access log.
    pub access: Option<Access>,
}

/// The access log of the process, and the names for this listener's lines.
#[derive(Debug)]
pub struct Access {
    pub(crate) log: Arc<AccessLog>,
    pub(crate) names: Arc<AccessNames>,
}

impl Access {
    /// The lines of a listener.
    pub(crate) fn new(
        log: &Arc<AccessLog>,
        id: ListenerId,
        name: &Arc<str>,
        service: &Service,
    ) -> Self {
        let names = AccessNames {
            generation: id.generation,
            listener: Arc::clone(name),
            service: service.kind(),
            upstream: service.upstream().map(|of| Arc::clone(of.name())),
        };
        Self {
            log: Arc::clone(log),
            names: Arc::new(names),
        }
    }
}

/// A listener, as its accept loops and its sessions on a lane need it.
#[derive(Debug)]
pub struct ListenerContext {
    /// The state that all lanes share.
    pub shared: Arc<SharedListener>,
    /// The lane.
    pub lane: Handle,
    /// The lane's index.
    pub lane_index: usize,
    /// The counters of the listener on this lane.
    pub(super) stats: Arc<ListenerStats>,
}

impl Deref for ListenerContext {
    type Target = SharedListener;

    fn deref(&self) -> &SharedListener {
        &self.shared
    }
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
    /// The context of a listener on a lane.
    #[must_use]
    pub fn new(shared: &Arc<SharedListener>, lane: &Handle, lane_index: usize) -> Rc<Self> {
        let stats = shared
            .stats
            .of(lane_index, || ListenerStats::new(&EndReason::WORDS));
        Rc::new(Self {
            stats: Arc::clone(stats),
            shared: Arc::clone(shared),
            lane: lane.clone(),
            lane_index,
        })
    }

    /// An accept has failed for lack of descriptors or memory.
    pub(super) fn report_failure(&self, error: &io::Error) {
        self.lane.stats().accept_failures.add(1);
        self.stats.accept_failures.add(1);
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

#[cfg(test)]
impl SharedListener {
    /// The first listener of a first generation.
    pub(crate) fn of_test(service: Service, limit: &Arc<SessionLimit>) -> Arc<Self> {
        Arc::new(Self {
            id: ListenerId::default(),
            name: "test".into(),
            service,
            limit: Arc::clone(limit),
            ids: Arc::default(),
            timeouts: Timeouts::LONG,
            failures: LogInterval::default(),
            stats: Arc::new(PerLane::new(8)),
            access: None,
        })
    }
}
