//! The results as they are told: one value, which JSON is written from as it stands and the text is
//! made of. The keys are stable; units come last.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::fault::{Fault, Kind};
use crate::plan::{Length, Plan};
use crate::run::{Costs, Results};

/// How many samples must lie above a percentile for it to say more than the accident of the few
/// largest.
const ABOVE_MIN: u64 = 10;

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) corelane_bench: &'static str,
    pub(crate) verb: &'static str,
    /// Always "closed": a message is sent when the one before it has come back.
    #[serde(rename = "loop")]
    pub(crate) loop_: &'static str,
    pub(crate) target: String,
    pub(crate) address: String,
    pub(crate) lanes: u32,
    pub(crate) poller: String,
    pub(crate) connections: u32,
    pub(crate) size_bytes: u64,
    pub(crate) pipeline: usize,
    pub(crate) verify: bool,
    pub(crate) hold_ns: Option<u64>,
    pub(crate) warmup_ns: u64,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) count: Option<u64>,
    pub(crate) interrupted: bool,
    pub(crate) connections_opened: u32,
    pub(crate) connections_failed: u32,
    pub(crate) elapsed_ns: u64,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: Option<f64>,
    pub(crate) sent_bytes: u64,
    pub(crate) sent_bytes_per_second: Option<f64>,
    pub(crate) received_bytes: u64,
    pub(crate) received_bytes_per_second: Option<f64>,
    pub(crate) latency_ns: Latency,
    pub(crate) errors_total: u64,
    pub(crate) errors: BTreeMap<Kind, u64>,
    /// The first few.
    pub(crate) error_details: Vec<Fault>,
    pub(crate) server: Option<Server>,
}

/// Latencies in nanoseconds; absent where there are too few to say.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) min: Option<u64>,
    pub(crate) p50: Option<u64>,
    pub(crate) p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    #[serde(rename = "p99.9")]
    pub(crate) p99_9: Option<u64>,
    pub(crate) max: Option<u64>,
}

/// The server's process; absent what could not be read at the time.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) pid: u32,
    /// Of the measured time.
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) cpu_per_message_ns: Option<f64>,
    /// From before the first connection to the end of the measured time.
    pub(crate) cpu_total_ns: Option<u64>,
    /// Of the time in which the connections were held, for `idle`.
    pub(crate) cpu_hold_ns: Option<u64>,
    pub(crate) rss_before_bytes: u64,
    /// At the end of the hold, or of the measured time.
    pub(crate) rss_held_bytes: Option<u64>,
    pub(crate) rss_per_connection_bytes: Option<f64>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, results: &Results) -> Self {
        let Results {
            tally,
            elapsed,
            back_ends,
            interrupted,
            costs,
        } = results;
        let rate = |amount: u64| {
            let seconds = elapsed.as_secs_f64();
            (seconds > 0.0).then(|| float(amount) / seconds)
        };
        let (duration, count) = match plan.load.length {
            Length::For(duration) => (Some(duration), None),
            Length::Count(count) => (None, Some(count)),
        };
        let opened = tally.opened;
        Self {
            corelane_bench: env!("CARGO_PKG_VERSION"),
            verb: plan.verb,
            loop_: "closed",
            target: plan.target.clone(),
            address: plan.address.to_string(),
            lanes: plan.lanes,
            poller: pollers(back_ends.iter().map(ToString::to_string)),
            connections: plan.load.connections,
            size_bytes: plan.load.size,
            pipeline: plan.load.pipeline,
            verify: plan.load.verify,
            hold_ns: plan.hold.map(nanos),
            warmup_ns: nanos(plan.warmup),
            duration_ns: duration.map(nanos),
            count,
            interrupted: *interrupted,
            connections_opened: opened,
            connections_failed: plan.load.connections - opened,
            elapsed_ns: nanos(*elapsed),
            messages: tally.messages,
            messages_per_second: rate(tally.messages),
            sent_bytes: tally.sent_bytes,
            sent_bytes_per_second: rate(tally.sent_bytes),
            received_bytes: tally.received_bytes,
            received_bytes_per_second: rate(tally.received_bytes),
            latency_ns: Latency::of(&tally.latency),
            errors_total: tally.faults.total(),
            errors: tally.faults.counts().collect(),
            error_details: tally.faults.first().to_vec(),
            server: plan
                .server
                .zip(*costs)
                .map(|((server, _), costs)| Server::new(server.pid, &costs, plan, results)),
        }
    }

    /// The JSON form, one key a line.
    pub(crate) fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("plain values with string keys can be written") + "\n"
    }

    /// Whether every connection was opened, and something came back, and all of it was right.
    pub(crate) fn is_good(&self) -> bool {
        let complete = self.connections_failed == 0 && self.messages > 0;
        self.errors_total == 0 && (complete || self.interrupted)
    }
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        let count = latencies.len();
        let percentile = |tenths: u64| {
            // Of a million samples a thousandth lies above the 99.9th.
            let above = u128::from(count) * u128::from(1000 - tenths) / 1000;
            #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
            let quantile = tenths as f64 / 1000.0;
            (above >= u128::from(ABOVE_MIN)).then(|| latencies.value_at_quantile(quantile))
        };
        let some = |value: u64| (count > 0).then_some(value);
        Self {
            count,
            min: some(latencies.min()),
            p50: percentile(500),
            p90: percentile(900),
            p99: percentile(990),
            p99_9: percentile(999),
            max: some(latencies.max()),
        }
    }
}

