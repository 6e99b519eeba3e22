//! A stop under way: what it waits for, and when it says so. Pure logic: time comes in.

use std::time::Duration;

use crate::sys::Time;

/// A second request to stop counts from so long after the first: whoever means to stop the server
/// often sends two at once (GNU timeout does, to the process and to its group).
const SECOND_COUNTS_AFTER: Duration = Duration::from_secs(1);
/// A grace that is seen to be over so long after its end was slept through, with the whole process
/// (SIGSTOP, a frozen container, a suspended machine): what had arrived by its end is unread.
const SLEPT_AFTER: Duration = Duration::from_millis(500);
/// What the lanes then get to read it in.
const AFTER_SLEEP: Duration = Duration::from_secs(1);
/// How often the sessions that are left are said: ten times in the grace, within these bounds.
const WORDS: u32 = 10;
const WORD_EVERY_MIN: Duration = Duration::from_secs(1);
const WORD_EVERY_MAX: Duration = Duration::from_secs(60);

/// A stop within its grace.
#[derive(Debug)]
pub(super) struct Stop {
    begun: Time,
    end: Time,
    every: Duration,
    next_word: Time,
}

impl Stop {
    /// A stop that begins now.
    pub(super) fn new(now: Time, grace: Duration) -> Self {
        let every = (grace / WORDS).clamp(WORD_EVERY_MIN, WORD_EVERY_MAX);
        Self {
            begun: now,
            end: now + grace,
            every,
            next_word: now + every,
        }
    }

    /// Whether another request to stop means: at once.
    pub(super) fn counts(&self, now: Time) -> bool {
        now.since(self.begun) >= SECOND_COUNTS_AFTER
    }

    /// Whether the grace is over. One that was slept through goes on for a second.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        if now.since(self.end) >= SLEPT_AFTER {
            self.end = now + AFTER_SLEEP;
        }
        now >= self.end
    }

    /// What is left of the grace.
    pub(super) fn left(&self, now: Time) -> Duration {
        self.end.since(now)
    }

    /// When it is to be looked at again.
    pub(super) fn next(&self) -> Time {
        self.next_word.min(self.end)
    }

    /// Whether it is time to say how many sessions are left; then the next time is later.
    pub(super) fn is_word_due(&mut self, now: Time) -> bool {
        let is_due = now >= self.next_word && now < self.end;
        if is_due {
            self.next_word = now + self.every;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Stop;
    use crate::sys::Time;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_second_request_counts_after_a_second() {
        let stop = Stop::new(at(500), Duration::from_secs(30));
        for (ms, counts) in [(500, false), (501, false), (1499, false), (1500, true)] {
            assert_eq!(stop.counts(at(ms)), counts, "at {ms} ms");
        }
    }

    #[test]
    fn says_what_is_left_ten_times_in_the_grace() {
        for (grace_ms, every_ms) in [
            (0, 1000),
            (2000, 1000),
            (30_000, 3000),
            (86_400_000, 60_000),
        ] {
            let mut stop = Stop::new(at(0), Duration::from_millis(grace_ms));
            assert_eq!(stop.next(), at(every_ms.min(grace_ms)));
            assert!(!stop.is_word_due(at(every_ms - 1)));
            let is_within = every_ms < grace_ms;
            assert_eq!(stop.is_word_due(at(every_ms)), is_within, "{grace_ms}");
            assert!(!stop.is_word_due(at(every_ms + 1)), "once");
        }
    }

    #[test]
    fn the_grace_ends() {
        let mut stop = Stop::new(at(0), Duration::from_secs(2));
        assert!(!stop.is_over(at(1999)));
        assert_eq!(stop.left(at(1500)), Duration::from_millis(500));
        assert!(stop.is_over(at(2000)));
        assert_eq!(stop.left(at(2400)), Duration::ZERO);
    }

    #[test]
    fn a_grace_that_was_slept_through_goes_on_for_a_second() {
        let mut stop = Stop::new(at(0), Duration::from_secs(2));
        assert!(!stop.is_over(at(60_000)));
        assert_eq!(stop.left(at(60_000)), Duration::from_secs(1));
        assert!(!stop.is_over(at(60_999)));
        assert!(stop.is_over(at(61_001)));
    }
}
