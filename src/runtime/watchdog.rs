//! Sees a lane that has not turned for too long, and says which task holds it up.
//!
//! A lane's heartbeat is a few words, written by the lane and read by the watchdog's thread.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use super::session::SessionId;
use super::task::{NameCell, TaskName};
use crate::sys::{self, StackReader, ThreadProgress, Time};

/// A lane that has had this long without turning is stalled: 2,500 times a long turn. Time
/// that it waited for a CPU does not count: a busy machine is no fault of a task.
pub(super) const STALL: Duration = Duration::from_millis(50);

/// A lane's sign of life.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// The lane's thread, by the operating system's number.
    thread: u32,
    /// The end of the thread's stack.
    stack_end: u64,
    turns: AtomicU64,
    asleep: AtomicBool,
    task: NameCell,
    /// The id of the task's session; 0 for a task in the background.
    session: AtomicU64,
}

impl Heartbeat {
    /// The heartbeat of the calling thread's lane.
    pub(super) fn new() -> Self {
        Self {
            thread: sys::thread_id(),
            stack_end: sys::stack_end(),
            turns: AtomicU64::new(0),
            asleep: AtomicBool::new(true),
            task: NameCell::new(),
            session: AtomicU64::new(0),
        }
    }

    /// The system call in which the lane's thread waits; `None` while it runs, or where the system
    /// does not say.
    pub(crate) fn system_call(&self) -> Option<String> {
        sys::thread_call(self.thread)
    }

    /// The functions on the stack of the lane's thread, the innermost first.
    pub(crate) fn stack(&self, reader: &StackReader) -> Vec<String> {
        reader.read(self.thread, self.stack_end)
    }

    /// The CPU time of the lane's thread.
    pub(super) fn cpu_time(&self) -> Duration {
        sys::thread_progress(self.thread).cpu
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

    pub(super) fn enter(&self, task: TaskName, session: Option<SessionId>) {
        self.session.store(session.map_or(0, |id| id.0), Relaxed);
        self.task.set(Some(task));
    }

    pub(super) fn leave(&self) {
        self.task.set(None);
    }
}

/// A lane that did not turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    /// The task that it was running; `None` outside tasks.
    pub task: Option<&'static str>,
    /// The session of the task; `None` for a task in the background.
    pub session: Option<SessionId>,
    /// For how long at least, without the time that it waited for a CPU.
    pub lasted: Duration,
}

/// What a watchdog saw of a lane that does not turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A turn has become a stall, which goes on.
    Began(Stall),
    /// The stall has ended. It is the stall of the last `Began`, with its whole length to within
    /// an interval of the looks.
    Ended(Stall),
}

/// The state of a watchdog for one lane. Pure logic, called at intervals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watchdog {
    turns: u64,
    /// When this turn was first seen to last, and the CPU time that the lane had had by then.
    since: Option<(Time, Duration)>,
    /// The stall of this turn, as last seen.
    stall: Option<Stall>,
}

impl Watchdog {
    /// Checks a heartbeat; reports the begin and the end of a stall, each once.
    pub(crate) fn look(&mut self, heart: &Heartbeat, now: Time) -> Option<Seen> {
        self.look_with(heart, now, || sys::thread_progress(heart.thread))
    }

    /// The stall that goes on, as of the last look.
    pub(crate) fn stall(&self) -> Option<Stall> {
        self.stall
    }

    fn look_with(
        &mut self,
        heart: &Heartbeat,
        now: Time,
        progress: impl FnOnce() -> ThreadProgress,
    ) -> Option<Seen> {
        let turns = heart.turns.load(Acquire);
        if turns != self.turns || heart.asleep.load(Acquire) {
            let stall = self.stall.take();
            (self.turns, self.since) = (turns, None);
            return stall.map(Seen::Ended);
        }
        let task = heart.task.name();
        let session = heart.session.load(Relaxed);
        let session = task
            .is_some_and(|_| session > 0)
            .then_some(SessionId(session));
        let ThreadProgress { cpu, runnable } = progress();
        let (since, cpu_before) = *self.since.get_or_insert((now, cpu));
        // One that waits in the kernel is stalled by a call that blocks.
        let lasted = if runnable {
            cpu.saturating_sub(cpu_before)
        } else {
            now.since(since)
        };
        if heart.turns.load(Acquire) != turns {
            return None;
        }
        if let Some(stall) = &mut self.stall {
            // A call that blocks and then computes counts in both ways, one at a time.
            stall.lasted = stall.lasted.max(lasted);
            return None;
        }
        if lasted < STALL {
            return None;
        }
        let stall = Stall {
            task,
            session,
            lasted,
        };
        self.stall = Some(stall);
        Some(Seen::Began(stall))
    }
}

/// Whether a lane turns, for a caller that asks now and then. Pure logic, as [`Watchdog`] is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    turns: u64,
    /// The CPU time that the lane had had at the last call.
    cpu: Duration,
}

impl Pulse {
    /// Whether the lane has turned since the last call, a `period` ago, or sleeps, or has waited
    /// for a CPU for more than half of that time.
    pub(crate) fn beats(&mut self, heart: &Heartbeat, period: Duration) -> bool {
        self.beats_with(heart, period, || sys::thread_progress(heart.thread))
    }