impl Server {
    fn new(pid: u32, costs: &Costs, plan: &Plan, results: &Results) -> Self {
        let Costs {
            before,
            opened,
            start,
            end,
        } = costs;
        let cpu = |from: Option<Duration>, to: Option<Duration>| {
            let (from, to) = from.zip(to)?;
            Some(nanos(to.saturating_sub(from)))
        };
        let [cpu_opened, cpu_start, cpu_end] =
            [opened, start, end].map(|cost| cost.map(|cost| cost.cpu));
        let measured = cpu(cpu_start, cpu_end);
        let messages = results.tally.messages;
        let held = match plan.hold {
            Some(_) => start,
            None => end,
        };
        let rss_held = held.map(|cost| cost.rss_bytes);
        let connections = results.tally.opened;
        Self {
            pid,
            cpu_ns: measured,
            cpu_per_message_ns: measured
                .filter(|_| messages > 0)
                .map(|cpu| float(cpu) / float(messages)),
            cpu_total_ns: cpu(Some(before.cpu), cpu_end),
            cpu_hold_ns: plan.hold.and_then(|_| cpu(cpu_opened, cpu_start)),
            rss_before_bytes: before.rss_bytes,
            rss_held_bytes: rss_held,
            rss_per_connection_bytes: rss_held
                .filter(|_| connections > 0)
                .map(|held| (float(held) - float(before.rss_bytes)) / f64::from(connections)),
        }
    }
}

/// `io_uring`, or `io_uring+epoll` when one ring was too many.
fn pollers(back_ends: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = back_ends.collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.dedup();
    names.join("+")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "what is shown has few digits")]
fn float(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latency, pollers};
    use crate::tally::Tally;

    fn latency(samples: u64) -> Latency {
        let mut tally = Tally::new();
        for sample in 1..=samples {
            tally.record(Duration::from_nanos(sample));
        }
        Latency::of(&tally.latency)
    }

    #[test]
    fn a_percentile_needs_ten_samples_above_it() {
        let present = |samples| {
            let latency = latency(samples);
            [latency.p50, latency.p90, latency.p99, latency.p99_9].map(|p| p.is_some())
        };
        assert_eq!(present(19), [false; 4]);
        assert_eq!(present(20), [true, false, false, false]);
        assert_eq!(present(99), [true, false, false, false]);
        assert_eq!(present(100), [true, true, false, false]);
        assert_eq!(present(999), [true, true, false, false]);
        assert_eq!(present(1000), [true, true, true, false]);
        assert_eq!(present(9999), [true, true, true, false]);
        assert_eq!(present(10_000), [true, true, true, true]);
    }

    #[test]
    fn the_extremes_need_one_sample() {
        assert_eq!((latency(0).min, latency(0).max), (None, None));
        assert_eq!((latency(1).min, latency(1).max), (Some(1), Some(1)));
        let latency = latency(1000);
        assert_eq!((latency.min, latency.max), (Some(1), Some(1000)));
        assert_eq!((latency.p50, latency.p99), (Some(500), Some(990)));
    }

    #[test]
    fn pollers_are_named_once() {
        let names = |list: &[&str]| pollers(list.iter().map(|&name| name.to_owned()));
        assert_eq!(names(&["epoll", "epoll"]), "epoll");
        assert_eq!(names(&["epoll", "io_uring", "epoll"]), "io_uring+epoll");
    }
}
