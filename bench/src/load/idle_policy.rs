//! Decides whether a lane without work sleeps or spins. Pure; the time is an argument.
//!
//! A wake-up costs the kernel's timer slack (50 us) and a few microseconds more. In a closed loop
//! the cost would be part of every latency, in an open loop of every send.

use std::time::Duration;

use corelane::sys::Time;

/// How long before the due time the lane wakes: the timer slack plus the wake-up.
const AHEAD: Duration = Duration::from_micros(100);
/// How long a lane spins for replies before it sleeps.
const IDLE: Duration = Duration::from_micros(20);
/// Unsuccessful spins in a row before a pause, and waits without a spin in the pause: when replies
/// take longer than [`IDLE`], a spin wastes CPU time.
const CREDIT: u32 = 4;
const CREDIT_MAX: u32 = 16;
const PAUSE: u32 = 128;

/// Decides after a turn's tasks how long the lane may sleep.
#[derive(Debug)]
pub(crate) struct IdlePolicy {
    /// The time of the last event.
    busy: Time,
    /// Whether the lane has spun since the last event.
    looking: bool,
    credit: u32,
    pause: u32,
    /// Time spent spinning without an event.
    pub(crate) spun: Duration,
}

impl IdlePolicy {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            busy: now,
            looking: false,
            credit: CREDIT,
            pause: 0,
            spun: Duration::ZERO,
        }
    }

    /// The longest sleep at `now`; `None` without a limit. `due` is the due time of the next
    /// message.
    pub(crate) fn limit(&mut self, now: Time, due: Option<Time>) -> Option<Duration> {
        if self.pause == 0 && now.since(self.busy) < IDLE {
            self.looking = true;
            return Some(Duration::ZERO);
        }
        if std::mem::take(&mut self.looking) {
            self.credit -= 1;
            if self.credit == 0 {
                (self.credit, self.pause) = (CREDIT, PAUSE);
            }
        }
        Some(due?.since(now).saturating_sub(AHEAD))
    }

    /// Learns from a turn between `before` and `now`: `did` is whether the turn had an event,
    /// `awake` whether the turn was a spin.
    pub(crate) fn learn(&mut self, before: Time, now: Time, did: bool, awake: bool) {
        if did {
            if std::mem::take(&mut self.looking) {
                self.credit = (self.credit + 2).min(CREDIT_MAX);
            }
            self.pause = self.pause.saturating_sub(1);
            self.busy = now;
        } else if awake {
            // A longer turn was not all spinning: the thread had no CPU.
            self.spun += now.since(before).min(IDLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use corelane::sys::Time;

    use super::{AHEAD, IDLE, IdlePolicy, PAUSE};

    /// No sleep.
    const NOT: Option<Duration> = Some(Duration::ZERO);

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1000)
    }

    /// A policy long after the last event.
    fn quiet() -> IdlePolicy {
        IdlePolicy::new(at(0))
    }

    #[test]
    fn sleeps_until_shortly_before_the_next_message() {
        let mut idle = quiet();
        let limit = idle.limit(at(1000), Some(at(5000))).unwrap();
        assert_eq!(limit + AHEAD, Duration::from_millis(4));
        for late in [4900, 5000, 6000] {
            assert_eq!(idle.limit(at(late), Some(at(5000))), NOT, "{late}");
        }
        assert_eq!(idle.limit(at(1000), None), None);
    }

    #[test]
    fn spins_for_a_while_then_sleeps() {
        let mut idle = quiet();
        idle.learn(at(100), at(101), true, false);
        assert_eq!(idle.limit(at(102), None), NOT);
        assert_eq!(idle.limit(at(101) + IDLE, None), None);
    }

    #[test]
    fn stops_spinning_without_success_and_tries_again_later() {
        let mut idle = quiet();
        let mut looked = 0;
        for round in 0..u64::from(2 * PAUSE) {
            let now = at(1000 * (round + 1));
            idle.learn(now, now, true, false);
            looked += u32::from(idle.limit(now, None) == NOT);
            assert_eq!(idle.limit(now + 2 * IDLE, None), None);
        }
        assert!((5..20).contains(&looked), "{looked}");
    }

    #[test]
    fn keeps_spinning_with_success() {
        let mut idle = quiet();
        for round in 0..1000 {
            let now = at(1000 * (round + 1));
            idle.learn(now, now, true, false);
            assert_eq!(idle.limit(now, None), NOT, "{round}");
        }
    }

    #[test]
    fn only_awake_turns_without_an_event_count_as_spinning() {
        let mut idle = quiet();
        idle.learn(at(0), at(5), false, true);
        idle.learn(at(5), at(500), false, false);
        idle.learn(at(500), at(600), true, true);
        assert_eq!(idle.spun.as_micros(), 5);
        // Four milliseconds without a CPU.
        idle.learn(at(1000), at(5000), false, true);
        assert_eq!(idle.spun.as_micros(), 25);
    }
}
