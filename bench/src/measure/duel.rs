//! A duel of two targets in one run. Slices alternate (A B B A, then B A A B), so drift affects
//! both targets equally. The result is the median of the ratios in each round, with an interval.
//! Each slice is a load.

use std::time::Duration;

use super::assemble::{self, Invocation, nanos};
use super::engine::{Costs, Engine, Results, RunError};
use crate::args::DuelArguments;
use crate::outcome::{self, Duel, Measure, Metric, Outcome, Percentiles, Reason, Round, Verdict};
use crate::plan::build::Plan;
use crate::stats::{float, median_interval};

/// The target of each slice in a round.
const ORDERS: [(&str, [usize; 4]); 2] = [("ABBA", [0, 1, 1, 0]), ("BAAB", [1, 0, 0, 1])];

/// The sum of one target's slices.
#[derive(Debug, Default)]
struct Slices {
    results: Option<Results>,
    cpu_ns: u64,
    /// Whether the CPU time of every slice is known.
    cpu_known: bool,
}

/// Runs the duel. Returns the document of A, with the rounds of both.
pub(crate) fn run(
    engine: &mut Engine,
    invocation: &Invocation,
    plans: &[Plan; 2],
    arguments: &DuelArguments,
) -> Result<Outcome, RunError> {
    let mut all = [Slices::default(), Slices::default()];
    let mut rounds = Vec::new();
    for number in 0..arguments.rounds {
        let (order, slices) = ORDERS[number as usize % 2];
        let mut sides = [Slices::default(), Slices::default()];
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
    sides: [Slices; 2],
) -> Outcome {
    let outcomes: Vec<Outcome> = sides
        .iter()
        .zip(plans)
        .filter_map(|(side, plan)| {
            let results = side.results.as_ref()?;
            let mut outcome = assemble::outcome(invocation, plan, results);
            if let Some(server) = &mut outcome.server {
                // Only the CPU time of this target's measured slices.
                server.cpu_ns = side.cpu_known.then_some(side.cpu_ns);
                server.cpu_per_message_ns = side.measure(plan).cpu_per_message_ns;
                let bytes = outcome.totals.sent_bytes + outcome.totals.received_bytes;
                let cpu = server.cpu_ns.filter(|_| bytes > 0);
                server.cpu_per_gigabyte_ns = cpu.map(|cpu| 1e9 * float(cpu) / float(bytes));
            }
            Some(outcome)
        })
        .collect();
    let mut errors = crate::load::recorder::ErrorCounts::default();
    for results in sides.into_iter().filter_map(|side| side.results) {
        errors.extend(results.recorder.errors);
    }
    let mut outcome = outcomes[0].clone();
    if let Some(b) = outcomes.get(1) {
        outcome.totals.add(&b.totals);
        outcome.interrupted |= b.interrupted;
        outcome.verdict = both_verdicts(&outcome, b);
    }
    outcome.totals.connecting_ns = None;
    outcome.errors = errors.summary();
    let sides: Option<[outcome::TargetResults; 2]> = match &outcomes[..] {
        [a, b] => Some([a, b].map(side)),
        _ => None,
    };
    let targets = plans.each_ref().map(|plan| plan.target.clone());
    let names = targets
        .each_ref()
        .map(|target| target.name.as_deref().unwrap_or("?"));
    outcome.duel = Some(Duel {
        metrics: metrics(&rounds, names),
        targets: targets.clone(),
        sides: sides.map(Box::new),
        slice_ns: nanos(slice),
        rounds,
    });
    outcome
}

impl Slices {
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
        let recorder = &results.recorder;
        let times = match plan.load.pace {
            Some(_) => &recorder.intended,
            None => &recorder.service,
        };
        let seconds = results.elapsed.as_secs_f64();
        let messages = float(recorder.messages);
        let cpu = (self.cpu_known && recorder.messages > 0).then(|| float(self.cpu_ns) / messages);
        let end = results.costs.and_then(|costs| costs.end);
        Measure {
            rate: (seconds > 0.0).then(|| messages / seconds),
            latency: Percentiles::new(times),
            cpu_per_message_ns: cpu,
            rss_bytes: end.map(|cost| cost.rss_bytes),
            errors: recorder.errors.total(),
        }
    }
}

fn measured_cpu(costs: &Costs) -> Option<u64> {
    let (start, end) = costs.start.zip(costs.end)?;
    Some(nanos(end.cpu.saturating_sub(start.cpu)))
}

