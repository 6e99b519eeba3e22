//! An upstream of a generation: its options, its endpoints, and their turns. Shared by all lanes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::admin_state::AdminState;
use super::balance::Balance;
use super::endpoint::Endpoint;
use super::known::KnownUpstreams;
use super::level::LevelOf;
use super::log;
use super::of_name::OfName;
use super::options::{EndpointOptions, UpstreamOptions};
use crate::net::{SocketOptions, Unconnected};
use crate::proxy::end_reason::EndReason;
use crate::runtime::{Bug, LogInterval, Time, seeded};
use crate::stats::{EndpointStats, PerLane};

/// An endpoint at a moment.
#[derive(Clone, Debug)]
pub(crate) struct EndpointState {
    pub(crate) address: SocketAddr,
    pub(crate) admin: AdminState,
    /// 0 to 256; at 0 no session chooses the endpoint.
    pub(crate) weight: u16,
    pub(crate) level: u8,
    /// `None` without a limit.
    pub(crate) max_sessions: Option<usize>,
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
    fn of(endpoint: &Endpoint, options: EndpointOptions, now: Time) -> Self {
        Self {
            weight: endpoint.weight(),
            level: options.level,
            max_sessions: endpoint.limit(),
            address: endpoint.address,
            admin: endpoint.admin_state(),
            sessions: endpoint.live_sessions(),
            failures: endpoint.failures(),
            failing: endpoint.failing(now),
            stats: Arc::clone(&endpoint.stats),
        }
    }

    /// The word for the administrative state. With a weight of 0, as with a drain, no new session
    /// chooses the endpoint and present sessions stay.
    pub(crate) fn admin_word(&self) -> &'static str {
        match self.admin {
            AdminState::Ready if self.weight == 0 => AdminState::Drain.word(),
            admin => admin.word(),
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
    pub(super) levels: Box<[LevelOf]>,
    pub(super) of_name: Arc<OfName>,
    /// An endpoint has a limit on sessions.
    pub(super) is_limited: bool,
    /// Limits log lines about connects that fail for lack of resources of this machine.
    pub(super) local_failures: LogInterval,
    /// Limits log lines about sessions that find no ready endpoint.
    none_ready: LogInterval,
    /// Limits log lines about sessions that find the queue full, or wait too long.
    no_place: LogInterval,
}

impl Upstream {
    /// An upstream of a generation that begins now. The turns and the state of endpoints
    /// continue as `known` has them; otherwise the first turn belongs to the first endpoint.
    ///
    /// # Panics
    /// If there are more than 65,535 endpoints.
    #[must_use]
    pub fn new(options: UpstreamOptions, known: &mut KnownUpstreams) -> Arc<Self> {
        let endpoints = &options.endpoints;
        assert!(
            endpoints.len() <= ENDPOINTS_MAX,
            "the configuration refuses such a list"
        );
        let addresses = endpoints.iter().map(|of| of.address);
        let of_family = |is_ipv6| addresses.clone().find(|at| at.is_ipv6() == is_ipv6);
        let families = [of_family(false), of_family(true)];
        let name = options.name.as_str().into();
        let is_limited = endpoints.iter().any(|of| of.max_sessions.is_some());
        let (of_name, endpoints) = known.find(&name, endpoints);
        let has_table = options.balance == Balance::Maglev;
        let levels = LevelOf::all(&options.endpoints, &endpoints, has_table);
        let upstream = Arc::new(Self {
            name,
            families,
            endpoints,
            levels,
            of_name,
            is_limited,
            local_failures: LogInterval::default(),
            none_ready: LogInterval::default(),
            no_place: LogInterval::default(),
            options,
        });
        // There may be more room than in the configuration before.
        upstream.report_room();
        upstream
    }

    /// Whether an upstream with these options would be the same: no new one is needed.
    pub(crate) fn has_options(&self, options: &UpstreamOptions) -> bool {
        self.options == *options
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
        (0..self.endpoints.len()).map(move |index| self.endpoint_state(index, now))
    }

