//! An upstream of a generation: its options, its endpoints, and their turns. Shared by all lanes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::admin_state::AdminState;
use super::choose;
use super::endpoint::Endpoint;
use super::known::KnownUpstreams;
use super::log;
use super::turns::Turns;
use crate::net::{SocketOptions, Unconnected};
use crate::runtime::{LogInterval, Time};
use crate::stats::{EndpointStats, PerLane};

/// The configuration of an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Its name in the configuration.
    pub name: String,
    /// The addresses of its endpoints: 1 to 65,535.
    pub endpoints: Vec<SocketAddr>,
    /// The most endpoints to try for a session.
    pub tries: usize,
    /// Addresses to connect from, in turn; if empty, the system chooses.
    pub source: Vec<IpAddr>,
    /// Options of its sockets.
    pub socket: SocketOptions,
}

/// An endpoint at a moment.
#[derive(Clone, Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: SocketAddr,
    pub(crate) admin: AdminState,
    /// Sessions that still connect count.
    pub(crate) sessions: usize,
    /// Failures since the last answer.
    pub(crate) failures: u64,
    /// The time since the first of these failures; `None` while the endpoint answers.
    pub(crate) failing: Option<Duration>,
    /// The counters of each lane.
    pub(crate) stats: Arc<PerLane<EndpointStats>>,
}

impl EndpointState {
    fn of(endpoint: &Endpoint, now: Time) -> Self {
        Self {
            address: endpoint.address,
            admin: endpoint.admin_state(),
            sessions: endpoint.live_sessions(),
            failures: endpoint.failures(),
            failing: endpoint.failing(now),
            stats: Arc::clone(&endpoint.stats),
        }
    }
}

/// A lease has 16 bits, for the index of an endpoint and for "no endpoint".
const ENDPOINTS_MAX: usize = u16::MAX as usize;

/// The endpoints that a listener relays to, as a generation has them. Shared by all lanes; turns
/// and endpoints are shared by all generations, too.
#[derive(Debug)]
pub struct Upstream {
    name: Arc<str>,
    pub(super) options: UpstreamOptions,
    /// In the order of the configuration.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// An endpoint of IPv4 and an endpoint of IPv6, for the family of a socket.
    families: [Option<SocketAddr>; 2],
    turns: Arc<Turns>,
    /// Limits log lines about connects that fail for lack of resources of this machine.
    pub(super) local_failures: LogInterval,
    /// Limits log lines about sessions that find no ready endpoint.
    none_ready: LogInterval,
}

impl Upstream {
    /// An upstream of a generation. Its turns and the state of its endpoints continue as `known`
    /// has them; otherwise the first turn belongs to the first endpoint.
    ///
    /// # Panics
    /// If there is no endpoint, or if there are more than 65,535.
    #[must_use]
    pub fn new(options: UpstreamOptions, known: &mut KnownUpstreams) -> Arc<Self> {
        let endpoints = &options.endpoints;
        assert!(
            (1..=ENDPOINTS_MAX).contains(&endpoints.len()),
            "the configuration refuses such a list"
        );
        let of_family = |is_ipv6| endpoints.iter().copied().find(|at| at.is_ipv6() == is_ipv6);
        let families = [of_family(false), of_family(true)];
        let name = options.name.as_str().into();
        let (turns, endpoints) = known.find(&name, endpoints);
        Arc::new(Self {
            name,
            families,
            endpoints,
            turns,
            local_failures: LogInterval::default(),
            none_ready: LogInterval::default(),
            options,
        })
    }

    /// Forgets the administrative states of endpoints that no upstream of the `present` generation
    /// has: sessions of earlier generations may keep such an endpoint alive, and a later
    /// configuration may add the endpoint again.
    pub(crate) fn forget_states_except(present: &[Arc<Self>], known: &KnownUpstreams) {
        known.forget_states_except(present.iter().flat_map(|upstream| &upstream.endpoints));
    }

    /// The number of sessions of each endpoint, in the order of the configuration. Sessions that
    /// still connect count.
    pub fn live_sessions(&self) -> impl Iterator<Item = usize> {
        self.endpoints
            .iter()
            .map(|endpoint| endpoint.live_sessions())
    }

    /// The state of each endpoint, in the order of the configuration.
    pub(crate) fn endpoint_states(&self, now: Time) -> impl Iterator<Item = EndpointState> {
        self.endpoints
            .iter()
            .map(move |endpoint| EndpointState::of(endpoint, now))
    }

    /// Sets the administrative state of an endpoint, in this generation and in all others. Returns
    /// the endpoint after the change; `None` if the upstream has no such endpoint.
    pub(crate) fn set_admin_state(
        &self,
        at: SocketAddr,
        state: AdminState,
        now: Time,
    ) -> Option<EndpointState> {
        let endpoint = self.endpoints.iter().find(|of| of.address == at)?;
        endpoint.set_admin_state(state);
        Some(EndpointState::of(endpoint, now))
    }

    /// The name in the configuration.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The address of an endpoint.
    pub(in crate::proxy) fn address(&self, endpoint: usize) -> SocketAddr {
        self.endpoints[endpoint].address
    }

    /// The counters of an endpoint on a lane, for the lane itself.
    pub(in crate::proxy) fn endpoint_stats(&self, endpoint: usize, lane: usize) -> &EndpointStats {
        self.endpoints[endpoint].stats_of(lane)
    }

    /// The ready endpoint whose turn it is; `None` if no endpoint is ready.
    pub(in crate::proxy) fn choose(&self) -> Option<usize> {
        self.choose_among(|index| self.is_ready(index))
    }

    /// As [`Self::choose`], among the endpoints that a session has not `tried`.
    pub(super) fn choose_untried(&self, tried: &[usize]) -> Option<usize> {
        self.choose_among(|index| !tried.contains(&index) && self.is_ready(index))
    }

    fn choose_among(&self, may_choose: impl Fn(usize) -> bool) -> Option<usize> {
        choose::next(|| self.turns.take(), self.endpoints.len(), may_choose)
    }

    /// Whether new sessions may choose the endpoint.
    pub(in crate::proxy) fn is_ready(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].admin_state() == AdminState::Ready
    }

    /// Whether the endpoint may keep a session that has just connected.
    pub(in crate::proxy) fn may_keep(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].admin_state() != AdminState::Maintenance
    }

    /// Counts and logs a session that finds no ready endpoint.
    pub(in crate::proxy) fn report_none_ready(&self, now: Time) {
        log::none_ready(&self.name, &self.none_ready, now);
    }

    /// For each family, an endpoint if there is any.
    pub(in crate::proxy) fn families(&self) -> [Option<SocketAddr>; 2] {
        self.families
    }

    /// The index of a family in [`Upstream::families`].
    pub(in crate::proxy) fn family_of(address: SocketAddr) -> usize {
        usize::from(address.is_ipv6())
    }

    /// A socket for an endpoint of this family, with the upstream's options.
    ///
    /// # Errors
    /// See [`Unconnected::open`].
    pub(in crate::proxy) fn socket_for(&self, endpoint: SocketAddr) -> io::Result<Unconnected> {
        Unconnected::open(endpoint, &self.options.socket)
    }
}
