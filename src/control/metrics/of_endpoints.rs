//! The metrics of endpoints.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Unit;

use super::facts::{EndpointHealth, EndpointName, MetricFacts};
use super::families::Families;
use super::page::{Page, Scale};
use crate::stats::{Distribution, EndpointStats, PerLane, PerWord};

pub(super) type EndpointLabels<'f> = ([(&'f str, &'f str); 1], [(&'f str, String); 1]);

/// The labels of an endpoint, and a word.
type WordLabels<'f> = (EndpointLabels<'f>, [(&'f str, &'f str); 1]);

/// An endpoint with name and counters.
type Named = (EndpointName, Arc<PerLane<EndpointStats>>);

impl Families {
    pub(super) fn upstreams(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            ("corelane_upstream_sessions_queued", None),
            "Sessions that wait for a place at an endpoint",
            &self.facts.queued,
            |(upstream, queued)| [([("upstream", &**upstream)], *queued as u64)],
        )
    }

    pub(super) fn endpoints(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&EndpointStats) -> u64;
        let MetricFacts {
            endpoints, health, ..
        } = &self.facts;
        page.gauge(
            ("corelane_endpoint_sessions", None),
            "Connected sessions",
            endpoints,
            |one| [row(one, |of| of.sum(EndpointStats::live))],
        )?;
        page.gauge(
            ("corelane_endpoint_failing", None),
            "1 from a failed connect until a connect succeeds, else 0",
            health,
            |of| [(of_health(of), u64::from(of.is_failing))],
        )?;
        page.gauge(
            ("corelane_endpoint_admin_state", None),
            "1 for the state that an operator has set",
            health,
            |of| [((of_health(of), [("state", of.admin_state)]), 1)],
        )?;
        let counters: [(&str, Option<Unit>, &str, Number); 4] = [
            ("corelane_endpoint_connects", None, "Connects begun", |of| {
                of.attempts.value()
            }),
            (
                "corelane_endpoint_sessions_begun",
                None,
                "Sessions that the endpoint has answered",
                |of| of.begun.value(),
            ),
            (
                "corelane_endpoint_from_client",
                Some(Unit::Bytes),
                "Bytes from clients, counted while they move",
                |of| of.from_client.value(),
            ),
            (
                "corelane_endpoint_to_client",
                Some(Unit::Bytes),
                "Bytes to clients, counted while they move",
                |of| of.to_client.value(),
            ),
        ];
        for (name, unit, help, number) in counters {
            let rows = |one| [row(one, |of| of.sum(number))];
            page.counter((name, unit), help, endpoints, rows)?;
        }
        page.counter(
            ("corelane_endpoint_connect_failures", None),
            "Failed connects, by the cause",
            endpoints,
            |one| of_words(one, |lane| &lane.failures),
        )?;
        page.counter(
            ("corelane_endpoint_sessions_ended", None),
            "Ended sessions that the endpoint had answered, by the word of the log for the reason; \
             a word has a row from its first session on",
            endpoints,
            |one| of_words(one, |lane| &lane.ended).filter(|(_, count)| *count > 0),
        )
    }

    pub(super) fn endpoint_times(&self, page: &mut Page<'_>) -> fmt::Result {
        let endpoints = &self.facts.endpoints;
        page.histogram(
            ("corelane_endpoint_connect", Scale::WAIT),
            "Time of a connect that the endpoint has answered",
            endpoints,
            |one| {
                row(one, |of| {
                    Distribution::of(of.iter().map(|lane| &lane.connect))
                })
            },
        )?;
        page.histogram(
            ("corelane_endpoint_first_byte", Scale::WAIT),
            "Time from the answer of the endpoint to its first byte",
            endpoints,
            |one| {
                row(one, |of| {
                    Distribution::of(of.iter().map(|lane| &lane.first_byte))
                })
            },
        )
    }
}

/// A row of an endpoint.
fn row<V>(
    ((upstream, address), of): &Named,
    value: impl Fn(&PerLane<EndpointStats>) -> V,
) -> (EndpointLabels<'_>, V) {
    (of_endpoint(upstream, *address), value(of))
}

/// The rows of an endpoint by words.
fn of_words(
    ((upstream, address), of): &Named,
    words: impl Fn(&EndpointStats) -> &PerWord,
) -> impl Iterator<Item = (WordLabels<'_>, u64)> {
    let counts = PerWord::together(of.iter().map(words)).into_iter();
    counts.map(|(word, count)| ((of_endpoint(upstream, *address), [("reason", word)]), count))
}

fn of_health(of: &EndpointHealth) -> EndpointLabels<'_> {
    of_endpoint(&of.upstream, of.address)
}

pub(super) fn of_endpoint(upstream: &str, address: SocketAddr) -> EndpointLabels<'_> {
    (
        [("upstream", upstream)],
        [("endpoint", address.to_string())],
    )
}