    fn beats_with(
        &mut self,
        heart: &Heartbeat,
        period: Duration,
        progress: impl FnOnce() -> ThreadProgress,
    ) -> bool {
        let turns = heart.turns.load(Acquire);
        let has_turned = turns != self.turns || heart.asleep.load(Acquire);
        let ThreadProgress { cpu, runnable } = progress();
        let has_waited = runnable && cpu.saturating_sub(self.cpu) < period / 2;
        *self = Self { turns, cpu };
        has_turned || has_waited
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Heartbeat, Pulse, STALL, Seen, SessionId, Stall, Watchdog};
    use crate::sys::{ThreadProgress, Time};

    /// Looks at `ms`, when the lane has had `cpu` ms of CPU time in all.
    fn look(watchdog: &mut Watchdog, heart: &Heartbeat, ms: u64, cpu: u64) -> Option<Seen> {
        look_at(watchdog, heart, ms, cpu, true)
    }

    fn look_at(
        watchdog: &mut Watchdog,
        heart: &Heartbeat,
        ms: u64,
        cpu: u64,
        runnable: bool,
    ) -> Option<Seen> {
        let cpu = Duration::from_millis(cpu);
        let now = Time::ZERO + Duration::from_millis(ms);
        watchdog.look_with(heart, now, || ThreadProgress { cpu, runnable })
    }

    #[test]
    fn reports_a_stall_once_with_the_task() {
        let (heart, mut watchdog) = (Heartbeat::new(), Watchdog::default());
        heart.beat();
        heart.enter(&"busy", Some(SessionId(42)));
        assert_eq!(look(&mut watchdog, &heart, 0, 0), None, "a new turn");
        assert_eq!(
            look(&mut watchdog, &heart, 25, 25),
            None,
            "from here it counts"
        );
        assert_eq!(look(&mut watchdog, &heart, 74, 74), None);
        let stall = Stall {
            task: Some("busy"),
            session: Some(SessionId(42)),
            lasted: STALL,
        };
        assert_eq!(
            look(&mut watchdog, &heart, 75, 75),
            Some(Seen::Began(stall))
        );
        assert_eq!(look(&mut watchdog, &heart, 500, 500), None, "once");
        heart.leave();
        heart.beat();
        let whole = Stall {
            lasted: Duration::from_millis(475),
            ..stall
        };
        assert_eq!(
            look(&mut watchdog, &heart, 501, 501),
            Some(Seen::Ended(whole))
        );
        assert_eq!(look(&mut watchdog, &heart, 501, 501), None);
        assert_eq!(look(&mut watchdog, &heart, 525, 525), None);
        assert!(
            look(&mut watchdog, &heart, 600, 600).is_some(),
            "a new stall is reported"
        );
    }

    #[test]
    fn a_lane_that_sleeps_or_turns_is_well() {
        let (heart, mut watchdog) = (Heartbeat::new(), Watchdog::default());
        heart.beat();
        heart.fall_asleep();
        assert_eq!(look(&mut watchdog, &heart, 10_000, 10_000), None);
        for second in 11..20 {
            heart.beat();
            assert_eq!(
                look(&mut watchdog, &heart, second * 1000, second * 1000),
                None
            );
        }
    }

    /// Seen with iperf3 on a machine with more to do than CPUs: no task was at fault.
    #[test]
    fn a_lane_that_waits_for_a_cpu_is_well() {
        let (heart, mut watchdog) = (Heartbeat::new(), Watchdog::default());
        heart.beat();
        assert_eq!(look(&mut watchdog, &heart, 0, 0), None);
        assert_eq!(look(&mut watchdog, &heart, 25, 5), None);
        assert_eq!(
            look(&mut watchdog, &heart, 125, 15),
            None,
            "it had 10 ms of the 100"
        );
        assert!(
            look(&mut watchdog, &heart, 200, 60).is_some(),
            "now it had 55"
        );
    }

    #[test]
    fn a_lane_in_a_call_that_blocks_is_stalled() {
        let (heart, mut watchdog) = (Heartbeat::new(), Watchdog::default());
        heart.beat();
        for ms in [0, 25, 74] {
            assert_eq!(look_at(&mut watchdog, &heart, ms, 0, false), None);
        }
        assert!(look_at(&mut watchdog, &heart, 75, 0, false).is_some());
    }

    #[test]
    fn a_pulse_is_felt_while_the_lane_turns_sleeps_or_lacks_a_cpu() {
        let (heart, mut pulse) = (Heartbeat::new(), Pulse::default());
        let mut beats = |heart: &Heartbeat, cpu: u64, runnable| {
            let cpu = Duration::from_millis(cpu);
            let progress = || ThreadProgress { cpu, runnable };
            pulse.beats_with(heart, Duration::from_millis(100), progress)
        };
        heart.beat();
        assert!(beats(&heart, 0, true), "it has turned");
        assert!(
            !beats(&heart, 100, true),
            "it ran all the time, in one turn"
        );
        assert!(beats(&heart, 110, true), "it ran for a tenth of the time");
        assert!(!beats(&heart, 110, false), "it waits in the kernel");
        heart.beat();
        assert!(beats(&heart, 110, false), "it has turned again");
        heart.fall_asleep();
        assert!(beats(&heart, 110, false), "it sleeps");
    }
}
