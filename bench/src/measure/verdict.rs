//! The verdict on the client itself: whether the results show the server, or the client's own
//! delays. Pure.

use crate::args::condition::Condition;
use crate::outcome::{Distribution, Doubt, Latencies, Loop, Outcome, Reason, Totals, Verdict};
use crate::stats::{float, supported_quantile};
use crate::text::figures::{self, number};

/// The largest share of a percentile that may be send lateness, and of the time that a lane may
/// wait for a CPU: such an error stays within the noise.
const SHARE_MAX: f64 = 0.1;
/// Lateness that is always acceptable, in nanoseconds: typical of a lane with a whole core of a
/// virtual machine (measured: bench/NOTES.md, "What lateness a client can keep").
const LATENESS_FLOOR: f64 = 10_000.0;
/// The same from p99 on: Linux's timer slack of a thread (prctl(2), `PR_SET_TIMERSLACK`). On a
/// quiet machine with two cores p99 was late by 17 and 26 us.
const LATENESS_FLOOR_OF_TAIL: f64 = 50_000.0;
const TAIL: f64 = 0.99;
/// The percentiles that every verdict checks. Higher ones get a note only: a single interrupt of a
/// hypervisor affects them.
const JUDGED: [f64; 3] = [0.5, 0.9, 0.99];
/// Above this share of a core, a lane sends late.
const CORES_MAX: f64 = 0.85;
/// Below this share of replies to due messages, the results get a note.
const RATE_MIN: f64 = 0.99;
/// Below this share of replies to due messages, the rate was not served.
const SERVED_MIN: f64 = 0.95;
/// Percent of the machine's CPU time. Above it, the hypervisor's other guests affect the tail.
const STEAL_MAX: f64 = 1.0;
/// Above this share of the time, waiting for a CPU gets a note.
const WAITED_NOTED: f64 = 0.05;

/// The advice for a client with too little CPU time.
const REMEDY: &str = "give the server and this client a core each (taskset -c 0, taskset -c 1), \
                      and let nothing else run there";

/// The questions that the results must answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Conditions, whose percentiles the verdict checks too.
    pub(crate) conditions: &'a [Condition],
    /// The objective of a sweep's step.
    pub(crate) objective: Option<&'a Condition>,
}

/// The verdict on a document.
pub(crate) fn of(outcome: &Outcome, asked: Asked<'_>) -> Verdict {
    // Latency counts from the due time. So a step that met the objective did so in spite of the
    // client's delays, and the result stands.
    let kept = asked.objective.is_some_and(|objective| {
        let measured = objective.measure(outcome);
        measured.is_some_and(|measured| objective.holds(measured)) && is_served(&outcome.totals)
    });
    let slow = match kept {
        true => [None, None, None, None],
        false => [
            late(outcome, asked),
            saturated(outcome),
            starved(outcome),
            stolen(outcome),
        ],
    };
    let reasons: Vec<Reason> = slow.into_iter().flatten().chain(nothing(outcome)).collect();
    Verdict {
        valid: reasons.is_empty(),
        notes: notes(outcome, asked, &reasons),
        reasons,
    }
}

/// Whether the due messages were answered, except those in flight at the end.
pub(crate) fn is_served(totals: &Totals) -> bool {
    float(totals.messages) >= SERVED_MIN * float(totals.due.unwrap_or(0))
}

/// A percentile with too much send lateness.
struct Late {
    quantile: f64,
    latency: f64,
    /// The latency without the lateness.
    on_time: f64,
}

/// Whether lateness exceeds both the timers' precision and the noise of `time`.
fn is_late(lateness: f64, time: f64, floor: f64) -> bool {
    lateness > floor.max(SHARE_MAX * time)
}

fn floor_of(quantile: f64) -> f64 {
    if quantile < TAIL {
        LATENESS_FLOOR
    } else {
        LATENESS_FLOOR_OF_TAIL
    }
}

/// The late percentiles, in the order of `quantiles`.
fn late_at(outcome: &Outcome, quantiles: &[f64]) -> Vec<Late> {
    let Latencies {
        intended, on_time, ..
    } = &outcome.latency;
    let Some((intended, on_time)) = intended.as_ref().zip(on_time.as_ref()) else {
        return Vec::new();
    };
    let at = |&quantile: &f64| {
        let (latency, on_time) = value_at(intended, quantile).zip(value_at(on_time, quantile))?;
        is_late(latency - on_time, latency, floor_of(quantile)).then_some(Late {
            quantile,
            latency,
            on_time,
        })
    };
    quantiles.iter().filter_map(at).collect()
}

