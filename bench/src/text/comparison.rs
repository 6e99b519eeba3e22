//! The text of loads with several parts: the curve of a sweep, the rounds of a duel. Pure.

use std::fmt::Write;

use super::figures::{Unit, maybe, rate, time};
use super::table::{line, table};
use crate::outcome::{Duel, Measure, Metric, Round, Step, Sweep};
use crate::stats::{self, float};

/// One line a step, then the knee.
pub(super) fn sweep(text: &mut String, sweep: &Sweep) {
    let head = ["rate", "achieved", "p50", "p99", "p99.9", ""].map(str::to_owned);
    let steps = sweep.steps.iter().map(step);
    table(text, &[&[head][..], &steps.collect::<Vec<_>>()].concat());
    match sweep.knee {
        Some(knee) => line(
            text,
            "knee",
            format!("{} is met up to {}; {}", sweep.slo, rate(knee), sweep.ended),
        ),
        None => line(
            text,
            "knee",
            format!("{} was never met; {}", sweep.slo, sweep.ended),
        ),
    }
}

fn step(step: &Step) -> [String; 6] {
    let latency = |nanos: Option<u64>| maybe(nanos, |nanos| time(float(nanos)));
    let why = step.why.as_deref().unwrap_or("met");
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

/// The unit and the value of a figure in a duel.
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

/// One line a figure: both medians, the ratio, its interval. Then one conclusion a figure.
pub(super) fn duel(text: &mut String, duel: &Duel) {
    let [a, b] = duel.names();
    let rounds = duel.rounds.len();
    let what = format!("{rounds}; values are medians; the ratio is {a} / {b}");
    line(text, "rounds", what);
    let head = ["", a, b, "ratio", "95 % of it"].map(str::to_owned);
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
        line(text, metric.called(), conclusion(metric, rounds));
    }
    _ = writeln!(
        text,
        "For the rate more is better, for everything else less is better."
    );
}

fn conclusion(metric: &Metric, rounds: usize) -> String {
    match &metric.words {
        Some(words) => words.clone(),
        None if metric.ratio.is_some() => "no significant difference".to_owned(),
        None => format!(
            "{rounds} rounds are too few for an interval: use --rounds {} or more",
            stats::RATIOS_MIN
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::duel;
    use crate::outcome::{Duel, Measure, Metric, Percentiles, Round, Target};
    use crate::stats::Interval;

    /// A duel whose second target is a tenth faster.
    fn rounds(count: usize) -> Duel {
        let target = |name: &str| Target {
            name: Some(name.to_owned()),
            given: "127.0.0.1:7007".to_owned(),
            address: "127.0.0.1:7007".to_owned(),
            pid: None,
        };
        let measure = |p50: u64| Measure {
            latency: Percentiles {
                p50: Some(p50),
                ..Percentiles::default()
            },
            rate: Some(123_456.0),
            ..Measure::default()
        };
        let metric = |name: &str, ratio: f64, words: Option<&str>| Metric {
            name: name.to_owned(),
            ratios: vec![ratio; count],
            ratio: (count > 5).then_some(Interval {
                median: ratio,
                low: ratio - 0.01,
                high: ratio + 0.01,
            }),
            more_is_better: name == "rate",
            better: words.map(|_| "new".to_owned()),
            words: words.map(str::to_owned),
        };
        let words = "new is better: it has 10.0 % less median latency than old";
        Duel {
            targets: ["old", "new"].map(target),
            sides: None,
            slice_ns: 1,
            rounds: vec![
                Round {
                    order: "ABBA".to_owned(),
                    a: measure(100_000),
                    b: measure(90_000),
                };
                count
            ],
            metrics: vec![
                metric("rate", 1.0, None),
                metric("p50", 1.111, (count > 5).then_some(words)),
            ],
        }
    }

    fn shown(of: &Duel) -> Vec<String> {
        let mut text = String::new();
        duel(&mut text, of);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_duel_names_the_better_target_and_the_better_direction() {
        let lines = shown(&rounds(6));
        assert_eq!(
            lines,
            [
                "rounds         6; values are medians; the ratio is old / new",
                "            old        new  ratio      95 % of it",
                "rate  123,456/s  123,456/s  1.000  0.990 to 1.010",
                "p50      100 µs    90.0 µs  1.111  1.101 to 1.121",
                "rate           no significant difference",
                "p50            new is better: it has 10.0 % less median latency than old",
                "For the rate more is better, for everything else less is better.",
            ]
        );
    }

    #[test]
    fn a_duel_of_few_rounds_states_the_minimum() {
        let lines = shown(&rounds(5));
        let told = "p50            5 rounds are too few for an interval: use --rounds 6 or more";
        assert_eq!(lines[5], told);
    }
}
