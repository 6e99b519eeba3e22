//! The client's verdict on itself: whether it measured the server, or its own slowness. Pure.

use crate::args::condition::Condition;
use crate::outcome::{Distribution, Doubt, Latencies, Loop, Outcome, Reason, Totals, Verdict};
use crate::stats::{float, supported_quantile};
use crate::text::figures::{self, number};

/// How much of a percentile may be the client's own lateness: what it adds then stays in the noise.
/// The same share of its time a lane may wait for a CPU.
const SHARE_MAX: f64 = 0.1;
/// Lateness that is never held against a run, in nanoseconds: what a lane keeps that has a core of
/// a virtual machine to itself (measured: bench/NOTES.md, "What lateness a client can keep").
const LATENESS_FLOOR: f64 = 10_000.0;
/// The same from the 99th percentile on: the slack that Linux gives a thread's timers (prctl(2),
/// `PR_SET_TIMERSLACK`). On a quiet machine of two cores p99 was late by 17 and 26 us.
const LATENESS_FLOOR_OF_TAIL: f64 = 50_000.0;
const TAIL: f64 = 0.99;
/// The percentiles that a run stands for without being asked. Those above are told of in a note:
/// one interrupt of a hypervisor shows there.
const JUDGED: [f64; 3] = [0.5, 0.9, 0.99];
/// Above this share of a core a lane has no time left to be on time.
const CORES_MAX: f64 = 0.85;
/// When less than this share of what was due came back, it is told beside the result.
const RATE_MIN: f64 = 0.99;
/// When less than this share of what was due came back, a rate was not served.
const SERVED_MIN: f64 = 0.95;
/// Percent of the machine's CPU time; from here on the hypervisor's other guests show in a tail.
const STEAL_MAX: f64 = 1.0;
/// Above this share of the time, waiting for a CPU is told beside the results.
const WAITED_TOLD: f64 = 0.05;

/// What to do about a client that is in its own way.
const REMEDY: &str = "give the server and this client a core each (taskset -c 0, taskset -c 1), \
                      and let nothing else run there";

/// What was asked of the numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Conditions that may look at percentiles which nobody judges otherwise.
    pub(crate) conditions: &'a [Condition],
    /// The one question of a sweep's step.
    pub(crate) objective: Option<&'a Condition>,
}

/// The verdict on all that is in the document so far.
pub(crate) fn of(outcome: &Outcome, asked: Asked<'_>) -> Verdict {
    // Latency counts from the intended time, so what kept an objective kept it in spite of the
    // client: nothing that slows a client makes the answer wrong.
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

/// Whether what was due by the clock came back, but for what was under way at the end.
pub(crate) fn is_served(totals: &Totals) -> bool {
    float(totals.messages) >= SERVED_MIN * float(totals.due.unwrap_or(0))
}

/// A percentile that is too much the client's own.
struct Late {
    quantile: f64,
    latency: f64,
    /// What it would be had all messages left on time.
    on_time: f64,
}

/// Whether it is more than timers keep, and more than noise beside `time`.
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

/// The percentiles that are too much the client's own, in the order of `quantiles`.
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
                "messages left late by {}, more than a tenth of what {} allows",
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
            worst.map(|late| format!("messages left late: {}", told(&late)))
        }
    };
    message.map(|message| Reason {
        doubt: Doubt::SendLateness,
        message: format!("{message}; {REMEDY}, or ask for a lower rate"),
    })
}

/// `p99 is 257 µs, and would be 190 µs had they left on time`.
fn told(late: &Late) -> String {
    format!(
        "{} is {}, and would be {} had they left on time",
        name(late.quantile),
        figures::time(late.latency),
        figures::time(late.on_time),
    )
}

/// `p99.9` of 0.999.
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

/// The busiest lane's share of a core, where it leaves no time.
fn busy(outcome: &Outcome) -> Option<f64> {
    let cores = outcome.generator.busiest_lane_cores?;
    (cores > CORES_MAX).then_some(cores)
}

fn starved(outcome: &Outcome) -> Option<Reason> {
    let share = outcome.generator.waited_share?;
    // Of `idle` nothing is measured but one message on each connection, and its memory.
    (share > SHARE_MAX && outcome.verb != "idle").then(|| Reason {
        doubt: Doubt::GeneratorStarved,
        message: format!("{}; {REMEDY}", waited(share)),
    })
}

/// What a hypervisor keeps is in no thread's time, and in everything that is measured.
fn stolen(outcome: &Outcome) -> Option<Reason> {
    let steal = outcome.system.steal_percent?;
    (steal > 100.0 * SHARE_MAX && outcome.verb != "idle").then(|| Reason {
        doubt: Doubt::GeneratorStarved,
        message: kept_by_hypervisor(steal),
    })
}

fn kept_by_hypervisor(percent: f64) -> String {
    format!("the hypervisor kept {percent:.1} % of this machine's CPU time for others")
}

