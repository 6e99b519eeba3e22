//! A generation: a configuration in service, shared by all lanes.
//!
//! The process, not a lane, keeps the promises of a listener or an upstream, so the lanes share the
//! state. A session keeps its first generation, through the context of the listener.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;

use super::changeable::{Changeable, ListenerPlan};
use crate::config::Service as Configured;
use crate::proxy::{
    Access, AccessLog, KnownStats, KnownUpstreams, ListenerId, Service, SessionIds, SessionLimit,
    SharedListener, Upstream, UpstreamOptions,
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
    /// The generation of this number. Upstreams without a change are shared with the generation
    /// `before`: discovery may change an upstream each second, and sessions keep generations.
    #[expect(
        clippy::too_many_arguments,
        reason = "the lasting state of the process"
    )]
    pub(crate) fn new(
        number: u32,
        of: &Changeable,
        limit: &Arc<SessionLimit>,
        ids: &Arc<SessionIds>,
        access: &Arc<AccessLog>,
        known: &mut Known,
        before: &Self,
        now: Time,
    ) -> Self {
        known.upstreams.forget_unused(now);
        known.listeners.forget_old(now);
        let earlier: HashMap<&str, &Arc<Upstream>> = {
            let all = before.upstreams.iter();
            all.map(|upstream| (&**upstream.name(), upstream)).collect()
        };
        let upstream = |options: &UpstreamOptions| match earlier.get(&*options.name) {
            Some(same) if same.has_options(options) => Arc::clone(same),
            _ => Upstream::new(options.clone(), &mut known.upstreams),
        };
        let upstreams: Vec<Arc<Upstream>> = of.upstreams.iter().map(upstream).collect();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Generation, Known};
    use crate::config::Config;
    use crate::proxy::{AccessLog, SessionLimit, Upstream};
    use crate::server::changeable::{Bound, Changeable};
    use crate::sys::Time;

    /// Otherwise a name that changes each second costs the memory of all upstreams each second.
    #[test]
    fn upstreams_without_a_change_are_shared_between_generations() {
        let mut known = Known::new(1);
        let (limit, access) = (SessionLimit::new(1), AccessLog::new(1));
        let mut generation = |changing: &str, before: &Generation| {
            let text = format!(
                "[[listener]]\nname = 'l'\nbind = '127.0.0.1:0'\nservice = 'echo'\n\
                 [[upstream]]\nname = 'a'\nendpoints = ['10.0.0.1:1']\n\
                 [[upstream]]\nname = 'b'\nendpoints = ['{changing}']\n"
            );
            let config = Config::parse(&text, "t.toml").unwrap();
            let of = Changeable::new(&config, 1, Bound::Configured);
            let (ids, now) = (Arc::default(), Time::ZERO);
            Generation::new(1, &of, &limit, &ids, &access, &mut known, before, now)
        };
        let first = generation("10.0.0.2:1", &Generation::default());
        let second = generation("10.0.0.3:1", &first);
        let pairs = first.upstreams().zip(second.upstreams());
        let is_shared = |(one, two): (&Arc<Upstream>, &Arc<Upstream>)| Arc::ptr_eq(one, two);
        assert_eq!(pairs.map(is_shared).collect::<Vec<_>>(), [true, false]);
    }
}
