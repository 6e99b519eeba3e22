//! An upstream as all lanes share it: what the configuration says, the turns of its endpoints, and
//! the endpoints.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::choose;
use super::endpoint::Endpoint;
use crate::net::{SocketOptions, Unconnected};
use crate::runtime::LogInterval;

/// What an upstream is made of.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Its name in the configuration.
    pub name: String,
    /// Where it can be reached: at least one address, at most 65,535.
    pub endpoints: Vec<SocketAddr>,
    /// How many endpoints are tried for one session, at most.
    pub tries: usize,
    /// Addresses to connect from, in turn; none: the system chooses.
    pub source: Vec<IpAddr>,
    /// Options of its sockets.
    pub socket: SocketOptions,
}

/// The index of an endpoint, and a number that is none, fit the 16 bits of a lease.
const ENDPOINTS_MAX: usize = u16::MAX as usize;

/// The endpoints that a listener relays to. All lanes share it, so that they take turns together
/// and count the sessions of an endpoint together.
#[derive(Debug)]
pub struct Upstream {
    pub(super) options: UpstreamOptions,
    /// In the order of the configuration.
    pub(super) endpoints: Vec<Endpoint>,
    /// An endpoint of IPv4 and one of IPv6.
    families: [Option<SocketAddr>; 2],
    turns: Turns,
    /// When connects that fail for what this machine lacks are logged.
    pub(super) local_failures: LogInterval,
}

/// Turns of the endpoints. In a cache line of its own (two, since processors fetch two at once):
/// every new session writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Turns(AtomicUsize);

impl Upstream {
    /// An upstream whose first turn is its first endpoint's.
    ///
    /// # Panics
    /// When there is no endpoint, or more than 65,535.
    #[must_use]
    pub fn new(options: UpstreamOptions) -> Arc<Self> {
        let endpoints = &options.endpoints;
        assert!(
            (1..=ENDPOINTS_MAX).contains(&endpoints.len()),
            "the configuration refuses such a list"
        );
        let of_family = |is_ipv6| endpoints.iter().copied().find(|at| at.is_ipv6() == is_ipv6);
        Arc::new(Self {
            families: [of_family(false), of_family(true)],
            endpoints: endpoints.iter().map(|&at| Endpoint::new(at)).collect(),
            turns: Turns::default(),
            local_failures: LogInterval::default(),
            options,
        })
    }

    /// How many sessions each endpoint has, those that connect to the endpoint included; in the
    /// order of the configuration.
    pub fn live_sessions(&self) -> impl Iterator<Item = usize> {
        self.endpoints.iter().map(Endpoint::live_sessions)
    }

    /// The address of an endpoint.
    pub(in crate::proxy) fn address(&self, endpoint: usize) -> SocketAddr {
        self.endpoints[endpoint].address
    }

    /// The next turn of a session.
    pub(in crate::proxy) fn take_turn(&self) -> usize {
        self.turns.0.fetch_add(1, Relaxed)
    }

    /// The endpoint that a session with this turn connects to first.
    pub(in crate::proxy) fn choose(&self, turn: usize) -> usize {
        choose::round_robin(turn, self.endpoints.len())
    }

    /// Per family, an endpoint of that family.
    pub(in crate::proxy) fn families(&self) -> [Option<SocketAddr>; 2] {
        self.families
    }

    /// The index of an address's family there.
    pub(in crate::proxy) fn family_of(address: SocketAddr) -> usize {
        usize::from(address.is_ipv6())
    }

    /// A socket with this upstream's options, for an endpoint of that family.
    ///
    /// # Errors
    /// See [`Unconnected::open`].
    pub(in crate::proxy) fn socket_for(&self, endpoint: SocketAddr) -> io::Result<Unconnected> {
        Unconnected::open(endpoint, &self.options.socket)
    }
}
