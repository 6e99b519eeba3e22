//! The counters of listeners, endpoints and lanes as JSON: the blocks of all lanes together, read
//! while the answer is written.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::stats::{Distribution, EndpointStats, Histogram, ListenerStats, PerLane, PerWord};

/// The powers of four that bound the buckets of times: 16 us to 12 days, and 256 ns to 18 minutes.
const MICROS: (u32, u32) = (2, 20);
const NANOS: (u32, u32) = (4, 20);

/// The counters of a listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerFacts(pub(crate) Arc<PerLane<ListenerStats>>);

/// The counters of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointFacts(pub(crate) Arc<PerLane<EndpointStats>>);

#[derive(Debug, Serialize)]
struct ListenerFactsView {
    accepted: u64,
    accept_failures: u64,
    queued: u64,
    sessions_begun: u64,
    sessions_live: u64,
    sessions_opening: u64,
    sessions_ended: Words,
    from_client_bytes: u64,
    to_client_bytes: u64,
    waited: Micros,
    connect: Micros,
    first_byte: Micros,
    life: Micros,
}

#[derive(Debug, Serialize)]
struct EndpointFactsView {
    sessions_begun: u64,
    sessions_live: u64,
    sessions_ended: Words,
    from_client_bytes: u64,
    to_client_bytes: u64,
    connect_attempts: u64,
    connect_failures: Words,
    connect: Micros,
    first_byte: Micros,
}

impl Serialize for ListenerFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(of) = self;
        let view = ListenerFactsView {
            accepted: of.sum(|lane| lane.accepted.value()),
            accept_failures: of.sum(|lane| lane.accept_failures.value()),
            queued: of.sum(ListenerStats::queued),
            sessions_live: of.sum(ListenerStats::live),
            sessions_begun: of.sum(|lane| lane.begun.value()),
            sessions_opening: of.sum(ListenerStats::opening),
            sessions_ended: Words::of(of.iter().map(|lane| &lane.ended)),
            from_client_bytes: of.sum(|lane| lane.from_client.value()),
            to_client_bytes: of.sum(|lane| lane.to_client.value()),
            waited: Micros::of(of.iter().map(|lane| &lane.waited)),
            connect: Micros::of(of.iter().map(|lane| &lane.connect)),
            first_byte: Micros::of(of.iter().map(|lane| &lane.first_byte)),
            life: Micros::of(of.iter().map(|lane| &lane.life)),
        };
        view.serialize(serializer)
    }
}

impl Serialize for EndpointFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(of) = self;
        let view = EndpointFactsView {
            sessions_live: of.sum(EndpointStats::live),
            sessions_begun: of.sum(|lane| lane.begun.value()),
            sessions_ended: Words::of(of.iter().map(|lane| &lane.ended)),
            from_client_bytes: of.sum(|lane| lane.from_client.value()),
            to_client_bytes: of.sum(|lane| lane.to_client.value()),
            connect_attempts: of.sum(|lane| lane.attempts.value()),
            connect_failures: Words::of(of.iter().map(|lane| &lane.failures)),
            connect: Micros::of(of.iter().map(|lane| &lane.connect)),
            first_byte: Micros::of(of.iter().map(|lane| &lane.first_byte)),
        };
        view.serialize(serializer)
    }
}

/// Counts by word; without the words that have no count.
#[derive(Debug, Default)]
struct Words(Vec<(&'static str, u64)>);

impl Words {
    fn of<'w>(lanes: impl Iterator<Item = &'w PerWord>) -> Self {
        let mut all = PerWord::together(lanes);
        all.retain(|(_, count)| *count > 0);
        Self(all)
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A histogram of times in microseconds.
#[derive(Debug, Serialize)]
struct Micros {
    count: u64,
    sum_us: u64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    max_us: u64,
    buckets: Vec<u64>,
}

impl Micros {
    fn of<'h>(lanes: impl Iterator<Item = &'h Histogram>) -> Self {
        let all = Distribution::of(lanes);
        Self {
            count: all.count(),
            sum_us: all.sum(),
            p50_us: all.quantile(500),
            p90_us: all.quantile(900),
            p99_us: all.quantile(990),
            max_us: all.max(),
            buckets: all.by_powers_of_four(MICROS.0, MICROS.1),
        }
    }
}

/// A histogram of times in nanoseconds.
#[derive(Debug, Serialize)]
pub(super) struct Nanos {
    count: u64,
    sum_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    buckets: Vec<u64>,
}

impl From<&Histogram> for Nanos {
    fn from(of: &Histogram) -> Self {
        let all = Distribution::of(std::iter::once(of));
        Self {
            count: all.count(),
            sum_ns: all.sum(),
            p50_ns: all.quantile(500),
            p90_ns: all.quantile(900),
            p99_ns: all.quantile(990),
            max_ns: all.max(),
            buckets: all.by_powers_of_four(NANOS.0, NANOS.1),
        }
    }
}
