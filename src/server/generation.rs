//! A generation: a configuration in service, shared by all lanes.
//!
//! The process, not a lane, keeps the promises of a listener or an upstream, so the lanes share the
//! state. A session keeps its first generation, through the context of the listener.

use std::slice;
use std::sync::Arc;

use super::changeable::{Changeable, ListenerPlan};
use crate::config::Service as Configured;
use crate::proxy::{
    Access, AccessLog, KnownStats, KnownUpstreams, ListenerId, Service, SessionIds, SessionLimit,
    SharedListener, Upstream,
};
use crate::runtime::{LogInterval, Time};
use crate::stats::ListenerStats;

/// The state by name that outlives a generation.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) upstreams: KnownUpstreams,
    pub(crate) listeners: KnownStats<Arc<str>, ListenerStats>,
}

impl Known {
    /// Nothing yet, on so many lanes.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            upstreams: KnownUpstreams::new(lanes),
            listeners: KnownStats::new(lanes),
        }
    }
}

/// The shared state of the listeners of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    number: u32,
    /// By the listener's index in the configuration.
    listeners: Arc<[Arc<SharedListener>]>,
    /// In the order of the configuration, without listeners too: an operator may set states.
    upstreams: Vec<Arc<Upstream>>,
}

impl Generation {
    /// The generation of this number.
    pub(crate) fn new(
        number: u32,
        of: &Changeable,
        limit: &Arc<SessionLimit>,
        ids: &Arc<SessionIds>,
        access: &Arc<AccessLog>,
        known: &mut Known,
        now: Time,
    ) -> Self {
        known.upstreams.forget_unused(now);
        known.listeners.forget_old(now);
        let upstreams = of.upstreams.iter().cloned();
        let upstreams: Vec<Arc<Upstream>> = upstreams
            .map(|options| Upstream::new(options, &mut known.upstreams))
            .collect();
        Upstream::forget_states_except(&upstreams, &known.upstreams);
        let listeners = &mut known.listeners;
        let shared = |(index, listener): (usize, &ListenerPlan)| {
            let service = match listener.service {
                Configured::Echo => Service::Echo,
                Configured::Proxy { upstream } => Service::Proxy(Arc::clone(&upstreams[upstream])),
            };
            let index = u32::try_from(index).expect("a configuration has no 2^32 listeners");
            let id = ListenerId {
                generation: number,
                index,
            };
            let access = || Access::new(access, id, &listener.name, &service);
            let access = listener.access_log.then(access);
            Arc::new(SharedListener {
                id,
                name: Arc::clone(&listener.name),
                service,
                limit: Arc::clone(limit),
                ids: Arc::clone(ids),
                timeouts: listener.timeouts,
                failures: LogInterval::default(),
                stats: listeners.find(Arc::clone(&listener.name)),
                access,
            })
        };
        let listeners = of.listeners.iter().enumerate().map(shared).collect();
        Self {
            number,
            listeners,
            upstreams,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The listeners, by their index in the configuration.
    pub(crate) fn listeners(&self) -> &Arc<[Arc<SharedListener>]> {
        &self.listeners
    }

    /// The upstreams, in the order of the configuration.
    pub(crate) fn upstreams(&self) -> slice::Iter<'_, Arc<Upstream>> {
        self.upstreams.iter()
    }
}