/// Of the time, a share in which a lane that was ready to run had no CPU.
fn waited(share: f64) -> String {
    format!(
        "a lane of this client was ready to run and had no CPU for {:.0} % of the time: its waits \
         are in the times above",
        100.0 * share
    )
}

fn nothing(outcome: &Outcome) -> Option<Reason> {
    let totals = &outcome.totals;
    let nothing = totals.messages + totals.sent_bytes + totals.received_bytes == 0;
    (nothing && !outcome.interrupted).then(|| Reason {
        doubt: Doubt::NothingMeasured,
        message: "nothing came back within the measured time".to_owned(),
    })
}

fn notes(outcome: &Outcome, asked: Asked<'_>, reasons: &[Reason]) -> Vec<String> {
    let mut notes = Vec::new();
    let totals = &outcome.totals;
    // Of random arrivals there may be fewer than on average: what was due counts.
    if let Some((asked, achieved)) = outcome.shape.rate.zip(totals.messages_per_second)
        && totals
            .due
            .is_some_and(|due| float(totals.messages) < RATE_MIN * float(due))
    {
        notes.push(format!(
            "the rate was not reached: {} asked for, {} came back",
            figures::rate(asked),
            figures::rate(achieved)
        ));
    }
    if let Some(unsent @ 1..) = totals.unsent {
        notes.push(format!(
            "{} messages were due and never left, their connections still waiting for answers: \
             they are in no latency, which is therefore a lower bound",
            figures::grouped(unsent)
        ));
    }
    notes.extend(late_beside(outcome, asked, reasons));
    notes.extend(of_a_closed_loop(outcome));
    notes.extend(of_the_machine(outcome, reasons));
    notes.extend(no_echo(outcome));
    notes
}

/// Percentiles that are partly the client's, in a run that stands all the same.
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
        "partly the client's own, since messages left late: {} ({})",
        names.collect::<Vec<String>>().join(", "),
        told(worst),
    ))
}

fn of_a_closed_loop(outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    if outcome.shape.loop_ == Loop::Open {
        return notes;
    }
    if outcome.latency.service.is_some() && outcome.verb != "idle" {
        notes.push(
            "a closed loop: while the server stalls, the client sends nothing and measures \
             nothing; its latency is not what users who do not wait for each other see under load \
             (coordinated omission); for that, give a --rate. Nor is it what wrk prints, which \
             adds samples for what it did not send: compare neither with the other"
                .to_owned(),
        );
    }
    if let Some(cores) = busy(outcome) {
        notes.push(format!(
            "the client's busiest lane used {:.0} % of a core, as a closed loop may that never \
             has to wait: the rate may be the most that this client sends, not the most that the \
             server answers; more --lanes tell",
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
            "a listener's queue on this machine was full {overflows} times"
        ));
    }
    let steal = system.steal_percent.filter(|steal| *steal > STEAL_MAX);
    let waits = outcome.generator.waited_share;
    let waits = waits.filter(|share| *share > WAITED_TOLD);
    let told = [steal.map(kept_by_hypervisor), waits.map(waited)];
    // What is a reason is told as one.
    let is_reason = |note: &String| reasons.iter().any(|one| one.message.starts_with(note));
    notes.extend(told.into_iter().flatten().filter(|note| !is_reason(note)));
    notes
}

