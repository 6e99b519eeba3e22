//! Finds proxies whose connections would come back to them.
//!
//! Called once, by `listener`. One client of such a proxy is enough to make it connect to itself
//! until its descriptors are gone, which no limit on clients prevents.

use std::collections::{HashMap, HashSet};
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
    let targets = |listener: &Result<Listener, Reported>| -> HashSet<usize> {
        let Ok(Listener {
            service: Service::Proxy { upstream },
            ..
        }) = listener
        else {
            return HashSet::new();
        };
        // A refused upstream may be missing from the list, and is no loop that is known of.
        let upstream = upstreams
            .get(*upstream)
            .and_then(|upstream| upstream.as_ref().ok());
        let endpoints = upstream.map_or(&[][..], |upstream| &upstream.endpoints);
        endpoints
            .iter()
            .filter_map(|endpoint| accepting(&bound, *endpoint))
            .collect()
    };

    // Take away whoever leads to none that is left, until all who are left lead to each other.
    let mut leads: Vec<HashSet<usize>> = listeners.iter().map(targets).collect();
    let mut sources = vec![Vec::new(); listeners.len()];
    for (source, targets) in leads.iter().enumerate() {
        for target in targets {
            sources[*target].push(source);
        }
    }
    let mut ends: Vec<usize> = (0..leads.len()).filter(|i| leads[*i].is_empty()).collect();
    while let Some(end) = ends.pop() {
        for source in &sources[end] {
            if leads[*source].remove(&end) && leads[*source].is_empty() {
                ends.push(*source);
            }
        }
    }
    (0..leads.len()).filter(|i| !leads[*i].is_empty()).collect()
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
