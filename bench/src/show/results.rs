//! What came out of a run, figure by figure; of every run the same ones in the same order. Read by
//! the report's table and by the comparison.

use super::figures::Unit;
use crate::outcome::{Distribution, Outcome};
use crate::stats::float;

/// One figure of a run.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// `None` where it was not measured, or the sample does not support it.
    pub(crate) value: Option<f64>,
    /// Shown even if there is none: its absence says something.
    pub(crate) always: bool,
}

/// All of them.
pub(crate) fn figures(outcome: &Outcome) -> Vec<Figure> {
    let mut all = Vec::new();
    amounts(outcome, &mut all);
    latencies(outcome, &mut all);
    costs(outcome, &mut all);
    all
}

fn amounts(outcome: &Outcome, all: &mut Vec<Figure>) {
    let totals = &outcome.totals;
    let done = match outcome.verb.as_str() {
        "churn" => "connections a second",
        _ => "messages a second",
    };
    let bulk = outcome.verb == "bulk";
    if !bulk {
        always(all, done, Unit::Rate, totals.messages_per_second);
    }
    let bytes = |value: Option<f64>| value.filter(|_| bulk);
    some(
        all,
        "sent",
        Unit::Throughput,
        bytes(totals.sent_bytes_per_second),
    );
    some(
        all,
        "received",
        Unit::Throughput,
        bytes(totals.received_bytes_per_second),
    );
    let sweep = outcome.sweep.as_ref();
    some(all, "knee", Unit::Rate, sweep.and_then(|sweep| sweep.knee));
    some(
        all,
        "unsent at the end",
        Unit::Count,
        totals.unsent.map(float),
    );
    some(
        all,
        "connecting took",
        Unit::Time,
        totals.connecting_ns.map(float),
    );
}

fn latencies(outcome: &Outcome, all: &mut Vec<Figure>) {
    let latency = &outcome.latency;
    let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    for (name, value) in names.into_iter().zip(values(latency.first())) {
        always(all, name, Unit::Time, value);
    }
    // In a closed loop the service time is what stands above.
    let service = latency
        .service
        .as_ref()
        .filter(|_| latency.intended.is_some());
    let names = ["service p50", "service p90", "service p99", "service p99.9"];
    for (name, value) in names.into_iter().zip(values(service)) {
        some(all, name, Unit::Time, value);
    }
    let connect = values(latency.connect.as_ref());
    some(all, "connect p50", Unit::Time, connect[0]);
    some(all, "connect p99", Unit::Time, connect[2]);
}

fn costs(outcome: &Outcome, all: &mut Vec<Figure>) {
    let server = outcome.server.as_ref();
    let of_server = |read: fn(&crate::outcome::Server) -> Option<f64>| server.and_then(read);
    let per_message = of_server(|server| server.cpu_per_message_ns);
    let per_connection = of_server(|server| server.cpu_per_connection_ns);
    let held = of_server(|server| server.rss_held_bytes.map(float));
    let memory = of_server(|server| server.rss_per_connection_bytes);
    some(all, "server CPU a message", Unit::Time, per_message);
    some(all, "server CPU a connection", Unit::Time, per_connection);
    some(all, "server memory", Unit::Memory, held);
    some(all, "memory a connection", Unit::Memory, memory);
    let lane = outcome.generator.busiest_lane_cores;
    some(all, "busiest client lane", Unit::Cores, lane);
    let late = outcome
        .lateness
        .as_ref()
        .and_then(|late| late.percentiles.p99);
    some(all, "send lateness p99", Unit::Time, late.map(float));
    let system = &outcome.system;
    let counted = |count: Option<u64>| count.map(float);
    some(
        all,
        "listen overflows",
        Unit::Count,
        counted(system.listen_overflows),
    );
    some(all, "retransmits", Unit::Count, counted(system.retransmits));
    some(all, "steal", Unit::Percent, system.steal_percent);
    always(
        all,
        "errors",
        Unit::Count,
        Some(float(outcome.errors.total)),
    );
}

/// p50, p90, p99, p99.9, p99.99 and the maximum.
fn values(times: Option<&Distribution>) -> [Option<f64>; 6] {
    let Some(times) = times else {
        return [None; 6];
    };
    let shares = &times.percentiles;
    let all = [
        shares.p50,
        shares.p90,
        shares.p99,
        shares.p99_9,
        shares.p99_99,
        times.max,
    ];
    all.map(|value| value.map(float))
}

fn always(all: &mut Vec<Figure>, name: &'static str, unit: Unit, value: Option<f64>) {
    all.push(Figure {
        name,
        unit,
        value,
        always: true,
    });
}

fn some(all: &mut Vec<Figure>, name: &'static str, unit: Unit, value: Option<f64>) {
    all.push(Figure {
        name,
        unit,
        value,
        always: false,
    });
}