/// Adds a further slice of the same target.
fn add(sum: &mut Results, more: Results) {
    sum.recorder.add(more.recorder);
    sum.elapsed += more.elapsed;
    sum.interrupted |= more.interrupted;
    sum.back_ends.extend(more.back_ends);
    // The slices of a target are not contiguous, so there is no series.
    sum.series.clear();
    sum.usage.extend(more.usage);
    if let (Some(costs), Some(more)) = (&mut sum.costs, more.costs) {
        // Between its slices, the server does no work for this target.
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

/// Notes on both targets appear once, notes on one target with its name.
fn both_verdicts(a: &Outcome, b: &Outcome) -> Verdict {
    let named = |outcome: &Outcome, words: &str| {
        let name = outcome.target.name.as_deref().unwrap_or("?");
        format!("{name}: {words}")
    };
    let mut both = Verdict {
        valid: a.verdict.valid && b.verdict.valid,
        ..Verdict::default()
    };
    for (outcome, other) in [(a, b), (b, a)] {
        for note in &outcome.verdict.notes {
            match other.verdict.notes.contains(note) {
                true if both.notes.contains(note) => {}
                true => both.notes.push(note.clone()),
                false => both.notes.push(named(outcome, note)),
            }
        }
        let reasons = outcome.verdict.reasons.iter().cloned();
        both.reasons.extend(reasons.map(|reason| Reason {
            message: named(outcome, &reason.message),
            ..reason
        }));
    }
    both
}

/// One target's part of the document.
fn side(outcome: &Outcome) -> outcome::TargetResults {
    outcome::TargetResults {
        totals: outcome.totals.clone(),
        latency: outcome.latency.clone(),
        lateness: outcome.lateness.clone(),
        server: outcome.server.clone(),
        generator: outcome.generator.clone(),
    }
}

/// A figure of the comparison.
struct Figure {
    name: &'static str,
    /// The noun for the sentence about the result.
    what: &'static str,
    more_is_better: bool,
    read: fn(&Measure) -> Option<f64>,
}

const FIGURES: [Figure; 5] = [
    Figure {
        name: "rate",
        what: "messages a second",
        more_is_better: true,
        read: |measure| measure.rate,
    },
    Figure {
        name: "p50",
        what: "median latency",
        more_is_better: false,
        read: |measure| measure.latency.p50.map(float),
    },
    Figure {
        name: "p99",
        what: "p99",
        more_is_better: false,
        read: |measure| measure.latency.p99.map(float),
    },
    Figure {
        name: "p99.9",
        what: "p99.9",
        more_is_better: false,
        read: |measure| measure.latency.p99_9.map(float),
    },
    Figure {
        name: "cpu_per_message",
        what: "CPU time a message",
        more_is_better: false,
        read: |measure| measure.cpu_per_message_ns,
    },
];

/// The ratios of A and B, for each measured figure.
fn metrics(rounds: &[Round], names: [&str; 2]) -> Vec<Metric> {
    let metric = |figure: Figure| {
        let ratio = |round: &Round| {
            let (a, b) = (figure.read)(&round.a).zip((figure.read)(&round.b))?;
            (b > 0.0).then(|| a / b)
        };
        let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
        let interval = median_interval(&ratios);
        let clear = interval.filter(|interval| interval.excludes(1.0));
        let better = clear.map(|interval| {
            let [a, b] = names;
            match (interval.median > 1.0) == figure.more_is_better {
                true => [a, b],
                false => [b, a],
            }
        });
        (!ratios.is_empty()).then(|| Metric {
            name: figure.name.to_owned(),
            ratio: interval,
            more_is_better: figure.more_is_better,
            better: better.map(|[better, _]| better.to_owned()),
            words: clear
                .zip(better)
                .map(|(interval, who)| words(&figure, names[0], who, interval.median)),
            ratios,
        })
    };
    FIGURES.into_iter().filter_map(metric).collect()
}

/// `new is better: it has 12.0 % more messages a second than old`. `ratio` is A divided by B.
fn words(figure: &Figure, a: &str, [better, worse]: [&str; 2], ratio: f64) -> String {
    let ratio = match better == a {
        true => ratio,
        false => 1.0 / ratio,
    };
    let percent = 100.0 * (ratio - 1.0).abs();
    let amount = if ratio > 1.0 { "more" } else { "less" };
    let what = figure.what;
    format!("{better} is better: it has {percent:.1} % {amount} {what} than {worse}")
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
    fn only_a_clear_difference_gets_a_conclusion() {
        let rounds: Vec<Round> = (0..8)
            .map(|n| round((100.0, 1000), (112.0, [990, 1010][n % 2])))
            .collect();
        let metrics = metrics(&rounds, ["old", "new"]);
        let names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
        assert_eq!(names, ["rate", "p50"]);
        let words = "new is better: it has 12.0 % more messages a second than old";
        assert_eq!(metrics[0].words.as_deref(), Some(words));
        assert_eq!(metrics[0].better.as_deref(), Some("new"));
        assert!(metrics[0].more_is_better && !metrics[1].more_is_better);
        assert_eq!(metrics[0].ratio.unwrap().median, 100.0 / 112.0);
        assert_eq!((&metrics[1].words, &metrics[1].better), (&None, &None));
    }

    #[test]
    fn less_latency_is_better() {
        for (a, b, words) in [
            (
                1000,
                800,
                "new is better: it has 20.0 % less median latency than old",
            ),
            (
                800,
                1000,
                "old is better: it has 20.0 % less median latency than new",
            ),
        ] {
            let rounds = vec![round((1.0, a), (1.0, b)); 6];
            let metrics = metrics(&rounds, ["old", "new"]);
            assert_eq!(metrics[1].words.as_deref(), Some(words));
        }
    }

    #[test]
    fn five_rounds_are_too_few_for_a_conclusion() {
        let rounds = vec![round((300.0, 10), (100.0, 10)); 5];
        let metrics = metrics(&rounds, ["A", "B"]);
        assert_eq!(metrics[0].ratios, [3.0; 5]);
        assert_eq!((&metrics[0].ratio, &metrics[0].words), (&None, &None));
    }
}
