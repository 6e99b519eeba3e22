//! A document for tests of its readers.

use hdrhistogram::Histogram;

use super::distribution::{Distribution, histogram};
use super::document::{Outcome, SCHEMA};
use super::environment::Environment;
use super::judgement::Verdict;
use super::measures::{Errors, Generator, Latencies, System, Totals};
use super::shape::{Loop, Shape, Target};

/// An open loop of 1000 messages in a second. Message n has a latency of n microseconds, a service
/// time of n/2 microseconds, and a lateness of n nanoseconds.
pub(crate) fn outcome() -> Outcome {
    let of = |nanos: fn(u64) -> u64| {
        let mut times = histogram();
        (1..=1000).for_each(|n| times.saturating_record(nanos(n)));
        Some(Distribution::new(&times))
    };
    let mut connect: Histogram<u64> = histogram();
    connect.saturating_record(1000);
    Outcome {
        schema: SCHEMA,
        corelane_bench: "0.0.0".to_owned(),
        arguments: vec!["run".to_owned()],
        verb: "run".to_owned(),
        started_unix_ms: 0,
        environment: Environment::here(),
        target: Target {
            name: None,
            given: "localhost:7007".to_owned(),
            address: "127.0.0.1:7007".to_owned(),
            pid: None,
        },
        shape: shape(),
        totals: Totals {
            elapsed_ns: 1_000_000_000,
            connections_opened: 1,
            messages: 1000,
            messages_per_second: Some(1000.0),
            due: Some(1000),
            unsent: Some(0),
            sent_bytes: 64_000,
            sent_bytes_per_second: Some(64_000.0),
            received_bytes: 64_000,
            received_bytes_per_second: Some(64_000.0),
            connecting_ns: Some(1000),
            ..Totals::default()
        },
        latency: Latencies {
            intended: of(|n| 1000 * n),
            on_time: of(|n| 999 * n),
            service: of(|n| 1000 * (n / 2)),
            connect: Some(Distribution::new(&connect)),
        },
        lateness: of(|n| n),
        series: Vec::new(),
        first_reply: None,
        server: None,
        server_metrics: None,
        generator: Generator::default(),
        system: System::default(),
        errors: Errors::default(),
        thresholds: Vec::new(),
        verdict: Verdict {
            valid: true,
            ..Verdict::default()
        },
        interrupted: false,
        sweep: None,
        duel: None,
    }
}

fn shape() -> Shape {
    Shape {
        loop_: Loop::Open,
        lanes: 1,
        poller: "epoll".to_owned(),
        connections: 1,
        rate: Some(1000.0),
        arrival: Some("constant".to_owned()),
        size: Some("64".to_owned()),
        size_mean: Some(64.0),
        request: None,
        reply: None,
        opening: None,
        pipeline: 1,
        verify: true,
        ramp_ns: 0,
        warmup_ns: 0,
        duration_ns: Some(1_000_000_000),
        count: None,
        hold_ns: None,
        storm: false,
        close: None,
        direction: None,
        source: None,
        congestion: None,
        proxy: None,
    }
}
