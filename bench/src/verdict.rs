//! The client's verdict on itself: whether it measured the server, or its own slowness. Pure.

use crate::outcome::{Doubt, Loop, Outcome, Percentiles, Reason, Verdict};
use crate::stats::float;

/// A message may leave so late, as a share of the median latency, that the latency is still the
/// server's: what the client adds then stays in the noise.
const LATENESS_MAX: f64 = 0.1;
/// Above this share of a core a lane has no time left to be on time.
const CORES_MAX: f64 = 0.85;
/// When less than this share of what was due came back, it is told beside the result.
const RATE_MIN: f64 = 0.99;
/// Percent of the machine's CPU time; from here on the hypervisor's other guests show in a tail.
const STEAL_MAX: f64 = 1.0;

/// The verdict on all that is in the document so far.
pub(crate) fn of(outcome: &Outcome) -> Verdict {
    let reasons: Vec<Reason> = [late(outcome), saturated(outcome), nothing(outcome)]
        .into_iter()
        .flatten()
        .collect();
    Verdict {
        valid: reasons.is_empty(),
        reasons,
        notes: notes(outcome),
    }
}

fn late(outcome: &Outcome) -> Option<Reason> {
    let Percentiles { p50, p90, p99, .. } = outcome.lateness.as_ref()?.percentiles;
    // The highest that a small sample supports.
    let lateness = p99.or(p90).or(p50)?;
    let median = outcome.latency.first()?.percentiles.p50?;
    (float(lateness) > LATENESS_MAX * float(median)).then(|| Reason {
        doubt: Doubt::SendLateness,
        message: format!(
            "messages left late: by up to {} (99th percentile), more than a tenth of the median \
             latency ({}); give the client a core of its own, more --lanes or a lower rate",
            micros(lateness),
            micros(median),
        ),
    })
}

fn saturated(outcome: &Outcome) -> Option<Reason> {
    let cores = outcome.generator.busiest_lane_cores?;
    (cores > CORES_MAX).then(|| Reason {
        doubt: Doubt::GeneratorSaturated,
        message: format!(
            "the client is saturated: its busiest lane used {:.0} % of a core; use more --lanes, \
             or a lower rate",
            100.0 * cores
        ),
    })
}

fn nothing(outcome: &Outcome) -> Option<Reason> {
    let totals = &outcome.totals;
    let nothing = totals.messages + totals.sent_bytes + totals.received_bytes == 0;
    (nothing && !outcome.interrupted).then(|| Reason {
        doubt: Doubt::NothingMeasured,
        message: "nothing came back within the measured time".to_owned(),
    })
}

fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    let totals = &outcome.totals;
    // Of random arrivals there may be fewer than on average: what was due counts.
    if let Some((asked, achieved)) = outcome.shape.rate.zip(totals.messages_per_second)
        && totals
            .due
            .is_some_and(|due| float(totals.messages) < RATE_MIN * float(due))
    {
        notes.push(format!(
            "the rate was not reached: {asked:.0}/s asked for, {achieved:.0}/s came back"
        ));
    }
    if let Some(unsent @ 1..) = totals.unsent {
        notes.push(format!(
            "{unsent} messages were due and never left, their connections still waiting for \
             answers: they are in no latency, which is therefore a lower bound"
        ));
    }
    let exchanges = outcome.latency.service.is_some() && outcome.verb != "idle";
    if outcome.shape.loop_ == Loop::Closed && exchanges {
        notes.push(
            "a closed loop: while the server stalls, the client sends nothing and measures \
             nothing; its latency is not what users who do not wait for each other see under load \
             (coordinated omission); for that, give a --rate"
                .to_owned(),
        );
    }
    let system = &outcome.system;
    if let Some(overflows @ 1..) = system.listen_overflows {
        notes.push(format!(
            "a listener's queue on this machine was full {overflows} times"
        ));
    }
    if let Some(steal) = system.steal_percent.filter(|steal| *steal > STEAL_MAX) {
        notes.push(format!(
            "the hypervisor kept {steal:.1} % of this machine's CPU time for others"
        ));
    }
    notes
}

/// Microseconds are what these are.
fn micros(nanos: u64) -> String {
    format!("{:.1} us", float(nanos) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::outcome::{Distribution, Doubt, Outcome};
    use crate::sample;
    use crate::tally;

    fn with_times(lateness_us: u64, latency_us: u64) -> Outcome {
        let times = |us: u64| {
            let mut times = tally::times();
            for _ in 0..1000 {
                times.record(us * 1000).unwrap();
            }
            Distribution::new(&times)
        };
        let mut outcome = sample::outcome();
        outcome.lateness = Some(times(lateness_us));
        outcome.latency.intended = Some(times(latency_us));
        outcome.generator.busiest_lane_cores = Some(0.5);
        outcome
    }

    fn doubts(outcome: &Outcome) -> Vec<Doubt> {
        let verdict = of(outcome);
        assert_eq!(verdict.valid, verdict.reasons.is_empty());
        verdict.reasons.iter().map(|reason| reason.doubt).collect()
    }

    #[test]
    fn lateness_is_held_against_the_median() {
        assert_eq!(doubts(&with_times(9, 100)), []);
        assert_eq!(doubts(&with_times(11, 100)), [Doubt::SendLateness]);
        let reason = &of(&with_times(11, 100)).reasons[0].message;
        assert!(
            reason.contains("by up to 11.0 us (99th percentile)"),
            "{reason}"
        );
    }

    #[test]
    fn a_busy_generator_is_doubted() {
        let mut outcome = with_times(1, 100);
        outcome.generator.busiest_lane_cores = Some(0.85);
        assert_eq!(doubts(&outcome), []);
        outcome.generator.busiest_lane_cores = Some(0.86);
        assert_eq!(doubts(&outcome), [Doubt::GeneratorSaturated]);
    }

    #[test]
    fn nothing_is_no_result() {
        let mut outcome = with_times(1, 100);
        (outcome.totals.messages, outcome.totals.received_bytes) = (0, 0);
        outcome.totals.sent_bytes = 0;
        assert_eq!(doubts(&outcome), [Doubt::NothingMeasured]);
        outcome.interrupted = true;
        assert_eq!(doubts(&outcome), []);
    }

    #[test]
    fn a_rate_that_was_not_reached_is_told_and_stays_valid() {
        let mut outcome = with_times(1, 100);
        outcome.shape.rate = Some(1000.0);
        outcome.totals.messages_per_second = Some(900.0);
        (outcome.totals.messages, outcome.totals.due) = (900, Some(1000));
        outcome.totals.unsent = Some(77);
        let verdict = of(&outcome);
        assert!(verdict.valid);
        assert!(verdict.notes[0].contains("1000/s asked for, 900/s came back"));
        assert!(verdict.notes[1].starts_with("77 messages were due and never left"));
    }
}
