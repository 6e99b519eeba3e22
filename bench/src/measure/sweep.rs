//! The search for the highest rate that meets an objective: doubling until a step fails, then
//! bisection. Each step is a load.

use std::time::Duration;

use super::assemble::{self, Invocation};
use super::engine::{Engine, RunError};
use super::verdict::is_served;
use crate::args::condition::Condition;
use crate::load::recorder::ErrorCounts;
use crate::load::work::Length;
use crate::outcome::{Doubt, Outcome, Percentiles, Step, Sweep, Totals};
use crate::plan::build::Plan;
use crate::text::figures;

/// Bisection ends when the rates around the knee differ by less than this share.
const GAP: f64 = 0.05;
/// Attempts of a failing step: on a busy machine one bad second proves nothing.
const TRIES_MAX: u32 = 2;
/// Attempts of a step without a result because the client was too slow.
const UNCLEAR_TRIES_MAX: u32 = 3;
/// Extra length of a step, since random arrivals may be slower than the mean.
const LONGER: f64 = 1.1;
/// The longest step that the number of messages can ask for.
const LENGTH_MAX: Duration = Duration::from_secs(30);
/// The most steps: doubling from 1/s to 1e9/s, then bisection to [`GAP`].
const STEPS_MAX: usize = 40;

/// The state of the search. Pure.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Search {
    rate: f64,
    to: f64,
    kept: Option<f64>,
    broken: Option<f64>,
}

impl Search {
    /// Records the result of the current rate and returns the next; `None` at the end.
    fn next(self, kept: bool) -> Option<Self> {
        let mut next = self;
        match kept {
            true => next.kept = Some(self.rate),
            false => next.broken = Some(self.rate),
        }
        next.rate = match (next.kept, next.broken) {
            // The first rate failed.
            (None, _) => return None,
            (Some(kept), None) if kept >= self.to => return None,
            (Some(kept), None) => (2.0 * kept).min(self.to),
            (Some(kept), Some(broken)) if broken <= kept * (1.0 + GAP) => return None,
            (Some(kept), Some(broken)) => f64::midpoint(kept, broken),
        };
        Some(next)
    }
}

/// Runs the sweep. Returns the document of the best step, or of the last if every step failed, with
/// the curve and the totals of all steps.
pub(crate) fn run(
    engine: &mut Engine,
    invocation: &Invocation,
    mut plan: Plan,
    slo: &Condition,
    to: f64,
) -> Result<Outcome, RunError> {
    let from = plan.load.pace.map_or(to, |pace| pace.rate);
    let mut search = Search {
        rate: from,
        to,
        kept: None,
        broken: None,
    };
    let Length::For(least) = plan.load.length else {
        unreachable!("a sweep's steps are as long as the arguments say");
    };
    let mut steps: Vec<Step> = Vec::new();
    let mut all = All::default();
    let mut best: Option<Outcome> = None;
    let ended = loop {
        if let Some(pace) = &mut plan.load.pace {
            pace.rate = search.rate;
        }
        plan.load.length = Length::For(length(slo, search.rate, least));
        let name = format!("step {}, {}", steps.len() + 1, figures::rate(search.rate));
        let (outcome, step) = all.try_step(engine, invocation, &plan, slo, &name)?;
        let kept = step.kept;
        let unclear = (!kept && is_unclear(&outcome, slo)).then(|| step.why.clone());
        steps.push(step);
        if kept || search.kept.is_none() {
            best = Some(outcome);
        }
        if engine.is_interrupted() {
            break "interrupted".to_owned();
        }
        match search.next(kept) {
            Some(next) if steps.len() < STEPS_MAX => search = next,
            Some(_) => break "too many steps".to_owned(),
            None if search.kept.is_none() && !kept => {
                break match unclear.flatten() {
                    Some(why) => format!("the first step was inconclusive: {why}"),
                    None => "the first rate failed".to_owned(),
                };
            }
            None if kept && search.broken.is_none() => {
                break "the highest rate met the objective".to_owned();
            }
            None => break ended(&steps).to_owned(),
        }
    };
    let All { mut totals, errors } = all;
    let mut outcome = best.expect("there was a step");
    let kept = |kept: bool| steps.iter().filter(move |step| step.kept == kept);
    let rates = |kept_ones: bool| kept(kept_ones).map(|step| step.rate);
    outcome.sweep = Some(Sweep {
        slo: slo.text.clone(),
        knee: rates(true).reduce(f64::max),
        broken_at: rates(false).reduce(f64::min),
        ended,
        steps: steps.clone(),
    });
    // A time of one step, without a meaning for the sum.
    totals.connecting_ns = None;
    totals.messages_per_second = outcome.totals.messages_per_second;
    totals.sent_bytes_per_second = outcome.totals.sent_bytes_per_second;
    totals.received_bytes_per_second = outcome.totals.received_bytes_per_second;
    outcome.totals = totals;
    outcome.errors = errors.summary();
    Ok(outcome)
}

