//! Finds proxies whose connections would come back to them.
//!
//! Called once, by `listener`. One client of such a proxy is enough to make it connect to itself
//! until its descriptors are gone, which no limit on clients prevents.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::canonical;
use super::errors::Reported;
use super::listener::{Listener, Service};
use super::upstream::Upstream;

/// The indices of the proxies from which some connection leads into a loop, in their order.
///
/// Only what this file says is followed: a loop through another machine's proxy is not seen.
pub(super) fn find(
    listeners: &[Result<Listener, Reported>],
    upstreams: &[Result<Upstream, Reported>],
) -> Vec<usize> {
    let mut bound = HashMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        for address in listener.iter().flat_map(|listener| &listener.bind) {
            bound.insert(canonical(*address), index);
        }
    }
    // A graph of listeners and upstreams, in this order: where a connection goes on to from each.
    let proxied = listeners.iter().map(|listener| match listener {
        Ok(Listener {
            service: Service::Proxy { upstream },
            ..
        }) => vec![listeners.len() + upstream],
        _ => Vec::new(),
    });
    let connected = upstreams.iter().map(|upstream| {
        let endpoints = upstream.iter().flat_map(|upstream| &upstream.endpoints);
        endpoints
            .filter_map(|endpoint| accepting(&bound, *endpoint))
            .collect()
    });
    let mut loops = endless(&proxied.chain(connected).collect::<Vec<_>>());
    loops.retain(|node| *node < listeners.len());
    loops
}

/// The nodes of a graph from which one can go on for ever, in their order; linear in its edges.
fn endless(targets: &[Vec<usize>]) -> Vec<usize> {
    let mut sources = vec![Vec::new(); targets.len()];
    for (source, targets) in targets.iter().enumerate() {
        for target in targets {
            sources[*target].push(source);
        }
    }
    // Take away the nodes from which nothing goes on, until there are none.
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

/// The listener that takes a connection to `endpoint`, if one of this file does.
fn accepting(bound: &HashMap<SocketAddr, usize>, endpoint: SocketAddr) -> Option<usize> {
    let endpoint = canonical(endpoint);
    // The wildcard takes the loopback's connections; which others it takes depends on the
    // machine, as does whether `[::]` takes those of IPv4.
    let wildcard = match endpoint.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(ip) if ip.is_loopback() => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    };
    let wildcard = wildcard.map(|ip: IpAddr| SocketAddr::new(ip, endpoint.port()));
    let exact = bound.get(&endpoint);
    exact.or_else(|| bound.get(&wildcard?)).copied()
}
