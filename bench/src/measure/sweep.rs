//! The search for the highest rate that keeps an objective: doubling until it breaks, then halving
//! the gap. Each step is a load of its own.

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

/// The knee is known well enough when the rates around it differ by less than this share.
const GAP: f64 = 0.05;
/// How often a step is made before its objective counts as broken: on a machine that does other
/// things too, one bad second is no answer.
const TRIES_MAX: u32 = 2;
/// How often one is made that cannot tell, the client having been too slow.
const UNCLEAR_TRIES_MAX: u32 = 3;
/// How much longer a step is than its messages take on average: arrivals may be random.
const LONGER: f64 = 1.1;
/// A step is not made longer than this on account of its messages.
const LENGTH_MAX: Duration = Duration::from_secs(30);
/// Steps at most: doubling from 1/s to 1e9/s, and halving to [`GAP`].
const STEPS_MAX: usize = 40;

/// Where the search is. Pure.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Search {
    rate: f64,
    to: f64,
    kept: Option<f64>,
    broken: Option<f64>,
}

impl Search {
    /// Takes the answer for the present rate, and goes to the next; `None`: it is over.
    fn next(self, kept: bool) -> Option<Self> {
        let mut next = self;
        match kept {
            true => next.kept = Some(self.rate),
            false => next.broken = Some(self.rate),
        }
        next.rate = match (next.kept, next.broken) {
            // Not even the first.
            (None, _) => return None,
            (Some(kept), None) if kept >= self.to => return None,
            (Some(kept), None) => (2.0 * kept).min(self.to),
            (Some(kept), Some(broken)) if broken <= kept * (1.0 + GAP) => return None,
            (Some(kept), Some(broken)) => f64::midpoint(kept, broken),
        };
        Some(next)
    }
}

/// Sweeps, and gives the document of the best step, or of the last if none was good, with the
/// curve and the totals of all.
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
                    Some(why) => format!("the first step could not tell: {why}"),
                    None => "the first rate broke it".to_owned(),
                };
            }
            None if kept && search.broken.is_none() => {
                break "the highest rate allowed kept it".to_owned();
            }
            None => break ended(&steps).to_owned(),
        }
    };
    let All { mut totals, faults } = all;
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
    // Of one step there is a time, of all there is none.
    totals.connecting_ns = None;
    totals.messages_per_second = outcome.totals.messages_per_second;
    totals.sent_bytes_per_second = outcome.totals.sent_bytes_per_second;
    totals.received_bytes_per_second = outcome.totals.received_bytes_per_second;
    outcome.totals = totals;
    outcome.errors = faults.told();
    Ok(outcome)
}

/// How long a step is: long enough for the percentile that is asked for, if that can be.
fn length(slo: &Condition, rate: f64, least: Duration) -> Duration {
    let seconds = LONGER * slo.messages_min() / rate;
    match Duration::try_from_secs_f64(seconds) {
        Ok(needed) if needed <= LENGTH_MAX => needed.max(least),
        _ => least,
    }
}

/// What is of all steps, all of their tries included.
#[derive(Default)]
struct All {
    totals: Totals,
    faults: ErrorCounts,
}

impl All {
    /// Makes a step, again if it does not keep the objective: the last try is what is told.
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
            self.faults.extend(results.tally.faults);
            let step = step(&outcome, slo, tries);
            if !is_tried_again(&outcome, slo, &step) || engine.is_interrupted() {
                return Ok((outcome, step));
            }
            tries += 1;
        }
    }
}

/// Whether a step is worth another try. Errors are the target's; and a step of too few messages
/// has no more of them the next time.
fn is_tried_again(outcome: &Outcome, slo: &Condition, step: &Step) -> bool {
    let most = match is_unclear(outcome, slo) {
        true => UNCLEAR_TRIES_MAX,
        false => TRIES_MAX,
    };
    let pointless = outcome.errors.total > 0 || slo.measure(outcome).is_none();
    !step.kept && !pointless && step.tries < most
}

/// Whether a step that did not keep the objective says nothing of the target.
fn is_unclear(outcome: &Outcome, slo: &Condition) -> bool {
    let unclear = slo.measure(outcome).is_none() || !outcome.verdict.valid;
    outcome.errors.total == 0 && unclear
}

/// What stands above the knee.
fn ended(steps: &[Step]) -> &'static str {
    let broken = steps.iter().filter(|step| !step.kept);
    match broken.min_by(|a, b| a.rate.total_cmp(&b.rate)) {
        Some(step) if !step.valid => "above it this client is too slow to tell",
        _ => "the next rate above breaks it",
    }
}

fn step(outcome: &Outcome, slo: &Condition, tries: u32) -> Step {
    let totals = &outcome.totals;
    let why = match slo.measure(outcome) {
        _ if outcome.errors.total > 0 => Some(format!("{} errors", outcome.errors.total)),
        None => Some("too few messages to say; a longer --step has more".to_owned()),
        _ if !outcome.verdict.valid => Some(format!("INVALID: {}", doubts(outcome))),
        Some(measured) if !slo.holds(measured) => Some("broken".to_owned()),
        Some(_) if !is_served(totals) => Some("not served".to_owned()),
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

/// The reasons against a step in few words; each in full is in the verdict.
fn doubts(outcome: &Outcome) -> String {
    let words = |doubt: Doubt| match doubt {
        Doubt::SendLateness => "the client sent late",
        Doubt::GeneratorSaturated => "the client was saturated",
        Doubt::GeneratorStarved => "the client waited for a CPU",
        Doubt::NothingMeasured => "nothing came back",
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

    /// How often a step is made that always ends in this way.
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
        // Not for minutes.
        assert_eq!(length("p99.99<1ms", 1000.0), step);
        assert_eq!(length("max<1ms", 1.0), step);
    }

    #[test]
    fn a_step_is_tried_again_as_long_as_that_may_tell_more() {
        let mut outcome = sample::outcome();
        outcome.verdict.valid = true;
        assert_eq!(tries(&outcome, "p99<1h"), 1);
        assert_eq!(tries(&outcome, "p99<1ns"), 2);
        // Of a thousand messages one is above the 99.9th percentile.
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

    /// The rates that are tried when all up to `knee` are kept.
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
    fn ends_at_once_when_the_first_breaks_and_at_the_highest_when_none_does() {
        assert_eq!(rates(1000.0, 1e6, 10.0), [1000.0]);
        assert_eq!(rates(1000.0, 3000.0, 1e9), [1000.0, 2000.0, 3000.0]);
        assert_eq!(rates(1000.0, 1000.0, 1e9), [1000.0]);
    }

    #[test]
    fn never_takes_more_steps_than_are_allowed() {
        for knee in [1.0, 1.5, 999.0, 123_456.0, 1e9, 2e9] {
            assert!(rates(1.0, 1e9, knee).len() < STEPS_MAX, "{knee}");
        }
    }
}
