//! The loads of several parts as people read them: a sweep's curve, a duel's rounds. Pure.

use std::fmt::Write;

use super::whole::{line, table};
use crate::figures::{Unit, maybe, number, rate, time};
use crate::outcome::{Duel, Measure, Metric, Round, Step, Sweep};
use crate::stats::{self, float};

/// One line a step, then the knee.
pub(super) fn sweep(text: &mut String, sweep: &Sweep) {
    let head = ["asked for", "came back", "p50", "p99", "p99.9", ""].map(str::to_owned);
    let steps = sweep.steps.iter().map(step);
    table(text, &[&[head][..], &steps.collect::<Vec<_>>()].concat());
    match sweep.knee {
        Some(knee) => line(
            text,
            "knee",
            format!("{} holds up to {}; {}", sweep.slo, rate(knee), sweep.ended),
        ),
        None => line(
            text,
            "knee",
            format!("{} was not seen to hold; {}", sweep.slo, sweep.ended),
        ),
    }
}

fn step(step: &Step) -> [String; 6] {
    let latency = |nanos: Option<u64>| maybe(nanos, |nanos| time(float(nanos)));
    let why = step.why.as_deref().unwrap_or("kept");
    let words = match step.tries {
        0 | 1 => why.to_owned(),
        tries => format!("{why} ({tries} tries)"),
    };
    [
        rate(step.rate),
        maybe(step.achieved, rate),
        latency(step.latency.p50),
        latency(step.latency.p99),
        latency(step.latency.p99_9),
        words,
    ]
}

/// Where a figure of a duel stands, and what it is of.
fn read(metric: &Metric) -> (Unit, fn(&Measure) -> Option<f64>) {
    match &*metric.name {
        "rate" => (Unit::Rate, |measure| measure.rate),
        "p50" => (Unit::Time, |measure| measure.latency.p50.map(float)),
        "p99" => (Unit::Time, |measure| measure.latency.p99.map(float)),
        "p99.9" => (Unit::Time, |measure| measure.latency.p99_9.map(float)),
        "cpu_per_message" => (Unit::Time, |measure| measure.cpu_per_message_ns),
        _ => (Unit::Count, |_| None),
    }
}

/// One line a figure: both medians, the ratio and its interval; then what may be said of it.
pub(super) fn duel(text: &mut String, duel: &Duel) {
    let [a, b] = duel.names();
    let rounds = duel.rounds.len();
    line(
        text,
        "rounds",
        format!("{rounds}; medians of them, and of {a} / {b}"),
    );
    let head = ["", a, b, &format!("{a} / {b}"), "95 % of it"].map(str::to_owned);
    let mut rows = vec![head];
    for metric in &duel.metrics {
        let (unit, read) = read(metric);
        let middle = |of: fn(&Round) -> &Measure| {
            let values: Vec<f64> = duel
                .rounds
                .iter()
                .filter_map(|round| read(of(round)))
                .collect();
            maybe(stats::median(&values), |value| unit.show(value))
        };
        let interval = maybe(metric.ratio, |ratio| {
            format!("{:.3} to {:.3}", ratio.low, ratio.high)
        });
        rows.push([
            metric.called().to_owned(),
            middle(|round| &round.a),
            middle(|round| &round.b),
            maybe(stats::median(&metric.ratios), |ratio| format!("{ratio:.3}")),
            interval,
        ]);
    }
    table(text, &rows);
    for metric in &duel.metrics {
        line(text, metric.called(), told(metric, rounds));
    }
    _ = writeln!(text, "More is better of the rate, less of everything else.");
}

fn told(metric: &Metric, rounds: usize) -> String {
    match &metric.words {
        Some(words) => words.clone(),
        None if metric.ratio.is_some() => "no difference can be told".to_owned(),
        None => format!(
            "{} rounds are too few to tell: --rounds {} or more",
            number(float(rounds as u64)),
            stats::RATIOS_MIN
        ),
    }
}
