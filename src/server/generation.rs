//! A generation: a configuration in service, shared by all lanes.
//!
//! The process, not a lane, keeps the promises of a listener or an upstream, so the lanes share the
//! state. A session keeps its first generation, through the context of the listener.

use std::rc::Rc;
use std::sync::Arc;

use super::changeable::Changeable;
use crate::config::Service as Configured;
use crate::proxy::{
    KnownUpstreams, ListenerContext, ListenerId, Service, SessionIds, SessionLimit, Timeouts,
    Upstream,
};
use crate::runtime::{Handle, Latch, LogInterval};

/// The number of the first configuration of the process.
pub(crate) const FIRST: u32 = 0;

/// The shared state of the listeners and upstreams of a configuration.
#[derive(Debug)]
pub(crate) struct Generation {
    number: u32,
    /// By the listener's index in the configuration.
    listeners: Vec<Shared>,
    limit: Arc<SessionLimit>,
    ids: Arc<SessionIds>,
}

/// The shared state of a listener.
#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    /// The number of addresses: each accepting lane has an accept loop per address.
    addresses: usize,
    service: Service,
    timeouts: Timeouts,
    accept_failures: Arc<LogInterval>,
}

impl Generation {
    /// The generation of this number.
    pub(crate) fn new(
        number: u32,
        of: &Changeable,
        limit: &Arc<SessionLimit>,
        ids: &Arc<SessionIds>,
        known: &mut KnownUpstreams,
    ) -> Arc<Self> {
        let upstreams = of.upstreams.iter().cloned();
        let upstreams: Vec<Arc<Upstream>> = upstreams
            .map(|options| Upstream::new(options, known))
            .collect();
        let shared = of.listeners.iter().map(|listener| Shared {
            name: Arc::clone(&listener.name),
            addresses: listener.bind.len(),
            service: match listener.service {
                Configured::Echo => Service::Echo,
                Configured::Proxy { upstream } => Service::Proxy(Arc::clone(&upstreams[upstream])),
            },
            timeouts: listener.timeouts,
            accept_failures: Arc::default(),
        });
        Arc::new(Self {
            number,
            listeners: shared.collect(),
            limit: Arc::clone(limit),
            ids: Arc::clone(ids),
        })
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The ids of all listeners.
    pub(crate) fn listener_ids(&self) -> Vec<ListenerId> {
        (0..self.listeners.len()).map(|at| self.id(at)).collect()
    }

    /// The upstreams of the listeners, in the order of the listeners.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        let services = self.listeners.iter().map(|shared| &shared.service);
        services.filter_map(|service| match service {
            Service::Proxy(upstream) => Some(&**upstream),
            Service::Echo => None,
        })
    }

    /// The number of addresses of a listener.
    pub(super) fn addresses(&self, index: usize) -> usize {
        self.listeners[index].addresses
    }

    /// A lane's own contexts of the listeners, by index.
    pub(super) fn contexts(&self, lane: &Handle, lane_index: usize) -> Vec<Rc<ListenerContext>> {
        let context = |(index, shared): (usize, &Shared)| {
            Rc::new(ListenerContext {
                id: self.id(index),
                name: Arc::clone(&shared.name),
                lane: lane.clone(),
                lane_index,
                service: shared.service.clone(),
                limit: Arc::clone(&self.limit),
                ids: Arc::clone(&self.ids),
                timeouts: shared.timeouts,
                failures: Arc::clone(&shared.accept_failures),
                stop: Latch::default(),
            })
        };
        self.listeners.iter().enumerate().map(context).collect()
    }

    fn id(&self, index: usize) -> ListenerId {
        ListenerId {
            generation: self.number,
            index: u32::try_from(index).expect("a configuration has no 2^32 listeners"),
        }
    }
}
