//! Documents of results with every kind of content.

use std::collections::BTreeMap;

use corelane_bench::outcome::{ConnectionError, ErrorKind};
use corelane_bench::outcome::{
    Distribution, Doubt, Duel, Environment, Errors, Generator, Latencies, Loop, Measure, Metric,
    Outcome, Packed, Percentiles, Reason, Round, SCHEMA, Second, Server, Shape, Step, Sweep,
    System, Target, TargetResults, Threshold, Totals, Verdict,
};
use corelane_bench::stats::{median, median_interval};
use hdrhistogram::Histogram;

const SECOND: u64 = 1_000_000_000;

/// A reproducible pseudorandom generator (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// A sample around `middle` nanoseconds, with the long tail of latencies.
    fn latency(&mut self, middle: f64) -> u64 {
        let body = (self.unit() + self.unit() + self.unit() - 1.5) * 0.8;
        let tail = match self.unit() {
            rare if rare < 0.003 => 3.0 * self.unit() / (rare * 300.0 + 0.05),
            _ => 0.0,
        };
        whole(middle * (body + tail).exp().min(400.0))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and above zero"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600 * SECOND, 3).unwrap()
}

/// Twelve seconds of results, two of them warm-up.
struct Measured {
    series: Vec<Second>,
    intended: Histogram<u64>,
    service: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Measured {
    fn new(middle: f64) -> Self {
        let mut random = Random(whole(middle));
        let mut all = Self {
            series: Vec::new(),
            intended: times(),
            service: times(),
            lateness: times(),
        };
        for row in 0..12 {
            let mut second = times();
            for _ in 0..12_000 {
                let time = random.latency(middle);
                second.record(time).unwrap();
                if row >= 2 {
                    all.intended.record(time).unwrap();
                    all.service.record(time * 4 / 5).unwrap();
                    all.lateness.record(random.latency(900.0)).unwrap();
                }
            }
            all.series.push(row_of(row, &second, &mut random));
        }
        all
    }
}

fn row_of(row: u32, times: &Histogram<u64>, random: &mut Random) -> Second {
    let rate = 80_000.0 + 3_000.0 * (random.unit() - 0.5);
    Second {
        start_ns: (i64::from(row) - 2) * 1_000_000_000,
        length_ns: SECOND,
        rate,
        sent_bytes_per_second: rate * 64.0,
        received_bytes_per_second: rate * 64.0,
        latency: Percentiles::new(times),
        histogram: Some(Packed::new(times)),
        errors: 0,
        connections: 50,
        generator_cores: Some(0.4 + 0.05 * random.unit()),
        server_cores: Some(0.7 + 0.1 * random.unit()),
        server_rss_bytes: Some(8_000_000 + u64::from(row) * 100_000),
    }
}

/// An open loop whose median is about `middle` nanoseconds.
pub(crate) fn run(target: &str, middle: f64) -> Outcome {
    let measured = Measured::new(middle);
    let target = Target {
        name: None,
        given: target.to_owned(),
        address: "127.0.0.1:7007".to_owned(),
        pid: Some(4711),
    };
    Outcome {
        schema: SCHEMA,
        corelane_bench: "0.1.0".to_owned(),
        arguments: [
            "run",
            &target.given,
            "--rate",
            "80k",
            "--fail-if",
            "p99>2ms",
        ]
        .map(str::to_owned)
        .to_vec(),
        verb: "run".to_owned(),
        started_unix_ms: 1_795_610_000_000,
        environment: environment(),
        target,
        shape: shape(),
        totals: totals(),
        latency: Latencies {
            intended: Some(Distribution::new(&measured.intended)),
            on_time: Some(Distribution::new(&measured.intended)),
            service: Some(Distribution::new(&measured.service)),
            connect: None,
        },
        lateness: Some(Distribution::new(&measured.lateness)),
        series: measured.series,
        first_reply: None,
        server: Some(server(4711)),
        server_metrics: None,
        generator: Generator {
            cpu_ns: Some(5 * SECOND),
            spin_ns: Some(SECOND),
            busiest_lane_cores: Some(0.42),
            waited_share: Some(0.01),
        },
        system: System {
            listen_overflows: Some(0),
            listen_drops: Some(0),
            retransmits: Some(0),
            steal_percent: Some(0.2),
        },
        errors: Errors::default(),
        thresholds: vec![Threshold {
            condition: "p99>2ms".to_owned(),
            measured: Some(middle * 4.0),
            failed: middle * 4.0 > 2e6,
        }],
        verdict: Verdict {
            valid: true,
            reasons: Vec::new(),
            notes: vec!["the load average was 0.3 before the run".to_owned()],
        },
        interrupted: false,
        sweep: None,
        duel: None,
    }
}

fn totals() -> Totals {
    Totals {
        elapsed_ns: 10 * SECOND,
        connections_opened: 50,
        messages: 800_000,
        messages_per_second: Some(80_000.0),
        due: Some(800_000),
        unsent: Some(0),
        sent_bytes: 51_200_000,
        sent_bytes_per_second: Some(5_120_000.0),
        received_bytes: 51_200_000,
        received_bytes_per_second: Some(5_120_000.0),
        connecting_ns: Some(3_000_000),
        ..Totals::default()
    }
}

fn environment() -> Environment {
    Environment {
        kernel: Some("Linux 6.18.0".to_owned()),
        cpu: Some("An Engine @ 1 MHz".to_owned()),
        cores: Some(2),
        congestion: Some("cubic".to_owned()),
        descriptors_max: Some(1_048_576),
        somaxconn: Some(4096),
        ports: Some((32_768, 60_999)),
        loadavg: Some([0.3, 0.25, 0.1]),
    }
}

fn shape() -> Shape {
    Shape {
        loop_: Loop::Open,
        lanes: 1,
        poller: "io_uring".to_owned(),
        connections: 50,
        rate: Some(80_000.0),
        arrival: Some("poisson".to_owned()),
        size: Some("64".to_owned()),
        size_mean: Some(64.0),
        request: None,
        reply: None,
        opening: None,
        pipeline: 1,
        verify: true,
        ramp_ns: 0,
        warmup_ns: 2 * SECOND,
        duration_ns: Some(10 * SECOND),
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

fn server(pid: u32) -> Server {
    Server {
        pid,
        threads: Some(3),
        cpu_ns: Some(7 * SECOND),
        cpu_per_message_ns: Some(8_750.0),
        cpu_per_gigabyte_ns: Some(68e9),
        cpu_per_connection_ns: Some(31_000.0),
        cpu_hold_ns: None,
        cpu_total_ns: Some(8 * SECOND),
        rss_before_bytes: 7_900_000,
        rss_held_bytes: Some(9_100_000),
        rss_per_connection_bytes: Some(24_000.0),
    }
}

/// A closed loop with every flaw: INVALID, failed thresholds, errors, interrupted.
pub(crate) fn bad() -> Outcome {
    let mut outcome = run("localhost:7008", 900_000.0);
    outcome.shape.loop_ = Loop::Closed;
    outcome.shape.rate = None;
    outcome.latency.intended = None;
    outcome.lateness = None;
    outcome.interrupted = true;
    outcome.verdict = Verdict {
        valid: false,
        reasons: vec![Reason {
            doubt: Doubt::GeneratorSaturated,
            message: "the client's busiest lane used 97 % of a core".to_owned(),
        }],
        notes: vec!["a closed loop: what that means".to_owned()],
    };
    let fault = ConnectionError {
        kind: ErrorKind::Corrupted,
        connection: 7,
        position: Some(128),
        expected: Some(1),
        got: Some(2),
        message: "byte 128 is 2 and should be 1".to_owned(),
    };
    outcome.errors = Errors {
        total: 12,
        kinds: BTreeMap::from([(ErrorKind::Corrupted, 2), (ErrorKind::Reset, 10)]),
        first: vec![fault],
    };
    // The rest of a second, with the last reply.
    outcome.series.push(Second {
        start_ns: 10_000_000_000,
        length_ns: 3_000_000,
        connections: 0,
        ..outcome.series[0].clone()
    });
    outcome.series[5].errors = 12;
    outcome.series[6].latency = Percentiles::default();
    outcome
}

/// A sweep with the knee at 90,000 a second.
pub(crate) fn sweep() -> Outcome {
    let mut outcome = run("127.0.0.1:7007", 40_000.0);
    outcome.verb = "sweep".to_owned();
    let step = |rate: f64| {
        let mut random = Random(whole(rate));
        let mut latency = times();
        let load = (rate / 100_000.0).min(0.999);
        for _ in 0..20_000 {
            let time = random.latency(40_000.0 / (1.0 - load).max(0.02));
            latency.record(time).unwrap();
        }
        let kept = rate <= 90_000.0;
        let why = "p99 was above 1 ms";
        Step {
            rate,
            tries: 1 + u32::from(!kept),
            achieved: Some(rate.min(98_000.0)),
            latency: Percentiles::new(&latency),
            service: Percentiles::new(&latency),
            kept,
            why: (!kept).then(|| why.to_owned()),
            valid: true,
            errors: 0,
            generator_cores: Some(load / 2.0),
            server_cpu_per_message_ns: Some(8_000.0),
        }
    };
    let rates = [10e3, 20e3, 40e3, 80e3, 160e3, 120e3, 100e3, 90e3, 95e3];
    outcome.sweep = Some(Sweep {
        slo: "p99<1ms".to_owned(),
        knee: Some(90_000.0),
        broken_at: Some(95_000.0),
        ended: "the knee is known within 5 %".to_owned(),
        steps: rates.into_iter().map(step).collect(),
    });
    outcome
}

/// The results of one target in a duel.
fn side(outcome: &Outcome) -> TargetResults {
    TargetResults {
        totals: outcome.totals.clone(),
        latency: outcome.latency.clone(),
        lateness: outcome.lateness.clone(),
        server: outcome.server.clone(),
        generator: outcome.generator.clone(),
    }
}

/// Twelve rounds; the new target is slightly faster.
pub(crate) fn duel() -> Outcome {
    let mut outcome = run("127.0.0.1:7001", 60_000.0);
    let other = run("127.0.0.1:7002", 55_000.0);
    outcome.verb = "duel".to_owned();
    outcome.series = Vec::new();
    outcome.target.name = Some("old".to_owned());
    let mut random = Random(3);
    let measure = Measure::default();
    let round = |n: u32| Round {
        order: ["ABBA", "BAAB"][n as usize % 2].to_owned(),
        a: measure.clone(),
        b: measure.clone(),
    };
    let mut metric = |name: &str, middle: f64, spread: f64| {
        let ratios: Vec<f64> = (0..12)
            .map(|_| middle + spread * (random.unit() - 0.5))
            .collect();
        let ratio = median_interval(&ratios);
        let words = ratio
            .filter(|interval| interval.excludes(1.0))
            .map(|_| format!("old has {:.2} times new's {name}", median(&ratios).unwrap()));
        Metric {
            name: name.to_owned(),
            more_is_better: name == "rate",
            better: words.is_some().then(|| "new".to_owned()),
            ratios,
            ratio,
            words,
        }
    };
    let mut b = outcome.target.clone();
    b.name = Some("new".to_owned());
    b.given = "127.0.0.1:7002".to_owned();
    outcome.duel = Some(Duel {
        targets: [outcome.target.clone(), b],
        sides: Some(Box::new([side(&outcome), side(&other)])),
        slice_ns: 2 * SECOND,
        rounds: (0..12).map(round).collect(),
        metrics: vec![
            metric("rate", 0.94, 0.04),
            metric("p50", 1.07, 0.05),
            metric("p99", 0.99, 0.3),
            metric("cpu_per_message", 1.1, 0.06),
        ],
    });
    outcome
}
