//! `[[upstream]]`: a name for the endpoints that a proxy connects to.
//!
//! Read by `Config::parse` before the listeners. A listener refers to an upstream by name in the
//! file and by index in [`Config`](super::Config). An unused upstream is allowed, with a warning.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::address;
use super::effective::{Effective, Keys};
use super::endpoint::{self, Endpoint, Written, WrittenSource};
use super::endpoint_source::EndpointSource;
use super::errors::Reported;
use super::health::{self, Health};
use super::names::Names;
use super::on_removed::OnRemoved;
use super::section::Section;
use super::socket::{self, SocketOptions};
use super::value;

/// One `[[upstream]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Unique among the upstreams; `upstream[].name`.
    pub name: String,
    /// The elements of `upstream[].endpoints`: at least one, none twice.
    pub written: Vec<Written>,
    /// What to connect to: the written addresses in the order of the file, and behind them what
    /// discovery has found. No address twice; perhaps none.
    pub endpoints: Vec<Endpoint>,
    /// How sessions are spread over the endpoints; `upstream[].balance`.
    pub balance: Balance,
    /// The bits of a client's IPv6 address that tell clients apart for a hash;
    /// `upstream[].hash_prefix`.
    pub hash_prefix: u8,
    /// The most sessions of an endpoint without a number of its own; `None`: no limit;
    /// `upstream[].endpoint_max_sessions`.
    pub endpoint_max_sessions: Option<u32>,
    /// How many sessions wait while the endpoints have their most, 0 to 16384; `upstream[].queue`.
    pub queue: usize,
    /// The longest wait of such a session; `upstream[].queue_timeout`.
    pub queue_timeout: Duration,
    /// The source addresses of connections: none twice, each of the family of an endpoint, no
    /// IPv4-mapped IPv6 address. The system chooses the source for a family without an entry;
    /// `upstream[].source`.
    pub source: Vec<IpAddr>,
    /// How many endpoints a session tries at most, 1 to 100; `upstream[].tries`.
    pub tries: usize,
    /// What becomes of the sessions of an endpoint when a reload removes the endpoint or the
    /// upstream; `upstream[].on_removed` and `upstream[].drain_over`.
    pub on_removed: OnRemoved,
    /// How endpoints are checked; `upstream[].health`.
    pub health: Health,
    /// How the connections to endpoints are set up; `upstream[].socket`.
    pub socket: SocketOptions,
}

/// How an upstream spreads sessions over its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balance {
    RoundRobin,
    LeastSessions,
    TwoChoices,
    First,
    Random,
    Hash,
    Maglev,
}

const BALANCES: &[(&str, Balance)] = &[
    ("two_choices", Balance::TwoChoices),
    ("least_sessions", Balance::LeastSessions),
    ("round_robin", Balance::RoundRobin),
    ("random", Balance::Random),
    ("first", Balance::First),
    ("hash", Balance::Hash),
    ("maglev", Balance::Maglev),
];

/// With a second for each a client would have left long since.
const TRIES_MAX: usize = 100;
/// The places of a queue in the proxy.
const QUEUE_MAX: usize = 16_384;

