//! All metrics: names, help texts and labels. The labels are names of the configuration, lanes and
//! words of fixed lists, never of clients.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::facts::MetricFacts;
use super::page::{Page, Scale};
use crate::stats::{
    Distribution, EndpointStats, Histogram, LaneStats, ListenerStats, PerLane, PerWord,
};

/// A lane of a page.
#[derive(Debug)]
pub(in crate::control) struct LaneFacts {
    pub(in crate::control) stats: Arc<LaneStats>,
    pub(in crate::control) buffers_max: usize,
    pub(in crate::control) cpu_ns: u64,
}

/// The metrics of a page.
#[derive(Debug)]
pub(in crate::control) struct Families {
    pub(in crate::control) facts: MetricFacts,
    /// By index.
    pub(in crate::control) lanes: Vec<LaneFacts>,
    /// Of all listeners in the network namespace.
    pub(in crate::control) listen_overflows: Option<u64>,
}

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.process(&mut page)?;
        self.listeners(&mut page)?;
        self.listener_times(&mut page)?;
        self.endpoints(&mut page)?;
        self.endpoint_times(&mut page)?;
        self.lanes(&mut page)?;
        self.lane_times(&mut page)
    }
}

/// No label.
const ALONE: [(&str, &str); 0] = [];

impl Families {
    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let MetricFacts {
            started,
            sessions_live,
            sessions_max,
            generation,
            generation_age_s,
            generations_past,
            ..
        } = self.facts;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.info("corelane_build", "The program", &version)?;
        let started = started.duration_since(SystemTime::UNIX_EPOCH);
        let started = started.unwrap_or_default().as_secs();
        for (name, unit, help, value) in [
            (
                "corelane_start_time",
                Some(Unit::Seconds),
                "Time of the start, since 1970",
                started,
            ),
            (
                "corelane_sessions",
                None,
                "Live sessions",
                sessions_live as u64,
            ),
            (
                "corelane_sessions_max",
                None,
                "The limit on live sessions",
                sessions_max as u64,
            ),
            (
                "corelane_generation",
                None,
                "The number of the configuration in service; a reload with a change adds 1",
                generation.into(),
            ),
            (
                "corelane_generation_age",
                Some(Unit::Seconds),
                "Time since this configuration was put into service",
                generation_age_s,
            ),
            (
                "corelane_generations_past",
                None,
                "Earlier configurations that sessions still have",
                generations_past as u64,
            ),
        ] {
            page.gauge((name, unit), help, [(ALONE, value)].into_iter())?;
        }
        let overflows = self.listen_overflows.map(|count| (ALONE, count));
        page.counter(
            ("corelane_listen_overflows", None),
            "Connections that the kernel dropped since a backlog was full, at any listener of this \
             network namespace",
            overflows.into_iter(),
        )
    }

    fn listeners(&self, page: &mut Page<'_>) -> fmt::Result {
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
            page.gauge((name, None), help, self.of_listeners(|of| of.sum(number)))?;
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
            page.counter((name, unit), help, self.of_listeners(|of| of.sum(number)))?;
        }
        self.listener_ends(page)
    }

    fn listener_ends(&self, page: &mut Page<'_>) -> fmt::Result {
        let ended = self.facts.listeners.iter().flat_map(|(name, of)| {
            let words = by_word(of.iter().map(|lane| &lane.ended));
            let row = move |(word, count)| ([("listener", &**name), ("reason", word)], count);
            words.into_iter().map(row)
        });
        page.counter(
            ("corelane_listener_sessions_ended", None),
            "Sessions ended, by the word of the log for the reason",
            ended,
        )
    }

    fn listener_times(&self, page: &mut Page<'_>) -> fmt::Result {
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
            let rows = self.of_listeners(|of| Distribution::of(of.iter().map(one)));
            page.histogram((name, scale), help, rows)?;
        }
        Ok(())
    }

    fn endpoints(&self, page: &mut Page<'_>) -> fmt::Result {
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

    fn endpoint_times(&self, page: &mut Page<'_>) -> fmt::Result {
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

    fn lanes(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&LaneFacts) -> u64;
        let gauges: [(&str, &str, Number); 4] = [
            ("corelane_lane_sessions", "Live sessions", |of| {
                of.stats.sessions()
            }),
            (
                "corelane_lane_run_queue",
                "Tasks that waited at the start of the last turn",
                |of| of.stats.run_queue.value(),
            ),
            (
                "corelane_lane_buffers",
                "Buffers in use at the end of the last turn",
                |of| of.stats.buffers.value(),
            ),
            (
                "corelane_lane_buffers_max",
                "The limit on buffers in use",
                |of| of.buffers_max as u64,
            ),
        ];
        for (name, help, number) in gauges {
            page.gauge((name, None), help, self.of_lanes(number))?;
        }
        self.lane_counters(page)
    }

    fn lane_counters(&self, page: &mut Page<'_>) -> fmt::Result {
        type Number = fn(&LaneFacts) -> u64;
        page.seconds(
            "corelane_lane_cpu",
            "CPU time of the lane",
            self.of_lanes(|of| of.cpu_ns),
        )?;
        let counters: [(&str, Option<Unit>, &str, Number); 7] = [
            ("corelane_lane_turns", None, "Turns", |of| {
                of.stats.turns.value()
            }),
            ("corelane_lane_polls", None, "Runs of a task", |of| {
                of.stats.polls.value()
            }),
            (
                "corelane_lane_panics",
                None,
                "Tasks that a panic has ended, each a defect of corelane",
                |of| of.stats.panics.value(),
            ),
            (
                "corelane_lane_buffer_waits",
                None,
                "Requests for a buffer while all were in use",
                |of| of.stats.buffer_waits.value(),
            ),
            (
                "corelane_lane_received",
                Some(Unit::Bytes),
                "Bytes received from clients and endpoints",
                |of| of.stats.received_bytes.value(),
            ),
            (
                "corelane_lane_sent",
                Some(Unit::Bytes),
                "Bytes sent to clients and endpoints",
                |of| of.stats.sent_bytes.value(),
            ),
            (
                "corelane_lane_stalls",
                None,
                "Turns of 50 ms or longer",
                |of| of.stats.stalls.value(),
            ),
        ];
        for (name, unit, help, number) in counters {
            page.counter((name, unit), help, self.of_lanes(number))?;
        }
        Ok(())
    }

    fn lane_times(&self, page: &mut Page<'_>) -> fmt::Result {
        type One = fn(&LaneStats) -> &Histogram;
        let histograms: [(&str, Scale, &str, One); 4] = [
            (
                "corelane_lane_turn",
                Scale::TURN,
                "Time from the start of a turn to its wait for the kernel, of one turn in 64",
                |of| &of.turn,
            ),
            (
                "corelane_lane_queue_delay",
                Scale::TURN,
                "Time that a task of such a turn waited to run",
                |of| &of.queue_delay,
            ),
            (
                "corelane_lane_stall",
                Scale::STALL,
                "Length of ended stalls",
                |of| &of.stall,
            ),
            (
                "corelane_lane_switch_pause",
                Scale::TURN,
                "Time that a reload held the lane",
                |of| &of.switch_pause,
            ),
        ];
        for (name, scale, help, one) in histograms {
            let rows = self.of_lanes(|of| Distribution::of([one(&of.stats)].into_iter()));
            page.histogram((name, scale), help, rows)?;
        }
        Ok(())
    }

    fn of_listeners<V>(
        &self,
        value: impl Fn(&PerLane<ListenerStats>) -> V,
    ) -> impl Iterator<Item = ([(&str, &str); 1], V)> {
        let listeners = self.facts.listeners.iter();
        listeners.map(move |(name, of)| ([("listener", &**name)], value(of)))
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
                let counts = by_word(of.iter().map(&words)).into_iter();
                counts
                    .map(|(word, count)| ((of_endpoint(upstream, *at), [("reason", word)]), count))
            })
    }

    fn of_lanes<V>(
        &self,
        value: impl Fn(&LaneFacts) -> V,
    ) -> impl Iterator<Item = ([(&str, usize); 1], V)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.map(move |(lane, of)| ([("lane", lane)], value(of)))
    }
}

type EndpointLabels<'f> = ([(&'f str, &'f str); 1], [(&'f str, String); 1]);

/// The labels of an endpoint, and a word.
type WordLabels<'f> = (EndpointLabels<'f>, [(&'f str, &'f str); 1]);

fn of_endpoint(upstream: &str, address: SocketAddr) -> EndpointLabels<'_> {
    (
        [("upstream", upstream)],
        [("endpoint", address.to_string())],
    )
}

/// The counts of all lanes together.
fn by_word<'w>(lanes: impl Iterator<Item = &'w PerWord>) -> Vec<(&'static str, u64)> {
    let mut all: Vec<(&str, u64)> = Vec::new();
    for lane in lanes {
        match all.is_empty() {
            true => all.extend(lane.iter()),
            // The words of all lanes have the same order.
            false => all
                .iter_mut()
                .zip(lane.iter())
                .for_each(|(sum, (_, count))| sum.1 += count),
        }
    }
    all
}
