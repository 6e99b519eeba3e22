//! Finds proxies whose connections would come back to the proxy.
//!
//! Called by `Config::parse` for the loopback addresses, which every machine has, and by the server
//! for the addresses of this machine. A single client would make such a proxy connect to itself
//! until no descriptor is left; no limit on clients prevents that.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Config;
use super::address::canonical;
use super::errors::{Reason, Reported};
use super::file::File;
use super::listener::{Listener, Service};
use super::upstream::Upstream;

/// A proxy whose connections end in a loop, and the first endpoint on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loop {
    /// The index of the proxy's listener.
    pub listener: usize,
    /// An endpoint of the proxy's upstream at which a listener of this file accepts.
    pub endpoint: SocketAddr,
    /// The index of the accepting listener.
    pub accepting: usize,
}

impl Config {
    /// The proxies from which some connection leads into a loop, in their order, on a machine of
    /// whose addresses `is_own` knows all.
    pub(crate) fn loops(&self, is_own: impl Fn(IpAddr) -> bool) -> Vec<Loop> {
        let listeners: Vec<_> = self.listeners.iter().map(Some).collect();
        let upstreams: Vec<_> = self.upstreams.iter().map(Some).collect();
        find(&listeners, &upstreams, is_own)
    }

    /// Leaves out found endpoints that lead into a loop; returns them with their upstreams. The
    /// written endpoints are judged before.
    pub(crate) fn cut_loops(
        &mut self,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Vec<(String, SocketAddr)> {
        let mut cut = Vec::new();
        loop {
            let found = self.loops(&is_own).into_iter().find_map(|found| {
                let Service::Proxy { upstream } = self.listeners[found.listener].service else {
                    return None;
                };
                let mut fixed = self.upstreams[upstream].fixed();
                let is_fixed = fixed.any(|(_, address)| canonical(address) == found.endpoint);
                (!is_fixed).then_some((upstream, found.endpoint))
            });
            let Some((upstream, endpoint)) = found else {
                return cut;
            };
            let upstream = &mut self.upstreams[upstream];
            upstream
                .endpoints
                .retain(|one| canonical(one.address) != endpoint);
            cut.push((upstream.name.clone(), endpoint));
        }
    }
}

/// Reports each proxy with a loop over the loopback addresses, as a mistake of its `upstream` key.
///
/// The server repeats the search with the addresses of this machine.
pub(super) fn refuse_loopback(
    file: &File<'_>,
    listeners: &[Result<Listener, Reported>],
    upstreams: &[Result<Upstream, Reported>],
) {
    let listeners: Vec<_> = listeners.iter().map(|read| read.as_ref().ok()).collect();
    let upstreams: Vec<_> = upstreams.iter().map(|read| read.as_ref().ok()).collect();
    for found in find(&listeners, &upstreams, |ip| ip.is_loopback()) {
        let key = format!("listener[{}].upstream", found.listener);
        let reason = Reason::Senseless {
            why: "connections would return to an earlier listener in an endless loop",
            write: "an upstream that does not lead back here".to_owned(),
        };
        file.refuse(&key, reason);
    }
}

/// The proxies whose connections end in a loop, in order.
///
/// Only this file is searched: a loop through a proxy on another machine is not found. Connections
/// to `is_own` addresses reach wildcard listeners of the same family.
fn find(
    listeners: &[Option<&Listener>],
    upstreams: &[Option<&Upstream>],
    is_own: impl Fn(IpAddr) -> bool,
) -> Vec<Loop> {
    let mut bound = HashMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        for address in listener.iter().flat_map(|listener| listener.addresses()) {
            bound.insert(canonical(address), index);
        }
    }
    let accepting = |endpoint: SocketAddr| {
        let endpoint = canonical(endpoint);
        let accepting = accepting(&bound, endpoint, &is_own)?;
        Some((endpoint, accepting))
    };
    // The endpoints of each upstream at which a listener of this file accepts.
    let arrivals: Vec<Vec<(SocketAddr, usize)>> = upstreams
        .iter()
        .map(|upstream| upstream.iter().flat_map(|upstream| upstream.addresses()))
        .map(|endpoints| endpoints.filter_map(accepting).collect())
        .collect();
    // A graph of listeners and upstreams, in this order: where a connection goes on to from each.
    let upstream_of = |listener: usize| match listeners[listener]?.service {
        Service::Proxy { upstream } => Some(upstream),
        Service::Echo => None,
    };
    let proxied = (0..listeners.len())
        .map(|index| upstream_of(index).map(|upstream| listeners.len() + upstream))
        .map(|upstream| upstream.into_iter().collect());
    let connected = arrivals
        .iter()
        .map(|arrivals| arrivals.iter().map(|(_, listener)| *listener).collect());
    let endless = endless(&proxied.chain(connected).collect::<Vec<_>>());
    let leading = |listener: usize| {
        let mut arrivals = arrivals[upstream_of(listener)?].iter();
        let (endpoint, accepting) = arrivals.find(|(_, next)| endless.contains(next))?;
        Some(Loop {
            listener,
            endpoint: *endpoint,
            accepting: *accepting,
        })
    };
    let listeners = endless.iter().filter(|node| **node < listeners.len());
    listeners
        .filter_map(|listener| leading(*listener))
        .collect()
}

/// The nodes of a graph with an endless path, in order; linear in the number of edges.
fn endless(targets: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut sources = vec![Vec::new(); targets.len()];
    for (source, targets) in targets.iter().enumerate() {
        for target in targets {
            sources[*target].push(source);
        }
    }
    // Remove nodes without an edge until every node has an edge.
    let mut ways: Vec<usize> = targets.iter().map(Vec::len).collect();
    let mut ends: Vec<usize> = (0..ways.len()).filter(|node| ways[*node] == 0).collect();
    while let Some(end) = ends.pop() {
        for source in &sources[end] {
            ways[*source] -= 1;
            if ways[*source] == 0 {
                ends.push(*source);
            }
        }
    }
    (0..ways.len()).filter(|node| ways[*node] > 0).collect()
}

/// The listener of this file that accepts connections to `endpoint`.
fn accepting(
    bound: &HashMap<SocketAddr, usize>,
    endpoint: SocketAddr,
    is_own: impl Fn(IpAddr) -> bool,
) -> Option<usize> {
    if let Some(exact) = bound.get(&endpoint) {
        return Some(*exact);
    }
    // The IPv6 wildcard does not accept IPv4: `sys` makes IPv6 listeners IPv6 only.
    let wildcard: IpAddr = match endpoint.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let listener = bound.get(&SocketAddr::new(wildcard, endpoint.port()))?;
    is_own(endpoint.ip()).then_some(*listener)
}
