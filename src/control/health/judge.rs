//! The verdict on an endpoint, from the results of checks. Pure: time is an argument.

use std::time::Duration;

use crate::config::Health;
use crate::control::verdict::Verdict;
use crate::sys::Time;

/// Waits differ by up to this share in both directions, so that checks of many endpoints, and of
/// many machines, do not go in step.
const JITTER: f64 = 0.1;
/// The first checks are spread over this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The results in a row that change a verdict, and the times between checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) interval: Duration,
    pub(super) fast_interval: Duration,
}

impl Rules {
    pub(super) fn of(health: &Health) -> Self {
        Self {
            rise: health.rise,
            fall: health.fall,
            interval: health.interval,
            fast_interval: health.fast_interval,
        }
    }
}

/// The verdict on an endpoint over time.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    verdict: Verdict,
    since: Time,
    /// Results in a row that contradict the verdict.
    against: u32,
}

/// A change of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) to: Verdict,
    /// How long the verdict before has lasted.
    pub(super) lasted: Duration,
    /// The results in a row that decided.
    pub(super) checks: u32,
}

impl Judge {
    pub(super) fn new(now: Time) -> Self {
        Self {
            verdict: Verdict::Unknown,
            since: now,
            against: 0,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The time of the last change.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Notes the result of a check. The first good check of an unknown endpoint decides: sessions
    /// choose the endpoint in any case.
    pub(super) fn note(&mut self, is_good: bool, rules: &Rules, now: Time) -> Option<Change> {
        let (to, needed) = match (self.verdict, is_good) {
            (Verdict::Unknown, true) => (Verdict::Up, 1),
            (Verdict::Down, true) => (Verdict::Up, rules.rise),
            (Verdict::Unknown | Verdict::Up, false) => (Verdict::Down, rules.fall),
            (Verdict::Up, true) | (Verdict::Down, false) => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        let change = Change {
            to,
            lasted: now.since(self.since),
            checks: self.against,
        };
        *self = Self {
            verdict: to,
            since: now,
            against: 0,
        };
        Some(change)
    }

    /// From the begin of a check to the begin of the next, with a random `fraction` of 0 to 1.
    pub(super) fn wait(&self, rules: &Rules, fraction: f64) -> Duration {
        let is_decided = self.against == 0 && self.verdict != Verdict::Unknown;
        let wait = match is_decided {
            true => rules.interval,
            false => rules.fast_interval,
        };
        wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * fraction)
    }
}

/// From the begin of the watch to the first check, with a random `fraction` of 0 to 1.
pub(super) fn first_wait(rules: &Rules, fraction: f64) -> Duration {
    rules.interval.min(FIRST_WITHIN).mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Judge, Rules, first_wait};
    use crate::control::verdict::Verdict;
    use crate::sys::Time;

    const RULES: Rules = Rules {
        rise: 2,
        fall: 3,
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(1),
    };

    fn at(seconds: usize) -> Time {
        Time::ZERO + Duration::from_secs(seconds as u64)
    }

    /// The verdicts behind each result: `+` is good, `-` bad; `u` is up, `d` down, `?` unknown.
    fn verdicts(results: &str) -> String {
        let mut judge = Judge::new(at(0));
        let after = |(second, result): (usize, char)| {
            judge.note(result == '+', &RULES, at(second));
            match judge.verdict() {
                Verdict::Unknown => '?',
                Verdict::Up => 'u',
                Verdict::Down => 'd',
            }
        };
        results.chars().enumerate().map(after).collect()
    }

    #[test]
    fn verdicts_follow_results_in_a_row() {
        for (results, expected) in [
            ("+", "u"),
            ("---", "??d"),
            ("--+", "??u"),
            // Two bad ones are no three, however often.
            ("+--+--+--+", "uuuuuuuuuu"),
            ("+---", "uuud"),
            ("+---+-+-++", "uuudddddd" /* and up */),
            ("+---++", "uuuddu"),
            ("+---++---", "uuudduuud"),
        ] {
            let found = verdicts(results);
            assert!(found.starts_with(expected), "{results}: {found}");
        }
        assert_eq!(verdicts("+---+-+-++"), "uuudddddd".to_owned() + "u");
    }

    #[test]
    fn a_change_says_how_long_and_after_how_many() {
        let mut judge = Judge::new(at(0));
        assert!(judge.note(true, &RULES, at(5)).is_some());
        assert_eq!(judge.since(), at(5));
        assert!(judge.note(false, &RULES, at(6)).is_none());
        assert!(judge.note(false, &RULES, at(7)).is_none());
        let change = judge.note(false, &RULES, at(8)).unwrap();
        assert_eq!(
            (change.to, change.lasted, change.checks),
            (Verdict::Down, Duration::from_secs(3), 3)
        );
    }

    #[test]
    fn checks_are_fast_while_the_verdict_may_change() {
        let mut judge = Judge::new(at(0));
        let mut waits = Vec::new();
        for result in [true, true, false, true, false, false, false, false, true] {
            judge.note(result, &RULES, at(1));
            waits.push(judge.wait(&RULES, 0.5).as_secs());
        }
        assert_eq!(waits, [10, 10, 1, 10, 1, 1, 10, 10, 1]);
        assert_eq!(Judge::new(at(0)).wait(&RULES, 0.5).as_secs(), 1);
    }

    #[test]
    fn waits_are_spread() {
        let mut judge = Judge::new(at(0));
        judge.note(true, &RULES, at(1));
        let spread = [0.0, 0.5, 1.0].map(|fraction| judge.wait(&RULES, fraction).as_millis());
        assert_eq!(spread, [9_000, 10_000, 11_000]);
        assert_eq!(first_wait(&RULES, 0.25).as_millis(), 250);
        let rules = Rules {
            interval: Duration::from_millis(100),
            ..RULES
        };
        assert_eq!(first_wait(&rules, 1.0).as_millis(), 100);
    }
}
