//! Two live targets in one run: slices in turn (A B B A, then B A A B), so that whatever drifts
//! meets both alike; a ratio inside each round, and the interval of their median. Each slice is a
//! load of its own.

use std::time::Duration;

use crate::args::DuelArguments;
use crate::assemble::{self, Invocation, nanos};
use crate::outcome::{Duel, Measure, Metric, Outcome, Percentiles, Round};
use crate::plan::Plan;
use crate::run::{Costs, Engine, Results, RunError};
use crate::stats::{float, median_interval};
use crate::sweep;

/// Which target each slice of a round is for.
const ORDERS: [(&str, [usize; 4]); 2] = [("ABBA", [0, 1, 1, 0]), ("BAAB", [1, 0, 0, 1])];

/// One target's slices, added up.
#[derive(Debug, Default)]
struct Side {
    results: Option<Results>,
    cpu_ns: u64,
    /// Whether every slice's CPU time could be read.
    cpu_known: bool,
}

/// Fights the duel, and gives the document of A with the rounds of both.
pub(crate) fn run(
    engine: &mut Engine,
    invocation: &Invocation,
    plans: &[Plan; 2],
    arguments: &DuelArguments,
) -> Result<Outcome, RunError> {
    let mut all = [Side::default(), Side::default()];
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        let (order, slices) = ORDERS[number as usize % 2];
        let mut sides = [Side::default(), Side::default()];
        for side in slices {
            let name = plans[side].target.name.as_deref().unwrap_or_default();
            let part = format!("{name}, round {} of {}", number + 1, arguments.rounds);
            sides[side].add(engine.run(&plans[side], Some(part))?);
            if engine.is_interrupted() {
                break;
            }
        }
        let whole = !engine.is_interrupted();
        if whole {
            let [a, b] = [0, 1].map(|side: usize| sides[side].measure(&plans[side]));
            rounds.push(Round {
                order: order.to_owned(),
                a,
                b,
            });
        }
        for (all, side) in all.iter_mut().zip(sides) {
            if let Some(results) = side.results {
                all.add(results);
            }
        }
        if !whole {
            break;
        }
    }
    Ok(document(invocation, plans, arguments.slice, rounds, all))
}

fn document(
    invocation: &Invocation,
    plans: &[Plan; 2],
    slice: Duration,
    rounds: Vec<Round>,
    sides: [Side; 2],
) -> Outcome {
    let outcomes: Vec<Outcome> = sides
        .iter()
        .zip(plans)
        .filter_map(|(side, plan)| {
            let results = side.results.as_ref()?;
            let mut outcome = assemble::outcome(invocation, plan, results);
            if let Some(server) = &mut outcome.server {
                // Only what its own slices cost, without their beginnings.
                server.cpu_ns = side.cpu_known.then_some(side.cpu_ns);
                server.cpu_per_message_ns = side.measure(plan).cpu_per_message_ns;
            }
            Some(outcome)
        })
        .collect();
    let mut faults = crate::tally::Faults::default();
    for results in sides.into_iter().filter_map(|side| side.results) {
        faults.extend(results.tally.faults);
    }
    let mut outcome = outcomes[0].clone();
    if let Some(b) = outcomes.get(1) {
        sweep::add(&mut outcome.totals, &b.totals);
        outcome.interrupted |= b.interrupted;
        for reason in &b.verdict.reasons {
            if !outcome.verdict.reasons.contains(reason) {
                outcome.verdict.reasons.push(reason.clone());
            }
        }
        outcome.verdict.valid &= b.verdict.valid;
    }
    outcome.totals.connecting_ns = None;
    outcome.errors = faults.told();
    let targets = plans.each_ref().map(|plan| plan.target.clone());
    let names = targets
        .each_ref()
        .map(|target| target.name.as_deref().unwrap_or("?"));
    outcome.duel = Some(Duel {
        metrics: metrics(&rounds, names),
        targets: targets.clone(),
        slice_ns: nanos(slice),
        rounds,
    });
    outcome
}

impl Side {
    fn add(&mut self, results: Results) {
        let cpu = results.costs.as_ref().and_then(measured_cpu);
        self.cpu_known = cpu.is_some() && (self.cpu_known || self.results.is_none());
        self.cpu_ns += cpu.unwrap_or(0);
        match &mut self.results {
            None => self.results = Some(results),
            Some(sum) => add(sum, results),
        }
    }

    fn measure(&self, plan: &Plan) -> Measure {
        let Some(results) = &self.results else {
            return Measure::default();
        };
        let tally = &results.tally;
        let times = match plan.load.pace {
            Some(_) => &tally.intended,
            None => &tally.service,
        };
        let seconds = results.elapsed.as_secs_f64();
        let messages = float(tally.messages);
        let cpu = (self.cpu_known && tally.messages > 0).then(|| float(self.cpu_ns) / messages);
        let end = results.costs.and_then(|costs| costs.end);
        Measure {
            rate: (seconds > 0.0).then(|| messages / seconds),
            latency: Percentiles::new(times),
            cpu_per_message_ns: cpu,
            rss_bytes: end.map(|cost| cost.rss_bytes),
            errors: tally.faults.total(),
        }
    }
}

