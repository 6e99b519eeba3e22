//! The figures of a run, the same in the same order for every run. Used by the report's table and
//! by `compare`.

use crate::outcome::{Distribution, Outcome, Server};
use crate::stats::float;
use crate::text::figures::Unit;

/// The group of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Rate, latency, errors.
    Main,
    /// Service time and connect time.
    Elsewhere,
    /// Resource use and system counters.
    Cost,
}

/// One figure of a run.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) unit: Unit,
    /// `None` if not measured, or not supported by the sample.
    pub(crate) value: Option<f64>,
    /// Shown even without a value.
    pub(crate) always: bool,
}

/// All figures of a run.
pub(crate) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut all = amounts(outcome).to_vec();
    all.extend(latencies(outcome));
    all.extend(costs(outcome));
    all.push(Figure {
        always: true,
        ..figure(
            Group::Main,
            "errors",
            Unit::Count,
            Some(float(outcome.errors.total)),
        )
    });
    all
}

fn amounts(outcome: &Outcome) -> [Figure; 4] {
    let totals = &outcome.totals;
    let done = match outcome.verb.as_str() {
        "churn" => "connections a second",
        _ => "messages a second",
    };
    let bulk = outcome.verb == "bulk";
    let messages = totals.messages_per_second.filter(|_| !bulk);
    let bytes = |value: Option<f64>| value.filter(|_| bulk);
    let sent = bytes(totals.sent_bytes_per_second);
    let received = bytes(totals.received_bytes_per_second);
    let knee = outcome.sweep.as_ref().and_then(|sweep| sweep.knee);
    let main = |name, unit, value| figure(Group::Main, name, unit, value);
    [
        Figure {
            always: !bulk,
            ..main(done, Unit::Rate, messages)
        },
        main("sent", Unit::Throughput, sent),
        main("received", Unit::Throughput, received),
        main("knee", Unit::Rate, knee),
    ]
}

fn latencies(outcome: &Outcome) -> Vec<Figure> {
    let latency = &outcome.latency;
    let time = |group, (name, value)| figure(group, name, Unit::Time, value);
    let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let first = names.into_iter().zip(values(latency.first()));
    let mean = latency.first().and_then(|times| times.mean);
    let deviation = latency.first().and_then(|times| times.deviation);
    let first = first.chain([("mean", mean), ("deviation", deviation)]);
    let first = first.map(|named| Figure {
        always: outcome.verb != "bulk",
        ..time(Group::Main, named)
    });
    // In a closed loop the main figures are the service time.
    let open = latency.intended.is_some();
    let service = latency.service.as_ref().filter(|_| open);
    let names = [
        "service p50",
        "service p90",
        "service p99",
        "service p99.9",
        "service p99.99",
    ];
    let service = names.into_iter().zip(values(service));
    let names = ["connect p50", "connect p90", "connect p99", "connect p99.9"];
    let connect = names.into_iter().zip(values(latency.connect.as_ref()));
    let elsewhere = service
        .chain(connect)
        .map(|named| time(Group::Elsewhere, named));
    first.chain(elsewhere).collect()
}

fn costs(outcome: &Outcome) -> Vec<Figure> {
    let cost = |name, unit, value| figure(Group::Cost, name, unit, value);
    let server = |read: fn(&Server) -> Option<f64>| outcome.server.as_ref().and_then(read);
    let counted = |count: Option<u64>| count.map(float);
    let late = outcome
        .lateness
        .as_ref()
        .and_then(|late| late.percentiles.p99);
    let (totals, system) = (&outcome.totals, &outcome.system);
    vec![
        cost(
            "server CPU a message",
            Unit::Time,
            server(|it| it.cpu_per_message_ns),
        ),
        cost(
            "server CPU a GB",
            Unit::Time,
            server(|it| it.cpu_per_gigabyte_ns).filter(|_| outcome.verb == "bulk"),
        ),
        cost(
            "server CPU a connection",
            Unit::Time,
            server(|it| it.cpu_per_connection_ns),
        ),
        cost(
            "server memory",
            Unit::Memory,
            server(|it| it.rss_held_bytes.map(float)),
        ),
        cost(
            "memory a connection",
            Unit::Memory,
            server(|it| it.rss_per_connection_bytes),
        ),
        cost(
            "busiest client lane",
            Unit::Cores,
            outcome.generator.busiest_lane_cores,
        ),
        cost(
            "waited for a CPU",
            Unit::Percent,
            outcome.generator.waited_share.map(|share| 100.0 * share),
        ),
        cost("send lateness p99", Unit::Time, late.map(float)),
        cost("unsent at the end", Unit::Count, counted(totals.unsent)),
        cost("connecting took", Unit::Time, counted(totals.connecting_ns)),
        cost(
            "listen overflows",
            Unit::Count,
            counted(system.listen_overflows),
        ),
        cost("retransmits", Unit::Count, counted(system.retransmits)),
        cost("steal", Unit::Percent, system.steal_percent),
    ]
}

/// p50, p90, p99, p99.9, p99.99 and the maximum.
fn values(times: Option<&Distribution>) -> [Option<f64>; 6] {
    let Some(times) = times else {
        return [None; 6];
    };
    let shares = &times.percentiles;
    let (p50, p90, p99) = (shares.p50, shares.p90, shares.p99);
    [p50, p90, p99, shares.p99_9, shares.p99_99, times.max].map(|value| value.map(float))
}

fn figure(group: Group, name: &'static str, unit: Unit, value: Option<f64>) -> Figure {
    Figure {
        name,
        group,
        unit,
        value,
        always: false,
    }
}
