//! The state of a simulated world: corelane's lanes, its clients and its upstreams.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::generation::Generation;
use super::outage::{Changes, Outage};
use super::party::Party;
use super::plan::{PROXY, Plan};
use crate::sys::sim::{Random, SockRef};

/// The smallest name of an upstream.
pub(super) const UPSTREAM_NAME: u64 = 1 << 40;

/// A running world.
pub(super) struct World {
    pub(super) plan: Plan,
    /// Clients first, then the accepted connections of upstreams.
    pub(super) parties: Vec<Option<Party>>,
    /// A client's source and destination, by the client's index.
    pub(super) addresses: Vec<(SocketAddr, SocketAddr)>,
    /// Of the upstreams, with their addresses.
    pub(super) listeners: Vec<(SockRef, SocketAddr)>,
    /// Per accepted connection of an upstream: corelane's address, and the endpoint.
    pub(super) arrivals: Vec<(Option<SocketAddr>, SocketAddr)>,
    pub(super) generations: Vec<Generation>,
    /// The number of the last reload, refused ones included.
    pub(super) reloads: usize,
    /// Configurations of reloads, in order.
    pub(super) applied: Vec<Applied>,
    /// Changes of endpoints' states that are still to come, and their effects.
    pub(super) changes: Changes,
    pub(super) outages: Vec<Outage>,
    pub(super) was_aborted: bool,
    /// The process was killed: only the peers' observations remain to be checked.
    pub(super) was_killed: bool,
    /// The source of each sink's bytes, by the sink's name.
    pub(super) pairs: HashMap<u64, u64>,
    pub(super) random: Random,
    pub(super) roused: Vec<u32>,
    /// The process is frozen until this time, while the network and the peers continue.
    pub(super) frozen_until: u64,
}

/// The configuration of a reload.
#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) server: usize,
    pub(super) number: usize,
    /// When it was applied.
    pub(super) at: u64,
    /// When the last lane had switched.
    pub(super) on_all_lanes: Option<u64>,
}

impl World {
    /// Whether a client's connection is relayed.
    pub(super) fn is_relayed(&self, client: usize) -> bool {
        self.addresses[client].1 == PROXY
    }
}