fn value_at(times: &Distribution, quantile: f64) -> Option<f64> {
    let named = times.percentiles.all();
    let named = named.into_iter().find(|(name, _)| *name == quantile);
    match named {
        Some((_, value)) => value.map(float),
        None => {
            let times = times.histogram.open().ok()?;
            supported_quantile(&times, quantile).map(float)
        }
    }
}

fn late(outcome: &Outcome, asked: Asked<'_>) -> Option<Reason> {
    let lateness = outcome.lateness.as_ref()?;
    let objective = asked.objective;
    let message = match objective.and_then(|one| Some((one, one.lateness(lateness)?))) {
        Some((objective, (late, bound))) => is_late(late, bound, LATENESS_FLOOR).then(|| {
            format!(
                "messages left late by {}, more than a tenth of the bound of {}",
                figures::time(late),
                objective.text
            )
        }),
        None => {
            let conditions = asked.conditions.iter().chain(objective);
            let mut judged = JUDGED.to_vec();
            judged.extend(conditions.filter_map(Condition::quantile));
            let share = |late: &Late| late.on_time / late.latency.max(1.0);
            let worst = late_at(outcome, &judged).into_iter();
            let worst = worst.min_by(|a, b| share(a).total_cmp(&share(b)));
            worst.map(|late| format!("messages left late: {}", described(&late)))
        }
    };
    message.map(|message| Reason {
        doubt: Doubt::SendLateness,
        message: format!("{message}; {REMEDY}, or ask for a lower rate"),
    })
}

/// `p99 is 257 µs, and would be 190 µs without send lateness`.
fn described(late: &Late) -> String {
    format!(
        "{} is {}, and would be {} without send lateness",
        name(late.quantile),
        figures::time(late.latency),
        figures::time(late.on_time),
    )
}

/// 0.999 is `p99.9`.
fn name(quantile: f64) -> String {
    format!("p{}", figures::plain(100.0 * quantile))
}

fn saturated(outcome: &Outcome) -> Option<Reason> {
    let cores = busy(outcome)?;
    (outcome.shape.loop_ == Loop::Open).then(|| Reason {
        doubt: Doubt::GeneratorSaturated,
        message: format!(
            "the client is saturated: its busiest lane used {} % of a core; use more --lanes, or \
             a lower rate",
            number(100.0 * cores)
        ),
    })
}

/// The busiest lane's share of a core, if above the limit.
fn busy(outcome: &Outcome) -> Option<f64> {
    let cores = outcome.generator.busiest_lane_cores?;
    (cores > CORES_MAX).then_some(cores)
}

fn starved(outcome: &Outcome) -> Option<Reason> {
    let share = outcome.generator.waited_share?;
    // `idle` measures only memory and one message on each connection.
    (share > SHARE_MAX && outcome.verb != "idle").then(|| Reason {
        doubt: Doubt::GeneratorStarved,
        message: format!("{}; {REMEDY}", waited(share)),
    })
}

/// Stolen time belongs to no thread, but delays everything.
fn stolen(outcome: &Outcome) -> Option<Reason> {
    let steal = outcome.system.steal_percent?;
    (steal > 100.0 * SHARE_MAX && outcome.verb != "idle").then(|| Reason {
        doubt: Doubt::GeneratorStarved,
        message: kept_by_hypervisor(steal),
    })
}

fn kept_by_hypervisor(percent: f64) -> String {
    format!("the hypervisor stole {percent:.1} % of this machine's CPU time")
}

/// For a share of the time.
fn waited(share: f64) -> String {
    format!(
        "a lane of this client was ready to run but had no CPU for {:.0} % of the time: these \
         waits are part of the latencies",
        100.0 * share
    )
}

fn nothing(outcome: &Outcome) -> Option<Reason> {
    let totals = &outcome.totals;
    let nothing = totals.messages + totals.sent_bytes + totals.received_bytes == 0;
    (nothing && !outcome.interrupted).then(|| Reason {
        doubt: Doubt::NothingMeasured,
        message: "nothing was sent or received in the measured time".to_owned(),
    })
}