/// The length of a step: enough messages for the percentile, up to [`LENGTH_MAX`].
fn length(slo: &Condition, rate: f64, least: Duration) -> Duration {
    let seconds = LONGER * slo.messages_min() / rate;
    match Duration::try_from_secs_f64(seconds) {
        Ok(needed) if needed <= LENGTH_MAX => needed.max(least),
        _ => least,
    }
}

/// The sums over all attempts of all steps.
#[derive(Default)]
struct All {
    totals: Totals,
    errors: ErrorCounts,
}

impl All {
    /// Runs a step, with further attempts if it fails. Returns the last attempt.
    fn try_step(
        &mut self,
        engine: &mut Engine,
        invocation: &Invocation,
        plan: &Plan,
        slo: &Condition,
        name: &str,
    ) -> Result<(Outcome, Step), RunError> {
        let mut tries = 1;
        loop {
            let part = match tries {
                1 => name.to_owned(),
                again => format!("{name}, try {again}"),
            };
            let results = engine.run(plan, Some(part))?;
            let outcome = assemble::outcome(invocation, plan, &results);
            self.totals.add(&outcome.totals);
            self.errors.extend(results.recorder.errors);
            let step = step(&outcome, slo, tries);
            if !is_tried_again(&outcome, slo, &step) || engine.is_interrupted() {
                return Ok((outcome, step));
            }
            tries += 1;
        }
    }
}

/// Whether a further attempt may help. Not after errors of the target, and not after too few
/// messages.
fn is_tried_again(outcome: &Outcome, slo: &Condition, step: &Step) -> bool {
    let most = match is_unclear(outcome, slo) {
        true => UNCLEAR_TRIES_MAX,
        false => TRIES_MAX,
    };
    let pointless = outcome.errors.total > 0 || slo.measure(outcome).is_none();
    !step.kept && !pointless && step.tries < most
}

/// Whether a failed step proves nothing about the target.
fn is_unclear(outcome: &Outcome, slo: &Condition) -> bool {
    let unclear = slo.measure(outcome).is_none() || !outcome.verdict.valid;
    outcome.errors.total == 0 && unclear
}

/// Why the search ended above the knee.
fn ended(steps: &[Step]) -> &'static str {
    let broken = steps.iter().filter(|step| !step.kept);
    match broken.min_by(|a, b| a.rate.total_cmp(&b.rate)) {
        Some(step) if !step.valid => "above this rate the client is too slow for a result",
        _ => "the next higher rate failed",
    }
}

fn step(outcome: &Outcome, slo: &Condition, tries: u32) -> Step {
    let totals = &outcome.totals;
    let why = match slo.measure(outcome) {
        _ if outcome.errors.total > 0 => Some(format!("{} errors", outcome.errors.total)),
        None => Some("too few messages; use a longer --step".to_owned()),
        _ if !outcome.verdict.valid => Some(format!("INVALID: {}", doubts(outcome))),
        Some(measured) if !slo.holds(measured) => Some("objective failed".to_owned()),
        Some(_) if !is_served(totals) => Some("rate not served".to_owned()),
        Some(_) => None,
    };
    let percentiles = |times: Option<&crate::outcome::Distribution>| {
        times.map_or_else(Percentiles::default, |times| times.percentiles.clone())
    };
    Step {
        rate: outcome.shape.rate.unwrap_or_default(),
        tries,
        achieved: totals.messages_per_second,
        latency: percentiles(outcome.latency.first()),
        service: percentiles(outcome.latency.service.as_ref()),
        kept: why.is_none(),
        why,
        valid: outcome.verdict.valid,
        errors: outcome.errors.total,
        generator_cores: outcome.generator.busiest_lane_cores,
        server_cpu_per_message_ns: outcome
            .server
            .as_ref()
            .and_then(|server| server.cpu_per_message_ns),
    }
}

