//! The verdict on an endpoint, from the results of checks, and the times between checks. Pure.

use std::time::Duration;

use crate::config::Health;
use crate::control::verdict::Verdict;

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
    /// Results in a row that contradict the verdict.
    against: u32,
}

/// A change of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The results in a row that decided.
    pub(super) checks: u32,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self {
            verdict: Verdict::Unknown,
            against: 0,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Notes the result of a check. The first good check of an unknown endpoint decides: sessions
    /// choose the endpoint in any case.
    pub(super) fn note(&mut self, is_good: bool, rules: &Rules) -> Option<Change> {
        let (to, needed) = match (self.verdict, is_good) {
            (Verdict::Unknown, true) => (Verdict::Up, 1),
            (Verdict::Down | Verdict::Ejected, true) => (Verdict::Up, rules.rise),
            (Verdict::Unknown | Verdict::Up, false) => (Verdict::Down, rules.fall),
            (Verdict::Up, true) | (Verdict::Down | Verdict::Ejected, false) => {
                self.against = 0;
                return None;
            }
        };
        // An unknown endpoint comes up by its first good check, however many were bad before.
        self.against = match self.verdict {
            Verdict::Unknown if is_good => 1,
            _ => self.against + 1,
        };
        if self.against < needed {
            return None;
        }
        let checks = self.against;
        *self = Self {
            verdict: to,
            against: 0,
        };
        Some(Change { checks })
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

    use super::{Change, Judge, Rules, first_wait};
    use crate::control::verdict::Verdict;

    const RULES: Rules = Rules {
        rise: 2,
        fall: 3,
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(1),
    };

    /// The verdicts behind each result: `+` is good, `-` bad; `u` is up, `d` down, `?` unknown.
    fn verdicts(results: &str) -> String {
        let mut judge = Judge::new();
        let after = |result: char| {
            judge.note(result == '+', &RULES);
            match judge.verdict() {
                Verdict::Unknown => '?',
                Verdict::Up => 'u',
                Verdict::Down | Verdict::Ejected => 'd',
            }
        };
        results.chars().map(after).collect()
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
    fn a_change_says_after_how_many_checks() {
        let mut judge = Judge::new();
        assert_eq!(judge.note(true, &RULES), Some(Change { checks: 1 }));
        assert_eq!(judge.note(false, &RULES), None);
        assert_eq!(judge.note(false, &RULES), None);
        assert_eq!(judge.note(false, &RULES), Some(Change { checks: 3 }));
        let mut judge = Judge::new();
        assert_eq!(judge.note(false, &RULES), None);
        assert_eq!(judge.note(true, &RULES), Some(Change { checks: 1 }));
    }

    #[test]
    fn checks_are_fast_while_the_verdict_may_change() {
        let mut judge = Judge::new();
        let mut waits = Vec::new();
        for result in [true, true, false, true, false, false, false, false, true] {
            judge.note(result, &RULES);
            waits.push(judge.wait(&RULES, 0.5).as_secs());
        }
        assert_eq!(waits, [10, 10, 1, 10, 1, 1, 10, 10, 1]);
        assert_eq!(Judge::new().wait(&RULES, 0.5).as_secs(), 1);
    }

    #[test]
    fn waits_are_spread() {
        let mut judge = Judge::new();
        judge.note(true, &RULES);
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