fn notes(outcome: &Outcome, asked: Asked<'_>, reasons: &[Reason]) -> Vec<String> {
    let mut notes = Vec::new();
    let totals = &outcome.totals;
    // The number of due messages, since random arrivals may be fewer than the rate.
    if let Some((asked, achieved)) = outcome.shape.rate.zip(totals.messages_per_second)
        && totals
            .due
            .is_some_and(|due| float(totals.messages) < RATE_MIN * float(due))
    {
        notes.push(format!(
            "the rate was not reached: {} requested, {} completed",
            figures::rate(asked),
            figures::rate(achieved)
        ));
    }
    if let Some(unsent @ 1..) = totals.unsent {
        notes.push(format!(
            "{} due messages never left, because their connections waited for replies: no latency \
             contains them, so the latencies are lower bounds",
            figures::grouped(unsent)
        ));
    }
    notes.extend(late_beside(outcome, asked, reasons));
    notes.extend(of_a_closed_loop(outcome));
    notes.extend(of_the_machine(outcome, reasons));
    notes.extend(no_echo(outcome));
    notes
}

/// A note on late percentiles of a valid run.
fn late_beside(outcome: &Outcome, asked: Asked<'_>, reasons: &[Reason]) -> Option<String> {
    if reasons.iter().any(|one| one.doubt == Doubt::SendLateness) {
        return None;
    }
    let judged: &[f64] = match asked.objective {
        Some(_) => &[],
        None => &JUDGED,
    };
    let all = [0.5, 0.9, 0.99, 0.999, 0.9999];
    let others = all.into_iter().filter(|one| !judged.contains(one));
    let late = late_at(outcome, &others.collect::<Vec<f64>>());
    let (worst, names) = (late.last()?, late.iter().map(|late| name(late.quantile)));
    Some(format!(
        "these percentiles contain send lateness of the client: {} ({})",
        names.collect::<Vec<String>>().join(", "),
        described(worst),
    ))
}

fn of_a_closed_loop(outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.shape.loop_ == Loop::Open {
        return notes;
    }
    if outcome.latency.service.is_some() && outcome.verb != "idle" {
        notes.push(
            "a closed loop: while the server stalls, the client neither sends nor measures, so \
             the latency is below the latency of independent users under load (coordinated \
             omission); measure with --rate instead. wrk's latencies are not comparable either: \
             wrk adds samples for messages that it did not send"
                .to_owned(),
        );
    }
    if let Some(cores) = busy(outcome) {
        notes.push(format!(
            "the client's busiest lane used {:.0} % of a core: the limit of the rate may be this \
             client rather than the server; try more --lanes",
            100.0 * cores
        ));
    }
    notes
}

fn of_the_machine(outcome: &Outcome, reasons: &[Reason]) -> Vec<String> {
    let mut notes = Vec::new();
    let system = &outcome.system;
    if let Some(overflows @ 1..) = system.listen_overflows {
        notes.push(format!(
            "accept queues on this machine overflowed {overflows} times"
        ));
    }
    let steal = system.steal_percent.filter(|steal| *steal > STEAL_MAX);
    let waits = outcome.generator.waited_share;
    let waits = waits.filter(|share| *share > WAITED_NOTED);
    let noted = [steal.map(kept_by_hypervisor), waits.map(waited)];
    // Without notes that repeat a reason.
    let is_reason = |note: &String| reasons.iter().any(|one| one.message.starts_with(note));
    notes.extend(noted.into_iter().flatten().filter(|note| !is_reason(note)));
    notes
}

