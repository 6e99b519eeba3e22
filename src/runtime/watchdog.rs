//! Sees a lane that has not turned for too long, and says which task holds it up.
//!
//! A lane's heart is a few words that the lane writes and the watchdog's thread reads.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::task::{NameCell, TaskName};
use crate::sys::Time;

/// A lane that has run this long without turning is stalled: 2,500 times a long turn.
pub(super) const STALL: Duration = Duration::from_millis(50);

/// A lane's sign of life.
#[derive(Debug)]
pub struct Heart {
    turns: AtomicU64,
    asleep: AtomicBool,
    task: NameCell,
}

impl Heart {
    pub(super) const fn new() -> Self {
        Self {
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
    /// For how long at least.
    pub lasted: Duration,
}

/// What a watchdog remembers of one heart. Pure logic: ask it now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watchdog {
    turns: u64,
    since: Time,
    reported: bool,
}

impl Watchdog {
    /// Looks at a heart; says if the lane has stalled, once per stall.
    pub fn look(&mut self, heart: &Heart, now: Time) -> Option<Stall> {
        let turns = heart.turns.load(Acquire);
        if turns != self.turns || heart.asleep.load(Acquire) {
            *self = Self {
                turns,
                since: now,
                reported: false,
            };
            return None;
        }
        let task = heart.task.name();
        let lasted = now.since(self.since);
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

    #[test]
    fn reports_a_stall_once_with_the_task() {
        let (heart, mut watchdog) = (Heart::new(), Watchdog::default());
        heart.beat();
        heart.enter(&"busy");
        assert_eq!(watchdog.look(&heart, at(0)), None);
        assert_eq!(watchdog.look(&heart, at(49)), None);
        let stall = Stall {
            task: Some("busy"),
            lasted: STALL,
        };
        assert_eq!(watchdog.look(&heart, at(50)), Some(stall));
        assert_eq!(watchdog.look(&heart, at(500)), None, "once");
        heart.leave();
        heart.beat();
        assert_eq!(watchdog.look(&heart, at(501)), None);
        assert!(
            watchdog.look(&heart, at(600)).is_some(),
            "a new stall is reported"
        );
    }

    #[test]
    fn a_lane_that_sleeps_or_turns_is_well() {
        let (heart, mut watchdog) = (Heart::new(), Watchdog::default());
        heart.beat();
        heart.fall_asleep();
        assert_eq!(watchdog.look(&heart, at(10_000)), None);
        for second in 11..20 {
            heart.beat();
            assert_eq!(watchdog.look(&heart, at(second * 1000)), None);
        }
    }
}
