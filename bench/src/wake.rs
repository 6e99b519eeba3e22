//! How a lane's driver waits: asleep, or awake where sleeping would falsify what is measured. Pure
//! logic, given the time as an argument.
//!
//! Waking up costs the kernel's timer slack (50 us) and some microseconds more, which would be in
//! every latency of a closed loop and in every send of an open one.

use std::time::Duration;

use corelane::sys::Time;

/// How long before a message is due the lane is awake: the timer slack, and the wake itself.
const AHEAD: Duration = Duration::from_micros(100);
/// How long a lane looks for answers before it sleeps.
const IDLE: Duration = Duration::from_micros(20);
/// Looks in vain that may follow each other, and waits without looking after them: answers that
/// take longer than [`IDLE`] are not worth it.
const CREDIT: u32 = 4;
const CREDIT_MAX: u32 = 16;
const PAUSE: u32 = 128;

/// Decides, before each turn, until when it may sleep.
#[derive(Debug)]
pub(crate) struct Wake {
    /// When something last happened.
    busy: Time,
    /// Whether the lane has looked for answers since then.
    looking: bool,
    credit: u32,
    pause: u32,
    /// Time spent awake with nothing to do.
    pub(crate) spun: Duration,
}

impl Wake {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            busy: now,
            looking: false,
            credit: CREDIT,
            pause: 0,
            spun: Duration::ZERO,
        }
    }

    /// Until when the turn at `now` may sleep, at most; `now` is not at all. `due` is the next
    /// message's moment.
    pub(crate) fn until(&mut self, now: Time, due: Option<Time>) -> Time {
        if self.pause == 0 && now.since(self.busy) < IDLE {
            self.looking = true;
            return now;
        }
        if std::mem::take(&mut self.looking) {
            self.credit -= 1;
            if self.credit == 0 {
                (self.credit, self.pause) = (CREDIT, PAUSE);
            }
        }
        match due {
            Some(due) if due.since(now) <= AHEAD => now,
            Some(due) => Time::from_nanos(due.as_nanos() - nanos(AHEAD)),
            None => Time::NEVER,
        }
    }

    /// A turn from `before` to `now` did something, or did not; `awake`: it was not to sleep.
    pub(crate) fn learn(&mut self, before: Time, now: Time, did: bool, awake: bool) {
        if did {
            if std::mem::take(&mut self.looking) {
                self.credit = (self.credit + 2).min(CREDIT_MAX);
            }
            self.pause = self.pause.saturating_sub(1);
            self.busy = now;
        } else if awake {
            self.spun += now.since(before);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a short time")
}

#[cfg(test)]
mod tests {
    use corelane::sys::Time;

    use super::{AHEAD, IDLE, PAUSE, Wake};

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1000)
    }

    /// After something happened long enough ago.
    fn quiet() -> Wake {
        Wake::new(at(0))
    }

    #[test]
    fn sleeps_until_shortly_before_the_next_message() {
        let mut wake = quiet();
        assert_eq!(wake.until(at(1000), Some(at(5000))) + AHEAD, at(5000));
        assert_eq!(wake.until(at(4900), Some(at(5000))), at(4900));
        assert_eq!(
            wake.until(at(6000), Some(at(5000))),
            at(6000),
            "it is late already"
        );
        assert_eq!(wake.until(at(1000), None), Time::NEVER);
    }

    #[test]
    fn looks_for_answers_a_while_and_sleeps_then() {
        let mut wake = quiet();
        wake.learn(at(100), at(101), true, false);
        assert_eq!(wake.until(at(102), None), at(102));
        assert_eq!(wake.until(at(101) + IDLE, None), Time::NEVER);
    }

    #[test]
    fn stops_looking_when_that_finds_nothing_and_tries_again_later() {
        let mut wake = quiet();
        let mut looked = 0;
        for round in 0..u64::from(2 * PAUSE) {
            let now = at(1000 * (round + 1));
            wake.learn(now, now, true, false);
            looked += u32::from(wake.until(now, None) == now);
            assert_eq!(wake.until(now + 2 * IDLE, None), Time::NEVER);
        }
        assert!((5..20).contains(&looked), "{looked}");
    }

    #[test]
    fn goes_on_looking_while_that_pays() {
        let mut wake = quiet();
        for round in 0..1000 {
            let now = at(1000 * (round + 1));
            wake.learn(now, now, true, false);
            assert_eq!(wake.until(now, None), now, "{round}");
        }
    }

    #[test]
    fn only_awake_turns_in_vain_are_spinning() {
        let mut wake = quiet();
        wake.learn(at(0), at(5), false, true);
        wake.learn(at(5), at(500), false, false);
        wake.learn(at(500), at(600), true, true);
        assert_eq!(wake.spun.as_micros(), 5);
    }
}
