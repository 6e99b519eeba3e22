//! The server's own times beside the client's, and where the time of a message went. Pure.

use std::fmt::Write;

use super::figures::{grouped, maybe, time};
use super::table::{row, table};
use crate::outcome::{Outcome, ServerMetrics};
use crate::stats::float;

/// The name of a histogram in the table.
pub(crate) fn words(metric: &str) -> &str {
    match metric {
        "corelane_listener_accept_wait_seconds" => "accept to session",
        "corelane_listener_connect_seconds" => "session to endpoint's answer",
        "corelane_listener_first_byte_seconds" => "session to endpoint's first byte",
        "corelane_endpoint_connect_seconds" => "one connect",
        "corelane_endpoint_first_byte_seconds" => "connect to first byte",
        "corelane_lane_queue_delay_seconds" => "wait in the run queue",
        "corelane_lane_turn_seconds" => "turn of a lane",
        other => other,
    }
}

pub(super) fn server_metrics(text: &mut String, of: &ServerMetrics, outcome: &Outcome) {
    let head = ["count", "mean", "p50 up to", "p90 up to", "p99 up to"];
    let mut rows = vec![row(
        "server's times",
        head.iter().map(|name| (*name).to_owned()),
    )];
    for times in &of.times {
        let bound = |bound: Option<u64>| maybe(bound, |nanos| time(float(nanos)));
        let cells = [
            grouped(times.count),
            time(times.mean_ns),
            bound(times.p50_max_ns),
            bound(times.p90_max_ns),
            bound(times.p99_max_ns),
        ];
        rows.push(row(words(&times.metric), cells.into_iter()));
    }
    table(text, &rows);
    if let Some(sentence) = whereabouts(of, outcome) {
        _ = writeln!(text, "{sentence}");
    }
}

/// Where the time of a message went. The server's parts are means over all messages and connects;
/// neither the server nor its run queue explains the rest.
pub(crate) fn whereabouts(of: &ServerMetrics, outcome: &Outcome) -> Option<String> {
    let service = outcome.latency.service.as_ref()?.mean?;
    let messages = float(outcome.totals.messages);
    let cpu = float(of.cpu_ns?) / messages;
    if !cpu.is_finite() {
        return None;
    }
    let mean = |metric: &str| {
        let mut times = of.times.iter().filter(|times| times.metric == metric);
        times.next().map_or(0.0, |times| times.mean_ns)
    };
    let mut parts = vec![
        (
            mean("corelane_lane_queue_delay_seconds"),
            "in the server's run queue",
        ),
        (cpu, "is the server's CPU time"),
    ];
    if outcome.verb == "churn" {
        parts.push((
            mean("corelane_listener_accept_wait_seconds"),
            "from accept to session",
        ));
        parts.push((
            mean("corelane_listener_connect_seconds"),
            "until the endpoint answers",
        ));
    }
    let known: f64 = parts.iter().map(|(part, _)| part).sum();
    let shown = parts.iter().filter(|(part, _)| *part > 0.0);
    let shown: Vec<String> = shown
        .map(|(part, what)| format!("{} {what}", time(*part)))
        .collect();
    let rest = time((service - known).max(0.0));
    Some(format!(
        "Of {} a message: {}, {rest} in the kernels, on the way and in this client.",
        time(service),
        shown.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::server_metrics;
    use crate::outcome::{ServerMetrics, ServerTimes, sample};

    #[test]
    fn the_table_ends_with_the_rest() {
        let times = |metric: &str, mean_ns| ServerTimes {
            metric: metric.to_owned(),
            count: 1234,
            mean_ns,
            p50_max_ns: Some(4096),
            p90_max_ns: Some(16_384),
            p99_max_ns: None,
        };
        let of = ServerMetrics {
            cpu_ns: Some(20_000_000),
            times: vec![
                times("corelane_lane_queue_delay_seconds", 5000.0),
                times("corelane_lane_turn_seconds", 9000.0),
            ],
            ..ServerMetrics::default()
        };
        let mut text = String::new();
        // 1000 messages with a mean service time of 250 us.
        server_metrics(&mut text, &of, &sample::outcome());
        assert!(
            text.contains("wait in the run queue  1,234  5.00 µs"),
            "{text}"
        );
        assert!(
            text.contains("5.00 µs in the server's run queue, 20.0 µs is the"),
            "{text}"
        );
        assert!(text.contains("225 µs in the kernels"), "{text}");
    }
}