/// If no byte came back correctly, the target may not be an echo server.
fn no_echo(outcome: &Outcome) -> Option<String> {
    let Outcome { shape, errors, .. } = outcome;
    let echoes =
        shape.request.is_none() && matches!(shape.direction.as_deref(), None | Some("both"));
    let connected = errors.first.iter().filter_map(|error| error.position);
    let positions: Vec<u64> = connected.collect();
    let none_right = !positions.is_empty() && positions.iter().all(|position| *position == 0);
    (echoes && none_right && outcome.totals.messages == 0).then(|| {
        "no byte came back correctly: this target does not echo, or receives nothing. For a \
         server of another protocol, set the request (--send) and the reply (--until, \
         --reply-bytes or --expect)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{Asked, of};
    use crate::args::condition::Condition;
    use crate::outcome::{self, ConnectionError, Distribution, Doubt, Loop, Outcome, sample};

    /// A hundred thousand messages of `us` microseconds, except for the last few.
    fn times(us: u64, last: usize, last_us: u64) -> Distribution {
        let mut times = outcome::histogram();
        for number in 0..100_000 {
            let us = if number < 100_000 - last { us } else { last_us };
            times.record(us * 1000).unwrap();
        }
        Distribution::new(&times)
    }

    fn with(lateness: Distribution, on_time: Distribution, latency: Distribution) -> Outcome {
        let mut outcome = sample::outcome();
        outcome.lateness = Some(lateness);
        outcome.latency.on_time = Some(on_time);
        outcome.latency.intended = Some(latency);
        outcome.generator.busiest_lane_cores = Some(0.5);
        outcome.generator.waited_share = Some(0.0);
        outcome
    }

    fn with_times(lateness_us: u64, latency_us: u64) -> Outcome {
        let on_time = times(latency_us.saturating_sub(lateness_us), 0, 0);
        with(times(lateness_us, 0, 0), on_time, times(latency_us, 0, 0))
    }

    fn doubts_of(outcome: &Outcome, asked: Asked<'_>) -> Vec<Doubt> {
        let verdict = of(outcome, asked);
        assert_eq!(verdict.valid, verdict.reasons.is_empty());
        verdict.reasons.iter().map(|reason| reason.doubt).collect()
    }

    fn doubts(outcome: &Outcome) -> Vec<Doubt> {
        doubts_of(outcome, Asked::default())
    }

    #[test]
    fn lateness_above_a_tenth_of_a_percentile_is_a_reason() {
        assert_eq!(doubts(&with_times(29, 300)), []);
        assert_eq!(doubts(&with_times(31, 300)), [Doubt::SendLateness]);
        // 2 % of the messages left late, and 2 % had a slow reply.
        let late = || times(1, 2000, 400);
        let slow = with(late(), times(60, 2000, 460), times(60, 4000, 460));
        assert_eq!(doubts(&slow), []);
        let late = with(late(), times(60, 0, 0), times(60, 2000, 460));
        let reason = of(&late, Asked::default()).reasons.remove(0).message;
        let words = "messages left late: p99 is 460 µs, and would be 60.0 µs without send lateness";
        assert!(reason.starts_with(words), "{reason}");
        assert!(reason.contains("taskset"), "{reason}");
    }

    #[test]
    fn lateness_within_the_timers_precision_is_no_reason() {
        assert_eq!(doubts(&with_times(2, 17)), []);
        assert_eq!(doubts(&with_times(9, 17)), []);
        assert_eq!(doubts(&with_times(11, 17)), [Doubt::SendLateness]);
    }

    #[test]
    fn the_far_tail_is_a_reason_only_on_request() {
        let tail = with(times(1, 200, 90), times(100, 0, 0), times(100, 200, 190));
        let verdict = of(&tail, Asked::default());
        assert!(verdict.valid, "{verdict:?}");
        let note = "these percentiles contain send lateness of the client: p99.9, p99.99 (p99.99 \
                    is";
        assert!(verdict.notes[0].starts_with(note), "{verdict:?}");
        for (text, expected) in [
            ("p99.9>1s", &[Doubt::SendLateness][..]),
            ("p99.85>1s", &[Doubt::SendLateness]),
            ("p98>1s", &[]),
            ("service.p99.9>1s", &[]),
        ] {
            let conditions = [Condition::parse(text).unwrap()];
            let asked = Asked {
                conditions: &conditions,
                objective: None,
            };
            assert_eq!(doubts_of(&tail, asked), expected, "{text}");
        }
    }

    #[test]
    fn a_step_is_judged_by_its_objective() {
        let step = |outcome: &Outcome, text: &str| {
            let objective = Condition::parse(text).unwrap();
            let asked = Asked {
                conditions: &[],
                objective: Some(&objective),
            };
            doubts_of(outcome, asked)
        };
        // Later than the latency itself, but far below the objective's bound.
        let mut kept = with_times(90, 100);
        assert_eq!(step(&kept, "p99<50ms"), []);
        // A slow client cannot help to meet an objective.
        kept.generator.busiest_lane_cores = Some(0.99);
        kept.generator.waited_share = Some(0.5);
        assert_eq!(step(&kept, "p99<50ms"), []);
        // A failed step, not because of the client.
        assert_eq!(step(&with_times(90, 5000), "p99<1ms"), []);
        // A failed step, perhaps because of the client.
        let broken = with_times(110, 5000);
        assert_eq!(step(&broken, "p99<1ms"), [Doubt::SendLateness]);
        assert_eq!(step(&broken, "mean<1ms"), [Doubt::SendLateness]);
        assert_eq!(step(&broken, "service.p99<1ns"), []);
    }

    #[test]
    fn a_busy_client_is_a_reason_in_an_open_loop() {
        let mut outcome = with_times(1, 100);
        outcome.generator.busiest_lane_cores = Some(0.85);
        assert_eq!(doubts(&outcome), []);
        outcome.generator.busiest_lane_cores = Some(0.86);
        assert_eq!(doubts(&outcome), [Doubt::GeneratorSaturated]);
        outcome.shape.loop_ = Loop::Closed;
        assert_eq!(doubts(&outcome), []);
        let notes = of(&outcome, Asked::default()).notes;
        let noted = notes
            .iter()
            .any(|note| note.contains("used 86 % of a core"));
        assert!(noted, "{notes:?}");
    }

    #[test]
    fn a_client_that_waited_for_a_cpu_is_a_reason_in_any_loop() {
        let mut outcome = with_times(1, 100);
        for loop_ in [Loop::Open, Loop::Closed] {
            outcome.shape.loop_ = loop_;
            outcome.generator.waited_share = Some(0.54);
            assert_eq!(doubts(&outcome), [Doubt::GeneratorStarved]);
            let reason = of(&outcome, Asked::default()).reasons.remove(0).message;
            assert!(
                reason.contains("had no CPU for 54 % of the time"),
                "{reason}"
            );
            outcome.generator.waited_share = Some(0.07);
            let verdict = of(&outcome, Asked::default());
            assert!(verdict.valid);
            let noted = verdict.notes.iter().any(|note| note.contains("for 7 %"));
            assert!(noted, "{verdict:?}");
        }
        outcome.verb = "idle".to_owned();
        outcome.generator.waited_share = Some(0.54);
        let verdict = of(&outcome, Asked::default());
        assert!(verdict.valid);
        let noted = verdict.notes.iter().any(|note| note.contains("for 54 %"));
        assert!(noted, "{verdict:?}");
    }

    #[test]
    fn much_stolen_time_is_a_reason_and_some_is_a_note() {
        let mut outcome = with_times(1, 100);
        outcome.shape.loop_ = Loop::Closed;
        for (steal, expected) in [
            (0.5, &[][..]),
            (5.0, &[]),
            (20.0, &[Doubt::GeneratorStarved]),
        ] {
            outcome.system.steal_percent = Some(steal);
            assert_eq!(doubts(&outcome), expected, "{steal}");
            let notes = of(&outcome, Asked::default()).notes;
            let noted = notes.iter().any(|note| note.contains("hypervisor"));
            assert_eq!(noted, steal == 5.0, "{notes:?}");
        }
    }

    #[test]
    fn a_closed_loop_gets_a_note_on_comparisons() {
        let mut outcome = with_times(1, 100);
        assert_eq!(of(&outcome, Asked::default()).notes, [""; 0]);
        outcome.shape.loop_ = Loop::Closed;
        let notes = of(&outcome, Asked::default()).notes;
        assert!(
            notes[0].contains("wrk's latencies are not comparable"),
            "{notes:?}"
        );
    }

    #[test]
    fn no_traffic_is_no_result() {
        let mut outcome = with_times(1, 100);
        (outcome.totals.messages, outcome.totals.received_bytes) = (0, 0);
        outcome.totals.sent_bytes = 0;
        assert_eq!(doubts(&outcome), [Doubt::NothingMeasured]);
        outcome.interrupted = true;
        assert_eq!(doubts(&outcome), []);
    }

    #[test]
    fn a_target_that_does_not_echo_gets_a_note() {
        let mut outcome = with_times(1, 100);
        outcome.totals.messages = 0;
        let says = |outcome: &Outcome| {
            let notes = of(outcome, Asked::default()).notes;
            notes.iter().any(|note| note.contains("does not echo"))
        };
        assert!(!says(&outcome));
        outcome.errors.first = vec![ConnectionError::closed_early(0, 0, "64 bytes")];
        assert!(says(&outcome));
        outcome
            .errors
            .first
            .push(ConnectionError::closed_early(1, 640, "64 bytes"));
        assert!(!says(&outcome));
    }

    #[test]
    fn a_missed_rate_is_a_note_and_no_reason() {
        let mut outcome = with_times(1, 100);
        outcome.shape.rate = Some(1000.0);
        outcome.totals.messages_per_second = Some(900.0);
        (outcome.totals.messages, outcome.totals.due) = (900, Some(1000));
        outcome.totals.unsent = Some(77);
        let verdict = of(&outcome, Asked::default());
        assert!(verdict.valid);
        assert!(verdict.notes[0].contains("1,000/s requested, 900/s completed"));
        assert!(verdict.notes[1].starts_with("77 due messages never left"));
    }
}