impl Upstream {
    /// The addresses of the endpoints, in the order of the file.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + Clone + '_ {
        self.endpoints.iter().map(|endpoint| endpoint.address)
    }

    /// The written addresses, each with its place in the list of the file.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = (usize, SocketAddr)> + '_ {
        let all = self.written.iter().enumerate();
        all.filter_map(|(place, written)| Some((place, written.endpoint()?.address)))
    }

    /// The written sources, each with its place in the list of the file.
    pub(crate) fn written_sources(&self) -> impl Iterator<Item = (usize, &WrittenSource)> + Clone {
        let all = self.written.iter().enumerate();
        all.filter_map(|(place, written)| Some((place, written.source()?)))
    }

    /// Where addresses of endpoints come from, besides the file.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &EndpointSource> + Clone {
        self.written_sources().map(|(_, written)| &written.source)
    }

    /// Whether discovery finds endpoints.
    pub(crate) fn has_sources(&self) -> bool {
        self.sources().next().is_some()
    }

    /// Takes the endpoints that discovery has `found` for each source, in place of those before.
    /// Addresses that are there already are left out, and what is beyond the most of an upstream.
    pub(crate) fn take_found(&mut self, found: impl Fn(&WrittenSource) -> Vec<Endpoint>) {
        let fixed = self.written.iter().filter_map(Written::endpoint).copied();
        let of_sources = self.written.iter().filter_map(Written::source);
        let mut all: Vec<Endpoint> = fixed.collect();
        let mut known: HashSet<SocketAddr> = all.iter().map(|one| one.address).collect();
        for mut endpoint in of_sources.flat_map(found) {
            if all.len() == endpoint::ENDPOINTS_MAX {
                break;
            }
            if known.insert(endpoint.address) {
                endpoint.weight = endpoint.weight.min(endpoint::WEIGHT_MAX);
                endpoint.level = endpoint.level.min(endpoint::LEVEL_MAX);
                all.push(endpoint);
            }
        }
        self.endpoints = all;
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            name,
            written,
            endpoints: _,
            balance,
            hash_prefix,
            endpoint_max_sessions,
            queue,
            queue_timeout,
            source,
            tries,
            on_removed,
            health,
            socket,
        } = self;
        let written = written.iter().map(Written::effective);
        let keys = Keys::default()
            .on_reload("name", Effective::text(name))
            .on_reload("endpoints", Effective::List(written.collect()))
            .on_reload(
                "balance",
                Effective::text(value::word_of(BALANCES, balance)),
            )
            .on_reload("hash_prefix", Effective::number(*hash_prefix))
            .on_reload(
                "endpoint_max_sessions",
                Effective::unless("off", *endpoint_max_sessions, Effective::number),
            )
            .on_reload("queue", Effective::number(*queue))
            .on_reload("queue_timeout", Effective::duration(*queue_timeout))
            .on_reload("tries", Effective::number(*tries))
            .on_reload("source", Effective::texts(source));
        on_removed
            .write(keys)
            .table("health", health.keys())
            .table("socket", socket.keys(false))
    }
}

/// Reads every upstream of the file, and their names for the listeners.
pub(super) fn read_all(root: &mut Section<'_>) -> (Vec<Result<Upstream, Reported>>, Names) {
    let mut names = Names::new("upstream");
    let upstreams = root.tables("upstream", |index, section| {
        let name = names.read(index, section);
        let endpoints = section.required(
            "endpoints",
            "a list, e.g. endpoints = [\"127.0.0.1:7007\"]",
            endpoint::endpoints,
        );
        let balance = value::word("a way to balance", BALANCES);
        let balance = section.optional("balance", Balance::TwoChoices, balance);
        let prefix = value::integer(1..=128, "an IPv6 address has 128 bits");
        let hash_prefix = section.optional("hash_prefix", 64, prefix);
        let limit = value::unless("off", endpoint::max_sessions);
        let endpoint_max_sessions = section.optional("endpoint_max_sessions", None, limit);
        let queue = value::integer(
            0..=QUEUE_MAX,
            "a longer queue is a longer wait for everybody",
        );
        let queue = section.optional("queue", 1024, queue);
        let (min, max) = (Duration::from_millis(10), Duration::from_hours(1));
        let wait = value::duration(min..=max, "a client does not wait longer");
        let queue_timeout = section.optional("queue_timeout", Duration::from_secs(5), wait);
        // Refused endpoints and names have no family to compare with.
        let known = endpoints.as_ref().ok().and_then(|written| {
            let addresses = written.iter().map(|one| Some(one.endpoint()?.address));
            addresses.collect::<Option<Vec<_>>>()
        });
        let source = section.optional("source", Vec::new(), |v| {
            address::sources(v, known.as_deref())
        });
        let tries = value::integer(1..=TRIES_MAX, "a client does not wait for more");
        let tries = section.optional("tries", 3, tries);
        let on_removed = OnRemoved::read(section);
        let health = section.table("health", health::WRITE, Health::read);
        let socket = section.table("socket", socket::WRITE, |socket| {
            SocketOptions::read(socket, false)
        });
        let written = endpoints?;
        Ok(Upstream {
            name: name?,
            endpoints: written
                .iter()
                .filter_map(Written::endpoint)
                .copied()
                .collect(),
            written,
            balance,
            hash_prefix,
            endpoint_max_sessions,
            queue,
            queue_timeout,
            source,
            tries,
            on_removed,
            health,
            socket,
        })
    });
    names.close(upstreams.len());
    (upstreams, names)
}