/// Short names of the reasons against a step. The verdict has the sentences.
fn doubts(outcome: &Outcome) -> String {
    let words = |doubt: Doubt| match doubt {
        Doubt::SendLateness => "the client sent late",
        Doubt::GeneratorSaturated => "the client was saturated",
        Doubt::GeneratorStarved => "the client waited for a CPU",
        Doubt::NothingMeasured => "no traffic",
    };
    let reasons = outcome.verdict.reasons.iter();
    let words: Vec<&str> = reasons.map(|reason| words(reason.doubt)).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{STEPS_MAX, Search, is_tried_again, length, step};
    use crate::args::condition::Condition;
    use crate::outcome::{Doubt, Outcome, Reason, sample};

    /// The number of attempts if every attempt has this outcome.
    fn tries(outcome: &Outcome, slo: &str) -> u32 {
        let slo = Condition::parse(slo).unwrap();
        let mut tries = 1;
        while is_tried_again(outcome, &slo, &step(outcome, &slo, tries)) {
            tries += 1;
        }
        tries
    }

    #[test]
    fn a_step_is_as_long_as_its_percentile_needs() {
        let step = Duration::from_secs(3);
        let length = |slo: &str, rate| length(&Condition::parse(slo).unwrap(), rate, step);
        assert_eq!(length("p99<1ms", 1000.0), step);
        assert_eq!(length("p99.9<1ms", 1000.0).as_secs(), 11);
        assert_eq!(length("p99.9<1ms", 10_000.0), step);
        // Not longer than [`LENGTH_MAX`].
        assert_eq!(length("p99.99<1ms", 1000.0), step);
        assert_eq!(length("max<1ms", 1.0), step);
    }

    #[test]
    fn a_step_is_repeated_only_if_that_may_help() {
        let mut outcome = sample::outcome();
        outcome.verdict.valid = true;
        assert_eq!(tries(&outcome, "p99<1h"), 1);
        assert_eq!(tries(&outcome, "p99<1ns"), 2);
        // Of a thousand messages only one lies above p99.9.
        assert_eq!(tries(&outcome, "p99.9<1ns"), 1);
        outcome.verdict.valid = false;
        outcome.verdict.reasons = vec![Reason {
            doubt: Doubt::GeneratorStarved,
            message: String::new(),
        }];
        let slo = Condition::parse("p99<1ns").unwrap();
        assert_eq!(tries(&outcome, "p99<1ns"), 3);
        let why = step(&outcome, &slo, 3).why.unwrap();
        assert_eq!(why, "INVALID: the client waited for a CPU");
        outcome.errors.total = 1;
        assert_eq!(tries(&outcome, "p99<1ns"), 1);
    }

    /// The rates of a search whose steps succeed up to `knee`.
    fn rates(from: f64, to: f64, knee: f64) -> Vec<f64> {
        let mut search = Some(Search {
            rate: from,
            to,
            kept: None,
            broken: None,
        });
        let mut tried = Vec::new();
        while let Some(at) = search {
            tried.push(at.rate);
            search = at.next(at.rate <= knee);
        }
        tried
    }

    #[test]
    fn doubles_then_halves_the_gap() {
        let tried = rates(1000.0, 1e6, 5100.0);
        let expected = [
            1000.0, 2000.0, 4000.0, 8000.0, 6000.0, 5000.0, 5500.0, 5250.0,
        ];
        assert_eq!(tried, expected);
    }

    #[test]
    fn ends_after_a_failed_first_rate_and_at_the_highest_rate() {
        assert_eq!(rates(1000.0, 1e6, 10.0), [1000.0]);
        assert_eq!(rates(1000.0, 3000.0, 1e9), [1000.0, 2000.0, 3000.0]);
        assert_eq!(rates(1000.0, 1000.0, 1e9), [1000.0]);
    }

    #[test]
    fn the_number_of_steps_is_limited() {
        for knee in [1.0, 1.5, 999.0, 123_456.0, 1e9, 2e9] {
            assert!(rates(1.0, 1e9, knee).len() < STEPS_MAX, "{knee}");
        }
    }
}
