//! The search for the highest rate that keeps an objective: doubling until it breaks, then halving
//! the gap. Each step is a load of its own.

use crate::assemble::{self, Invocation};
use crate::condition::Condition;
use crate::outcome::{Outcome, Percentiles, Step, Sweep, Totals};
use crate::plan::Plan;
use crate::run::{Engine, RunError};
use crate::stats::float;
use crate::tally::Faults;

/// The knee is known well enough when the rates around it differ by less than this share.
const GAP: f64 = 0.05;
/// When less than this share of what was due came back, the rate was not served.
const SERVED_MIN: f64 = 0.95;
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
    let mut steps: Vec<Step> = Vec::new();
    let mut totals = Totals::default();
    let mut faults = Faults::default();
    let mut best: Option<Outcome> = None;
    let ended = loop {
        if let Some(pace) = &mut plan.load.pace {
            pace.rate = search.rate;
        }
        let part = format!("step {}, {:.0}/s", steps.len() + 1, search.rate);
        let results = engine.run(&plan, Some(part))?;
        let outcome = assemble::outcome(invocation, &plan, &results);
        add(&mut totals, &outcome.totals);
        faults.extend(results.tally.faults);
        let unclear = outcome.errors.total == 0
            && (slo.measure(&outcome).is_none() || !outcome.verdict.valid);
        let step = step(&outcome, slo, search.rate);
        let kept = step.kept;
        steps.push(step);
        if kept || search.kept.is_none() {
            best = Some(outcome);
        }
        if engine.is_interrupted() {
            break "interrupted";
        }
        match search.next(kept) {
            Some(next) if steps.len() < STEPS_MAX => search = next,
            Some(_) => break "too many steps",
            None if search.kept.is_none() && unclear => break "the first step could not tell",
            None if search.kept.is_none() && !kept => break "the first rate broke it",
            None if kept && search.broken.is_none() => break "the highest rate allowed kept it",
            None => break ended(&steps),
        }
    };
    let mut outcome = best.expect("there was a step");
    let kept = |kept: bool| steps.iter().filter(move |step| step.kept == kept);
    let rates = |kept_ones: bool| kept(kept_ones).map(|step| step.rate);
    outcome.sweep = Some(Sweep {
        slo: slo.text.clone(),
        knee: rates(true).reduce(f64::max),
        broken_at: rates(false).reduce(f64::min),
        ended: ended.to_owned(),
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

/// What stands above the knee.
fn ended(steps: &[Step]) -> &'static str {
    let broken = steps.iter().filter(|step| !step.kept);
    match broken.min_by(|a, b| a.rate.total_cmp(&b.rate)) {
        Some(step) if !step.valid => "above it this client is too slow to tell",
        _ => "the next rate above breaks it",
    }
}

fn step(outcome: &Outcome, slo: &Condition, rate: f64) -> Step {
    let totals = &outcome.totals;
    let why = match slo.measure(outcome) {
        _ if outcome.errors.total > 0 => Some(format!("{} errors", outcome.errors.total)),
        None => Some("too few messages to say".to_owned()),
        _ if !outcome.verdict.valid => Some("INVALID: the client was too slow".to_owned()),
        Some(measured) if !slo.holds(measured) => Some("broken".to_owned()),
        Some(_) if float(totals.messages) < SERVED_MIN * float(totals.due.unwrap_or(0)) => {
            Some("not served".to_owned())
        }
        Some(_) => None,
    };
    let percentiles = |times: Option<&crate::outcome::Distribution>| {
        times.map_or_else(Percentiles::default, |times| times.percentiles.clone())
    };
    Step {
        rate,
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

/// Adds what can be added; rates cannot.
pub(crate) fn add(sum: &mut Totals, more: &Totals) {
    sum.elapsed_ns += more.elapsed_ns;
    sum.connections_opened += more.connections_opened;
    sum.connections_failed += more.connections_failed;
    sum.messages += more.messages;
    sum.sent_bytes += more.sent_bytes;
    sum.received_bytes += more.received_bytes;
    let add = |sum: Option<u64>, more: Option<u64>| more.map(|more| sum.unwrap_or(0) + more);
    sum.due = add(sum.due, more.due);
    sum.unsent = add(sum.unsent, more.unsent);
    let seconds = float(sum.elapsed_ns) / 1e9;
    let rate = |amount: u64| (seconds > 0.0).then(|| float(amount) / seconds);
    sum.messages_per_second = rate(sum.messages);
    sum.sent_bytes_per_second = rate(sum.sent_bytes);
    sum.received_bytes_per_second = rate(sum.received_bytes);
}

#[cfg(test)]
mod tests {
    use super::{STEPS_MAX, Search};

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