fn measured_cpu(costs: &Costs) -> Option<u64> {
    let (start, end) = costs.start.zip(costs.end)?;
    Some(nanos(end.cpu.saturating_sub(start.cpu)))
}

/// Adds another slice of the same target.
fn add(sum: &mut Results, more: Results) {
    sum.tally.add(more.tally);
    sum.elapsed += more.elapsed;
    sum.interrupted |= more.interrupted;
    sum.back_ends.extend(more.back_ends);
    // Slices of two targets make no series: the rounds are what there is to see.
    sum.series.clear();
    sum.usage.extend(more.usage);
    if let (Some(costs), Some(more)) = (&mut sum.costs, more.costs) {
        // Between slices the server does nothing for this target.
        costs.end = more.end;
    }
    let plus = |sum: Option<u64>, more: Option<u64>| sum.zip(more).map(|(a, b)| a + b);
    let (system, other) = (&mut sum.system, more.system);
    system.listen_overflows = plus(system.listen_overflows, other.listen_overflows);
    system.listen_drops = plus(system.listen_drops, other.listen_drops);
    system.retransmits = plus(system.retransmits, other.retransmits);
    let worse = system.steal_percent.zip(other.steal_percent);
    system.steal_percent = worse.map(|(a, b)| a.max(b));
}

/// A figure of a duel: its name, how people say it, and where it stands.
type Figure = (&'static str, &'static str, fn(&Measure) -> Option<f64>);

const FIGURES: [Figure; 5] = [
    ("rate", "messages a second", |measure| measure.rate),
    ("p50", "median latency", |m| m.latency.p50.map(float)),
    ("p99", "p99", |m| m.latency.p99.map(float)),
    ("p99.9", "p99.9", |m| m.latency.p99_9.map(float)),
    ("cpu_per_message", "CPU time a message", |measure| {
        measure.cpu_per_message_ns
    }),
];

/// B against A, for every figure that there is.
fn metrics(rounds: &[Round], names: [&str; 2]) -> Vec<Metric> {
    let metric = |(name, what, read): Figure| {
        let ratio = |round: &Round| {
            let (a, b) = read(&round.a).zip(read(&round.b))?;
            (a > 0.0).then(|| b / a)
        };
        let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
        let interval = median_interval(&ratios);
        let clear = interval.filter(|interval| interval.excludes(1.0));
        (!ratios.is_empty()).then(|| Metric {
            name: name.to_owned(),
            ratio: interval,
            words: clear.map(|interval| words(names, interval.median, what)),
            ratios,
        })
    };
    FIGURES.into_iter().filter_map(metric).collect()
}

fn words([a, b]: [&str; 2], ratio: f64, what: &str) -> String {
    let percent = 100.0 * (ratio - 1.0).abs();
    match ratio > 1.0 {
        true => format!("{b} has {percent:.1} % more {what} than {a}"),
        false => format!("{b} has {percent:.1} % less {what} than {a}"),
    }
}

#[cfg(test)]
mod tests {
    use super::metrics;
    use crate::outcome::{Measure, Percentiles, Round};

    fn round(a: (f64, u64), b: (f64, u64)) -> Round {
        let measure = |(rate, p50): (f64, u64)| Measure {
            rate: Some(rate),
            latency: Percentiles {
                p50: Some(p50),
                ..Percentiles::default()
            },
            ..Measure::default()
        };
        Round {
            order: "ABBA".to_owned(),
            a: measure(a),
            b: measure(b),
        }
    }

    #[test]
    fn a_clear_difference_gets_words_and_an_unclear_one_none() {
        let rounds: Vec<Round> = (0..8)
            .map(|n| round((100.0, 1000), (112.0, [990, 1010][n % 2])))
            .collect();
        let metrics = metrics(&rounds, ["old", "new"]);
        let names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
        assert_eq!(names, ["rate", "p50"]);
        let words = "new has 12.0 % more messages a second than old";
        assert_eq!(metrics[0].words.as_deref(), Some(words));
        assert_eq!(metrics[0].ratio.unwrap().median, 1.12);
        assert_eq!(metrics[1].words, None);
    }

    #[test]
    fn five_rounds_are_too_few_for_words() {
        let rounds = vec![round((100.0, 10), (300.0, 10)); 5];
        let metrics = metrics(&rounds, ["A", "B"]);
        assert_eq!(metrics[0].ratios, [3.0; 5]);
        assert_eq!((&metrics[0].ratio, &metrics[0].words), (&None, &None));
    }
}