    /// Sets the administrative state or the weight of an endpoint, in this generation and in all
    /// others. Returns the endpoint after the change; `None` if the upstream has no such endpoint.
    pub(crate) fn set_endpoint(
        &self,
        at: SocketAddr,
        state: Option<AdminState>,
        weight: Option<u16>,
        now: Time,
    ) -> Option<EndpointState> {
        let index = self.endpoints.iter().position(|of| of.address == at)?;
        let endpoint = &self.endpoints[index];
        if let Some(weight) = weight {
            endpoint.set_weight(weight);
            self.levels.iter().for_each(|of| of.weigh(&self.endpoints));
        }
        if let Some(state) = state {
            endpoint.set_admin_state(state);
        }
        self.report_room();
        Some(self.endpoint_state(index, now))
    }

    fn endpoint_state(&self, index: usize, now: Time) -> EndpointState {
        EndpointState::of(&self.endpoints[index], self.options.endpoints[index], now)
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

    /// Whether new sessions may choose the endpoint at all. Every choice asks here, and the step of
    /// the opening once more.
    pub(in crate::proxy) fn is_usable(&self, endpoint: usize) -> bool {
        let is_usable = self.endpoints[endpoint].is_usable();
        (is_usable || seeded(Bug::VerdictIgnored)) && self.is_ready(endpoint)
    }

    /// The endpoint's part of new sessions: 0 to 65,536, and 0 if no session may choose the
    /// endpoint.
    pub(super) fn share(&self, endpoint: usize, now: Time) -> u32 {
        match self.is_usable(endpoint) {
            true => self.endpoints[endpoint].share(now),
            false => 0,
        }
    }

    /// Whether the health checks let new sessions choose the endpoint, in this generation and in
    /// all others.
    pub(crate) fn set_usable(&self, endpoint: usize, is_usable: bool) {
        self.endpoints[endpoint].set_usable(is_usable);
        self.report_room();
    }

    /// Lets the endpoint's share of new sessions grow from now on, over this time.
    pub(crate) fn start_slowly(&self, endpoint: usize, now: Time, over: Duration) {
        self.endpoints[endpoint].start_slowly(now, over);
    }

    /// Failed connects, and sessions that the endpoint has reset before its first byte, each since
    /// the last success.
    pub(crate) fn failures_in_row(&self, endpoint: usize) -> (u64, u64) {
        let endpoint = &self.endpoints[endpoint];
        (endpoint.failures(), endpoint.early_resets())
    }

    /// Whether an operator lets new sessions choose the endpoint.
    pub(crate) fn is_ready(&self, endpoint: usize) -> bool {
        let endpoint = &self.endpoints[endpoint];
        endpoint.admin_state() == AdminState::Ready && endpoint.weight() > 0
    }

    /// The endpoint has reset a session before its first byte.
    pub(in crate::proxy) fn note_early_reset(&self, endpoint: usize) {
        self.endpoints[endpoint].note_early_reset();
    }

    /// A session has got its first byte from the endpoint.
    pub(in crate::proxy) fn note_first_byte(&self, endpoint: usize) {
        self.endpoints[endpoint].note_first_byte();
    }

    /// The source address of the next check of an endpoint, as of a session, and the options of
    /// sockets. `None` leaves the source to the system.
    pub(crate) fn socket_of_check(
        &self,
        endpoint: usize,
        to: SocketAddr,
    ) -> (Option<IpAddr>, &SocketOptions) {
        let sources = self.options.source.iter();
        let fitting = sources.filter(|source| source.is_ipv4() == to.is_ipv4());
        let count = fitting.clone().count();
        let turn = || self.endpoints[endpoint].take_source_turn() % count;
        let source = (count > 0).then(|| fitting.copied().nth(turn())).flatten();
        (source, &self.options.socket)
    }

    /// Whether the endpoint may keep a session that has just connected.
    pub(in crate::proxy) fn may_keep(&self, endpoint: usize) -> bool {
        self.endpoints[endpoint].admin_state() != AdminState::Maintenance
    }

    /// Counts and logs a session that finds no ready endpoint.
    pub(in crate::proxy) fn report_none_ready(&self, now: Time) {
        log::none_ready(&self.name, &self.none_ready, now);
    }

    /// Counts and logs a session that got no place at an endpoint.
    pub(in crate::proxy) fn report_no_place(&self, cause: EndReason, now: Time) {
        log::no_place(&self.name, &self.no_place, cause, now);
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
