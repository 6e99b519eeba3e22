//! Sees a lane that has not turned for too long, and says which task holds it up.
//!
//! A lane's heart is a few words that the lane writes and the watchdog's thread reads.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::task::{NameCell, TaskName};
use crate::sys::{self, Time};

/// A lane that has had this long without turning is stalled: 2,500 times a long turn. Time
/// that it waited for a CPU does not count: a busy machine is no fault of a task.
pub(super) const STALL: Duration = Duration::from_millis(50);

/// A lane's sign of life.
#[derive(Debug)]
pub struct Heart {
    /// The lane's thread, by the operating system's number.
    thread: u32,
    turns: AtomicU64,
    asleep: AtomicBool,
    task: NameCell,
}

impl Heart {
    /// The heart of the calling thread's lane.
    pub(super) fn new() -> Self {
        Self {
            thread: sys::thread_id(),
            turns: AtomicU64::new(0),
            asleep: AtomicBool::new(true),
            task: NameCell::new(),
        }
    }

    pub(super) fn beat(&self) {
        // One writer: no read-modify-write needed.
        self.turns
            .store(self.turns.load(Relaxed).wrapping_add(1), Release);
        self.asleep.store(false, Release);
    }

    pub(super) fn fall_asleep(&self) {
        self.asleep.store(true, Release);
    }

    pub(super) fn wake_up(&self) {
        self.beat();
    }

    pub(super) fn enter(&self, task: TaskName) {
        self.task.set(Some(task));
    }

    pub(super) fn leave(&self) {
        self.task.set(None);
    }
}

/// A lane that did not turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The task that it was running; `None` outside tasks.
    pub task: Option<&'static str>,
    /// For how long at least, without the time that it waited for a CPU.
    pub lasted: Duration,
}

/// What a watchdog remembers of one heart. Pure logic: ask it now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watchdog {
    turns: u64,
    /// When this turn was first seen to last, and how long the lane had waited for a CPU by then.
    since: Option<(Time, Duration)>,
    reported: bool,
}

impl Watchdog {
    /// Looks at a heart; says if the lane has stalled, once per stall.
    pub fn look(&mut self, heart: &Heart, now: Time) -> Option<Stall> {
        self.look_with(heart, now, || sys::waited_for_cpu(heart.thread))
    }

    fn look_with(
        &mut self,
        heart: &Heart,
        now: Time,
        waited: impl FnOnce() -> Duration,
    ) -> Option<Stall> {
        let turns = heart.turns.load(Acquire);
        if turns != self.turns || heart.asleep.load(Acquire) {
            *self = Self {
                turns,
                since: None,
                reported: false,
            };
            return None;
        }
        let task = heart.task.name();
        let waited = waited();
        let (since, waited_before) = *self.since.get_or_insert((now, waited));
        let lasted = now
            .since(since)
            .saturating_sub(waited.saturating_sub(waited_before));
        if self.reported || lasted < STALL || heart.turns.load(Acquire) != turns {
            return None;
        }
        self.reported = true;
        Some(Stall { task, lasted })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Heart, STALL, Stall, Watchdog};
    use crate::sys::Time;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// Looks at `ms`, when the lane has waited `waited` ms for a CPU in all.
    fn look(watchdog: &mut Watchdog, heart: &Heart, ms: u64, waited: u64) -> Option<Stall> {
        watchdog.look_with(heart, at(ms), || Duration::from_millis(waited))
    }

    #[test]
    fn reports_a_stall_once_with_the_task() {
        let (heart, mut watchdog) = (Heart::new(), Watchdog::default());
        heart.beat();
        heart.enter(&"busy");
        assert_eq!(look(&mut watchdog, &heart, 0, 0), None, "a new turn");
        assert_eq!(
            look(&mut watchdog, &heart, 25, 0),
            None,
            "from here it counts"
        );
        assert_eq!(look(&mut watchdog, &heart, 74, 0), None);
        let stall = Stall {
            task: Some("busy"),
            lasted: STALL,
        };
        assert_eq!(look(&mut watchdog, &heart, 75, 0), Some(stall));
        assert_eq!(look(&mut watchdog, &heart, 500, 0), None, "once");
        heart.leave();
        heart.beat();
        assert_eq!(look(&mut watchdog, &heart, 501, 0), None);
        assert_eq!(look(&mut watchdog, &heart, 525, 0), None);
        assert!(
            look(&mut watchdog, &heart, 600, 0).is_some(),
            "a new stall is reported"
        );
    }

    #[test]
    fn a_lane_that_sleeps_or_turns_is_well() {
        let (heart, mut watchdog) = (Heart::new(), Watchdog::default());
        heart.beat();
        heart.fall_asleep();
        assert_eq!(look(&mut watchdog, &heart, 10_000, 0), None);
        for second in 11..20 {
            heart.beat();
            assert_eq!(look(&mut watchdog, &heart, second * 1000, 0), None);
        }
    }

    /// Seen with iperf3 on a machine with more to do than CPUs: no task was at fault.
    #[test]
    fn a_lane_that_waits_for_a_cpu_is_well() {
        let (heart, mut watchdog) = (Heart::new(), Watchdog::default());
        heart.beat();
        assert_eq!(look(&mut watchdog, &heart, 0, 100), None);
        assert_eq!(look(&mut watchdog, &heart, 25, 120), None);
        assert_eq!(
            look(&mut watchdog, &heart, 125, 200),
            None,
            "80 of 100 ms were not its own"
        );
        assert!(
            look(&mut watchdog, &heart, 200, 200).is_some(),
            "the rest was"
        );
    }
}
