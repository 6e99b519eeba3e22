//! The state of upstreams that outlives a configuration: found by name, shared by all lanes and all
//! generations of the process. Used when a generation begins, never by a session.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::endpoint::Endpoint;
use super::of_name::OfName;
use super::options::EndpointOptions;
use crate::proxy::known_stats::KnownStats;
use crate::runtime::Time;
use crate::stats::{EndpointStats, PerLane};

/// The upstreams of the process. A new generation with an upstream of the same name continues the
/// turns of the upstream, and the session counts, the health and the administrative states of
/// endpoints that stay.
#[derive(Debug)]
pub struct KnownUpstreams {
    names: HashMap<String, Weak<OfName>>,
    endpoints: HashMap<String, HashMap<SocketAddr, Weak<Endpoint>>>,
    /// By upstream and address.
    stats: KnownStats<(Arc<str>, SocketAddr), EndpointStats>,
}

impl KnownUpstreams {
    /// No upstream yet, on so many lanes.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        Self {
            names: HashMap::new(),
            endpoints: HashMap::new(),
            stats: KnownStats::new(lanes),
        }
    }

    /// The counters of all endpoints, with the upstream and the address.
    pub(crate) fn stats(
        &self,
        now: Time,
    ) -> impl Iterator<Item = (&(Arc<str>, SocketAddr), &Arc<PerLane<EndpointStats>>)> {
        self.stats.iter(now)
    }

    /// Forgets upstreams and endpoints that no generation has any more, and counters that are old.
    /// Looks at all of them: once a reload, not once an upstream.
    pub(crate) fn forget_unused(&mut self, now: Time) {
        self.stats.forget_old(now);
        self.names.retain(|_, of_name| of_name.strong_count() > 0);
        self.endpoints.retain(|_, of_name| {
            of_name.retain(|_, endpoint| endpoint.strong_count() > 0);
            !of_name.is_empty()
        });
    }

    /// The shared state and the endpoints of an upstream of a generation that begins now. New if no
    /// serving generation has this upstream.
    pub(super) fn find(
        &mut self,
        name: &Arc<str>,
        options: &[EndpointOptions],
    ) -> (Arc<OfName>, Vec<Arc<Endpoint>>) {
        let Self {
            names,
            endpoints,
            stats,
        } = self;
        let of_name = find_or_insert(names, name.to_string(), OfName::default);
        let endpoints = endpoints.entry(name.to_string()).or_default();
        let endpoint = |of: &EndpointOptions| {
            let at = of.address;
            let new = || Endpoint::new(of, &of_name, stats.find((Arc::clone(name), at)));
            let endpoint = find_or_insert(endpoints, at, new);
            endpoint.configure(of);
            endpoint
        };
        let endpoints = options.iter().map(endpoint).collect();
        (of_name, endpoints)
    }

    /// Forgets the administrative states of all endpoints that are not `present`.
    pub(super) fn forget_states_except<'e>(
        &self,
        present: impl Iterator<Item = &'e Arc<Endpoint>>,
    ) {
        let present: HashSet<*const Endpoint> = present.map(Arc::as_ptr).collect();
        let known = self.endpoints.values().flat_map(HashMap::values);
        for endpoint in known.filter_map(Weak::upgrade) {
            if !present.contains(&Arc::as_ptr(&endpoint)) {
                endpoint.forget_operator();
            }
        }
    }
}

fn find_or_insert<K: Eq + Hash, V>(
    known: &mut HashMap<K, Weak<V>>,
    key: K,
    new: impl FnOnce() -> V,
) -> Arc<V> {
    let entry = known.entry(key).or_default();
    entry.upgrade().unwrap_or_else(|| {
        let value = Arc::new(new());
        *entry = Arc::downgrade(&value);
        value
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::{EndpointOptions, KnownUpstreams};

    fn at(port: u16) -> EndpointOptions {
        EndpointOptions::plain(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn an_endpoint_is_found_by_the_name_of_its_upstream_and_its_address() {
        let mut known = KnownUpstreams::new(1);
        let (turns, endpoints) = known.find(&"a".into(), &[at(1), at(2)]);
        endpoints[1].add_session();
        // The next configuration has a new order, an endpoint less and an endpoint more.
        let (turns_after, endpoints_after) = known.find(&"a".into(), &[at(3), at(2)]);
        assert!(Arc::ptr_eq(&turns, &turns_after), "the turns continue");
        assert!(Arc::ptr_eq(&endpoints[1], &endpoints_after[1]));
        assert_eq!(endpoints_after[1].live_sessions(), 1);
        assert_eq!(endpoints_after[0].live_sessions(), 0);
        let (other_turns, others) = known.find(&"b".into(), &[at(2)]);
        assert!(!Arc::ptr_eq(&turns, &other_turns), "of another upstream");
        assert_eq!(others[0].live_sessions(), 0, "of another upstream");
    }

    #[test]
    fn nothing_is_kept_for_a_generation_that_has_ended() {
        let mut known = KnownUpstreams::new(1);
        let (turns, endpoints) = known.find(&"a".into(), &[at(1)]);
        endpoints[0].add_session();
        turns.turns.advance(7);
        drop((turns, endpoints));
        let (turns, endpoints) = known.find(&"a".into(), &[at(1)]);
        assert_eq!((turns.turns.now(), endpoints[0].live_sessions()), (0, 0));
    }
}
