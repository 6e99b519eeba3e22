//! What is asked of the simulator itself: that it is exact, that it bites, and that what it has
//! found stays found.

use super::campaign::keep_panics;
use super::plan::{Cut, Plan};
use super::records;
use super::world::{Violation, run};
use crate::sys::Bug;
use crate::sys::sim::Fault;

/// Worlds that may show a defect, within which it has to be found.
const BOUND: usize = 3_000;

/// What the simulator has found, by name: the seed that showed it and what was cut from it. As the
/// model grows a seed may come to tell another story; the name says what to look for then.
const FOUND: &[(&str, u64, Cut)] = &[
    (
        "a direction that is discarded keeps no buffers from the other",
        538,
        Cut::NOTHING,
    ),
    (
        "an accepted connection that was reset in the backlog keeps its place",
        109,
        Cut::NOTHING,
    ),
    (
        "an accepted connection that nobody came for is reset, not ended by a FIN",
        1_004_334,
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

/// The first seed that shows a defect, and how.
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

/// Whether the world of a seed may show a defect. Bulk transfers come in one world of two hundred.
fn may_show(bug: Bug, seed: u64) -> bool {
    let of_bulk = bug == Bug::SpliceResidueForgotten;
    !of_bulk || Plan::new(seed, &Cut::NOTHING).faults.has(Fault::Bulk)
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
    finds_a_place_that_is_given_back_early: PlaceEarly,
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
}
