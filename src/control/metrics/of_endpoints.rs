//! The metrics of endpoints.

use std::fmt;
use std::net::SocketAddr;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::page::{Page, Scale};
use crate::stats::{Distribution, EndpointStats, PerLane, PerWord};

type EndpointLabels<'f> = ([(&'f str, &'f str); 1], [(&'f str, String); 1]);

/// The labels of an endpoint, and a word.
type WordLabels<'f> = (EndpointLabels<'f>, [(&'f str, &'f str); 1]);

impl Families {
    pub(super) fn endpoints(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&EndpointStats) -> u64;
        let live = self.of_endpoints(|of| of.sum(EndpointStats::live));
        page.gauge(
            ("corelane_endpoint_sessions", None),
            "Connected sessions",
            live,
        )?;
        let health = self.facts.health.iter();
        let failing = health.clone().map(|of| {
            (
                of_endpoint(&of.upstream, of.address),
                u64::from(of.is_failing),
            )
        });
        page.gauge(
            ("corelane_endpoint_failing", None),
            "1 from a failed connect until a connect succeeds, else 0",
            failing,
        )?;
        let admin = health.map(|of| {
            let state = [("state", of.admin_state)];
            ((of_endpoint(&of.upstream, of.address), state), 1)
        });
        page.gauge(
            ("corelane_endpoint_admin_state", None),
            "1 for the state that an operator has set",
            admin,
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
            page.counter((name, unit), help, self.of_endpoints(|of| of.sum(number)))?;
        }
        page.counter(
            ("corelane_endpoint_connect_failures", None),
            "Failed connects, by the cause",
            self.of_endpoint_words(|lane| &lane.failures),
        )?;
        let ended = self.of_endpoint_words(|lane| &lane.ended);
        page.counter(
            ("corelane_endpoint_sessions_ended", None),
            "Ended sessions that the endpoint had answered, by the word of the log for the reason; \
             a word has a row from its first session on",
            ended.filter(|(_, count)| *count > 0),
        )
    }

    pub(super) fn endpoint_times(&self, page: &mut Page<'_>) -> fmt::Result {
        page.histogram(
            ("corelane_endpoint_connect", Scale::WAIT),
            "Time of a connect that the endpoint has answered",
            self.of_endpoints(|of| Distribution::of(of.iter().map(|lane| &lane.connect))),
        )?;
        page.histogram(
            ("corelane_endpoint_first_byte", Scale::WAIT),
            "Time from the answer of the endpoint to its first byte",
            self.of_endpoints(|of| Distribution::of(of.iter().map(|lane| &lane.first_byte))),
        )
    }

    fn of_endpoints<V>(
        &self,
        value: impl Fn(&PerLane<EndpointStats>) -> V,
    ) -> impl Iterator<Item = (EndpointLabels<'_>, V)> {
        let endpoints = self.facts.endpoints.iter();
        endpoints.map(move |((upstream, at), of)| (of_endpoint(upstream, *at), value(of)))
    }

    fn of_endpoint_words(
        &self,
        words: impl Fn(&EndpointStats) -> &PerWord,
    ) -> impl Iterator<Item = (WordLabels<'_>, u64)> {
        self.facts
            .endpoints
            .iter()
            .flat_map(move |((upstream, at), of)| {
                let counts = PerWord::together(of.iter().map(&words)).into_iter();
                counts
                    .map(|(word, count)| ((of_endpoint(upstream, *at), [("reason", word)]), count))
            })
    }
}

fn of_endpoint(upstream: &str, address: SocketAddr) -> EndpointLabels<'_> {
    (
        [("upstream", upstream)],
        [("endpoint", address.to_string())],
    )
}
