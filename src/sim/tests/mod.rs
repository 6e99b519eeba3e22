//! Tests of the simulator itself: exact repetition, detection of seeded defects, and regressions of
//! defects found earlier.

use super::panics::keep_panics;
use super::plan::{Cut, Plan};
use super::records;
use super::run::run;
use super::violation::Violation;
use crate::sys::Bug;
use crate::sys::sim::Fault;

/// A seeded defect must show within this many worlds that may show the defect.
const BOUND: usize = 3_000;

/// Defects found by the simulator: name, seed and cut. As the model grows, a seed may come to run
/// differently; the name states the defect to look for.
const FOUND: &[(&str, u64, Cut)] = &[
    (
        "a direction that is discarded keeps no buffers from the other",
        538,
        Cut::NOTHING,
    ),
    (
        "an accepted connection that was reset in the backlog keeps its permit",
        109,
        Cut::NOTHING,
    ),
    (
        "an accepted connection without a session is reset, not ended by a FIN",
        1_004_334,
        Cut::NOTHING,
    ),
    (
        "a place at an endpoint returns behind a cancelled connect",
        5_163,
        Cut::NOTHING,
    ),
    (
        "a called session of the queue does not pass an older one",
        14_491,
        Cut::NOTHING,
    ),
];

#[test]
fn the_same_seed_takes_the_same_course() {
    let _records = records::collect();
    for seed in 0..40 {
        let (first, second) = (
            run(seed, &Cut::NOTHING, false),
            run(seed, &Cut::NOTHING, true),
        );
        assert_eq!(first.trace, second.trace, "seed {seed}");
        let violation = first.violation.map(|violation| violation.to_string());
        assert_eq!(violation, None, "seed {seed}");
    }
}

#[test]
fn what_was_found_stays_found() {
    let _records = records::collect();
    for (name, seed, cut) in FOUND {
        let violation = run(*seed, cut, false).violation;
        assert!(violation.is_none(), "{name}: {violation:?}");
    }
}

/// The first seed that shows a defect, and the violation.
fn found(bug: Bug) -> Option<(u64, Violation)> {
    keep_panics();
    let _records = records::collect();
    Bug::seed(Some(bug));
    let worlds = (0..).filter(|&seed| may_show(bug, seed)).take(BOUND);
    let found = { worlds }.find_map(|seed| {
        let violation = run(seed, &Cut::NOTHING, false).violation?;
        Some((seed, violation))
    });
    Bug::seed(None);
    found
}

/// Whether the world of a seed may show a defect. One world in two hundred has bulk transfers, one
/// in ten reloads.
fn may_show(bug: Bug, seed: u64) -> bool {
    let needed = match bug {
        Bug::SpliceResidueForgotten => Fault::Bulk,
        Bug::BacklogDropped
        | Bug::RaiseForgotten
        | Bug::HandedToOldest
        | Bug::PointNotSwitched
        | Bug::ContextKept => Fault::Reloaded,
        Bug::StateIgnored => Fault::EndpointsOut,
        Bug::VerdictIgnored => Fault::VerdictsFlap,
        Bug::PlaceRaced
        | Bug::PlaceEarly
        | Bug::QueueForgotten
        | Bug::QueueReversed
        | Bug::QueueJumped => Fault::FewPlaces,
        _ => return true,
    };
    let faults = Plan::new(seed, &Cut::NOTHING).faults;
    // A stop would show a dropped backlog, too.
    let stops = [Fault::DrainEarly, Fault::Reconfigured];
    let has_stop = stops.iter().any(|&fault| faults.has(fault));
    faults.has(needed) && !(bug == Bug::BacklogDropped && has_stop)
}

/// Makes a test of each defect.
macro_rules! bites {
    ($($name:ident: $bug:ident,)+) => {
        $(
            #[test]
            fn $name() {
                let found = found(Bug::$bug);
                assert!(found.is_some(), "not found within {BOUND} worlds");
            }
        )+

        #[test]
        fn every_defect_has_its_test() {
            assert_eq!(Bug::ALL, [$(Bug::$bug,)+]);
        }
    };
}

bites! {
    finds_a_send_that_is_reordered: SendReordered,
    finds_a_buffer_that_is_freed_early: BufferFreedEarly,
    finds_a_lost_wake: WakeLost,
    finds_a_fin_before_data: FinBeforeData,
    finds_a_reset_turned_into_a_fin: ResetTurnedIntoFin,
    finds_a_leaked_slot: SlotLeaked,
    finds_a_leaked_permit: PermitLeaked,
    finds_a_leaked_lease: LeaseLeaked,
    finds_a_permit_that_is_returned_early: PermitEarly,
    finds_a_forgotten_waiter: WaiterForgotten,
    finds_a_lost_timer: TimerLost,
    finds_two_sends_in_flight: TwoSendsInFlight,
    finds_a_forgotten_rearm: RearmForgotten,
    finds_an_ignored_generation: GenerationIgnored,
    finds_a_forgotten_splice_residue: SpliceResidueForgotten,
    finds_a_raced_limit: LimitRaced,
    finds_a_double_close: ClosedTwice,
    finds_ignored_back_pressure: BackPressureIgnored,
    finds_bytes_lost_before_a_reset: BytesBeforeResetLost,
    finds_an_inexact_record: RecordInexact,
    finds_time_before_input: TimeBeforeInput,
    finds_a_reset_taken_for_a_refusal: ResetTakenForRefusal,
    finds_a_fin_of_a_killed_process: KilledByFin,
    finds_a_backlog_that_is_dropped: BacklogDropped,
    finds_a_raised_limit_that_wakes_nobody: RaiseForgotten,
    finds_a_hand_over_to_the_oldest_context: HandedToOldest,
    finds_a_point_that_is_not_switched: PointNotSwitched,
    finds_a_context_that_is_kept: ContextKept,
    finds_a_state_that_is_ignored: StateIgnored,
    finds_a_verdict_that_is_ignored: VerdictIgnored,
    finds_a_raced_place: PlaceRaced,
    finds_a_place_that_is_returned_early: PlaceEarly,
    finds_a_queue_that_is_forgotten: QueueForgotten,
    finds_a_queue_that_is_reversed: QueueReversed,
    finds_a_queue_that_is_jumped: QueueJumped,
}