/// When not one byte came back as it was sent, the target may be a server of another kind.
fn no_echo(outcome: &Outcome) -> Option<String> {
    let Outcome { shape, errors, .. } = outcome;
    let echoes =
        shape.request.is_none() && matches!(shape.direction.as_deref(), None | Some("both"));
    let connected = errors.first.iter().filter_map(|fault| fault.position);
    let positions: Vec<u64> = connected.collect();
    let none_right = !positions.is_empty() && positions.iter().all(|position| *position == 0);
    (echoes && none_right && outcome.totals.messages == 0).then(|| {
        "not one byte came back as it was sent: this target does not echo, or nothing reaches it. \
         For a server of another protocol say what to send (--send) and what answers it (--until, \
         --reply-bytes or --expect)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{Asked, of};
    use crate::args::condition::Condition;
    use crate::outcome::{self, ConnectionError, Distribution, Doubt, Loop, Outcome, sample};

    /// Of a thousand messages these many microseconds each, but for the last few.
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
    fn what_lateness_adds_to_a_percentile_is_held_against_it() {
        assert_eq!(doubts(&with_times(29, 300)), []);
        assert_eq!(doubts(&with_times(31, 300)), [Doubt::SendLateness]);
        // One message in fifty was late, and another one in fifty as slow as that by itself.
        let late = || times(1, 2000, 400);
        let slow = with(late(), times(60, 2000, 460), times(60, 4000, 460));
        assert_eq!(doubts(&slow), []);
        let late = with(late(), times(60, 0, 0), times(60, 2000, 460));
        let reason = of(&late, Asked::default()).reasons.remove(0).message;
        let words = "messages left late: p99 is 460 µs, and would be 60.0 µs had they left on time";
        assert!(reason.starts_with(words), "{reason}");
        assert!(reason.contains("taskset"), "{reason}");
    }

    #[test]
    fn what_timers_cannot_keep_is_not_asked_of_them() {
        assert_eq!(doubts(&with_times(2, 17)), []);
        assert_eq!(doubts(&with_times(9, 17)), []);
        assert_eq!(doubts(&with_times(11, 17)), [Doubt::SendLateness]);
    }

    #[test]
    fn the_far_tail_is_told_of_and_judged_where_it_is_asked_for() {
        let tail = with(times(1, 200, 90), times(100, 0, 0), times(100, 200, 190));
        let verdict = of(&tail, Asked::default());
        assert!(verdict.valid, "{verdict:?}");
        let note = "partly the client's own, since messages left late: p99.9, p99.99 (p99.99 is";
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
    fn an_objective_is_what_a_step_is_held_against() {
        let step = |outcome: &Outcome, text: &str| {
            let objective = Condition::parse(text).unwrap();
            let asked = Asked {
                conditions: &[],
                objective: Some(&objective),
            };
            doubts_of(outcome, asked)
        };
        // Late by more than the latency itself, and far below what is allowed.
        let mut kept = with_times(90, 100);
        assert_eq!(step(&kept, "p99<50ms"), []);
        // Nothing that slows a client keeps an objective.
        kept.generator.busiest_lane_cores = Some(0.99);
        kept.generator.waited_share = Some(0.5);
        assert_eq!(step(&kept, "p99<50ms"), []);
        // Broken, and not by the client.
        assert_eq!(step(&with_times(90, 5000), "p99<1ms"), []);
        // Broken, perhaps by the client.
        let broken = with_times(110, 5000);
        assert_eq!(step(&broken, "p99<1ms"), [Doubt::SendLateness]);
        assert_eq!(step(&broken, "mean<1ms"), [Doubt::SendLateness]);
        assert_eq!(step(&broken, "service.p99<1ns"), []);
    }

    #[test]
    fn a_busy_generator_is_doubted_where_a_clock_drives_it() {
        let mut outcome = with_times(1, 100);
        outcome.generator.busiest_lane_cores = Some(0.85);
        assert_eq!(doubts(&outcome), []);
        outcome.generator.busiest_lane_cores = Some(0.86);
        assert_eq!(doubts(&outcome), [Doubt::GeneratorSaturated]);
        outcome.shape.loop_ = Loop::Closed;
        assert_eq!(doubts(&outcome), []);
        let notes = of(&outcome, Asked::default()).notes;
        let said = notes
            .iter()
            .any(|note| note.contains("used 86 % of a core"));
        assert!(said, "{notes:?}");
    }

    #[test]
    fn a_client_that_waited_for_a_cpu_is_doubted_in_any_loop() {
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
            let told = verdict.notes.iter().any(|note| note.contains("for 7 %"));
            assert!(told, "{verdict:?}");
        }
        outcome.verb = "idle".to_owned();
        outcome.generator.waited_share = Some(0.54);
        let verdict = of(&outcome, Asked::default());
        assert!(verdict.valid);
        let told = verdict.notes.iter().any(|note| note.contains("for 54 %"));
        assert!(told, "{verdict:?}");
    }

    #[test]
    fn what_the_hypervisor_keeps_is_told_and_doubted_where_it_is_much() {
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
            let told = notes.iter().any(|note| note.contains("hypervisor"));
            assert_eq!(told, steal == 5.0, "{notes:?}");
        }
    }

    #[test]
    fn a_closed_loop_is_compared_with_nothing_that_corrects() {
        let mut outcome = with_times(1, 100);
        assert_eq!(of(&outcome, Asked::default()).notes, [""; 0]);
        outcome.shape.loop_ = Loop::Closed;
        let notes = of(&outcome, Asked::default()).notes;
        assert!(notes[0].contains("what wrk prints"), "{notes:?}");
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
    fn a_target_that_does_not_echo_is_told_apart_from_one_that_broke() {
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
    fn a_rate_that_was_not_reached_is_told_and_stays_valid() {
        let mut outcome = with_times(1, 100);
        outcome.shape.rate = Some(1000.0);
        outcome.totals.messages_per_second = Some(900.0);
        (outcome.totals.messages, outcome.totals.due) = (900, Some(1000));
        outcome.totals.unsent = Some(77);
        let verdict = of(&outcome, Asked::default());
        assert!(verdict.valid);
        assert!(verdict.notes[0].contains("1,000/s asked for, 900/s came back"));
        assert!(verdict.notes[1].starts_with("77 messages were due and never left"));
    }
}
