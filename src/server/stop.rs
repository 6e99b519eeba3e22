//! A stop in progress: the deadlines and the log lines of the grace. Pure logic: time is an
//! argument.

use std::time::Duration;

use crate::sys::Time;

/// A second request to stop counts only this long after the first: GNU timeout, for example, sends
/// two signals at once, to the process and to the process group.
const SECOND_COUNTS_AFTER: Duration = Duration::from_secs(1);
/// A grace noticed this late was slept through by the whole process (SIGSTOP, a frozen container, a
/// suspended machine): input from before the end of the grace is unread.
const SLEPT_AFTER: Duration = Duration::from_millis(500);
/// The time for the lanes to read this input.
const AFTER_SLEEP: Duration = Duration::from_secs(1);
/// How often the log has the number of remaining sessions: ten times in the grace, within these
/// bounds.
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

    /// Whether a second request to stop counts.
    pub(super) fn counts(&self, now: Time) -> bool {
        now.since(self.begun) >= SECOND_COUNTS_AFTER
    }

    /// Whether the grace is over. A grace that was slept through goes on for a second.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        if now.since(self.end) >= SLEPT_AFTER {
            self.end = now + AFTER_SLEEP;
        }
        now >= self.end
    }

    /// The rest of the grace.
    pub(super) fn left(&self, now: Time) -> Duration {
        self.end.since(now)
    }

    /// The next time to look at the stop.
    pub(super) fn next(&self) -> Time {
        self.next_word.min(self.end)
    }

    /// Whether to log the number of remaining sessions now; sets the next time.
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
