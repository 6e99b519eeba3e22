//! When a lane gives memory back that a burst of work took: to the system, and from the poller to
//! the pool. Called by the lane once a turn; never by what a task does.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::shared::Shared;
use crate::sys::{self, Time};

/// How often unused memory goes back to the system.
const INTERVAL: Duration = Duration::from_millis(250);
/// Polls of tasks within that time, up to which a lane is at rest: the memory of every free buffer
/// goes back then. A busy lane would have it taken again at once.
const REST_POLLS: u64 = 64;

/// The heap is the process's: a lane that rests and works in turn must not have the others' memory
/// taken again and again.
static HEAP_TRIMS: HeapTrims = HeapTrims(AtomicU64::new(0));
const HEAP_TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// When the last one was, in nanoseconds of the clock.
struct HeapTrims(AtomicU64);

impl HeapTrims {
    fn is_due(&self, now: Time) -> bool {
        let last = self.0.load(Relaxed);
        let due = last == 0 || now >= Time::from_nanos(last) + HEAP_TRIM_INTERVAL;
        let next = now.as_nanos().max(1);
        due && self
            .0
            .compare_exchange(last, next, Relaxed, Relaxed)
            .is_ok()
    }
}

/// How long a lane has had little to do. At rest all unused memory goes back to the system; what
/// the poller gives back only then goes one interval later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Busy,
    /// Little was done in the last interval.
    Resting,
    /// And nothing since.
    Rested,
}

/// A lane's rest, and when memory last went back.
#[derive(Debug)]
pub(super) struct IdleTrim {
    trimmed: Time,
    /// The polls of tasks there had been by then.
    polls: u64,
    level: Level,
}

impl IdleTrim {
    pub(super) fn new(now: Time) -> Self {
        Self {
            trimmed: now,
            polls: 0,
            level: Level::Rested,
        }
    }

    /// Gives unused memory back to the system, if the interval is over.
    pub(super) fn turn(&mut self, now: Time, lane: &Shared) {
        if now.since(self.trimmed) < INTERVAL {
            return;
        }
        lane.stats.buffer_waits.add(lane.pool.take_refused());
        let polls = lane.stats.polls.value();
        let since = polls - self.polls;
        let was = self.level;
        self.level = match since {
            0 if was >= Level::Resting => Level::Rested,
            0..=REST_POLLS => Level::Resting,
            _ => Level::Busy,
        };
        (self.trimmed, self.polls) = (now, polls);
        lane.pool.trim(self.level >= Level::Resting);
        if self.level == Level::Resting {
            lane.poller.borrow_mut().rest();
        }
        if self.level == Level::Rested && was == Level::Resting && HEAP_TRIMS.is_due(now) {
            sys::trim_heap();
        }
    }

    /// When the lane is to turn for this alone. Memory that has come free since the last look goes
    /// back though nothing else happens: two more turns after the last task has run, or three if
    /// the lane was busy.
    pub(super) fn next(&self, lane: &Shared) -> Option<Time> {
        let changed = lane.stats.polls.value() != self.polls;
        let untrimmed = changed || self.level != Level::Rested;
        untrimmed.then(|| self.trimmed + INTERVAL)
    }
}
