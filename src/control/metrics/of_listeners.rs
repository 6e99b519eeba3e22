//! The metrics of listeners.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::page::{Page, Scale};
use crate::stats::{Distribution, Histogram, ListenerStats, PerLane, PerWord};

impl Families {
    pub(super) fn listeners(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&ListenerStats) -> u64;
        let gauges: [(&str, &str, Number); 3] = [
            (
                "corelane_listener_sessions",
                "Live sessions",
                ListenerStats::live,
            ),
            (
                "corelane_listener_sessions_opening",
                "Live sessions that do not relay yet",
                ListenerStats::opening,
            ),
            (
                "corelane_listener_connections_queued",
                "Accepted connections that wait for a place",
                ListenerStats::queued,
            ),
        ];
        for (name, help, number) in gauges {
            let row = |one| of_listener(one, |of| of.sum(number));
            page.gauge((name, None), help, &self.facts.listeners, |one| [row(one)])?;
        }
        let counters: [(&str, Option<Unit>, &str, Number); 6] = [
            (
                "corelane_listener_connections_accepted",
                None,
                "Accepted connections",
                |of| of.accepted.value(),
            ),
            (
                "corelane_listener_accept_failures",
                None,
                "Accepts that failed for want of descriptors or memory",
                |of| of.accept_failures.value(),
            ),
            (
                "corelane_listener_place_waits",
                None,
                "Accepted connections that had to wait for a place",
                |of| of.permit_waits.value(),
            ),
            (
                "corelane_listener_sessions_begun",
                None,
                "Sessions begun",
                |of| of.begun.value(),
            ),
            (
                "corelane_listener_from_client",
                Some(Unit::Bytes),
                "Bytes from clients, counted while they move",
                |of| of.from_client.value(),
            ),
            (
                "corelane_listener_to_client",
                Some(Unit::Bytes),
                "Bytes to clients, counted while they move",
                |of| of.to_client.value(),
            ),
        ];
        for (name, unit, help, number) in counters {
            let row = |one| of_listener(one, |of| of.sum(number));
            page.counter((name, unit), help, &self.facts.listeners, |one| [row(one)])?;
        }
        self.listener_ends(page)
    }

    fn listener_ends(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter(
            ("corelane_listener_sessions_ended", None),
            "Sessions ended, by the word of the log for the reason",
            &self.facts.listeners,
            ends,
        )
    }

    pub(super) fn listener_times(&self, page: &mut Page<'_>) -> fmt::Result {
        type One = fn(&ListenerStats) -> &Histogram;
        let histograms: [(&str, Scale, &str, One); 6] = [
            (
                "corelane_listener_accept_wait",
                Scale::WAIT,
                "Time from the accept to the begin of a session",
                |of| &of.waited,
            ),
            (
                "corelane_listener_connect",
                Scale::WAIT,
                "Time from the begin of a session to the answer of an endpoint, over all tries",
                |of| &of.connect,
            ),
            (
                "corelane_listener_first_byte",
                Scale::WAIT,
                "Time from the begin of a session to the first byte of the endpoint",
                |of| &of.first_byte,
            ),
            (
                "corelane_listener_session_duration",
                Scale::LIFE,
                "Time from the begin to the end of a session",
                |of| &of.life,
            ),
            (
                "corelane_listener_session_from_client",
                Scale::BYTES,
                "Bytes of an ended session from its client",
                |of| &of.session_from_client,
            ),
            (
                "corelane_listener_session_to_client",
                Scale::BYTES,
                "Bytes of an ended session to its client",
                |of| &of.session_to_client,
            ),
        ];
        for (name, scale, help, one) in histograms {
            let row = |of| of_listener(of, |of| Distribution::of(of.iter().map(one)));
            page.histogram((name, scale), help, &self.facts.listeners, row)?;
        }
        Ok(())
    }
}

/// A listener with name and counters.
type Named = (Arc<str>, Arc<PerLane<ListenerStats>>);

/// The rows of a listener by words.
fn ends((name, of): &Named) -> impl Iterator<Item = ([(&str, &str); 2], u64)> {
    let words = PerWord::together(of.iter().map(|lane| &lane.ended));
    let row = move |(word, count)| ([("listener", &**name), ("reason", word)], count);
    words.into_iter().map(row)
}

/// A row of a listener.
fn of_listener<V>(
    (name, of): &Named,
    value: impl Fn(&PerLane<ListenerStats>) -> V,
) -> ([(&str, &str); 1], V) {
    ([("listener", name)], value(of))
}
