//! The ejection of an endpoint by the failures of its sessions. Pure: time is an argument.
//!
//! An ejected endpoint is back when its time is over, and on probation: a single failure ejects it
//! anew, for twice the time, and a single session that works ends the probation.

use std::time::Duration;

use crate::config::Ejection;
use crate::sys::Time;

/// The failures of sessions that the lanes have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Failed connects since the last connect that succeeded.
    pub(crate) connects: u64,
    /// Sessions that the endpoint has reset before its first byte, since the last first byte.
    pub(crate) resets: u64,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Out for this time.
    Out(Duration),
    /// Back, on probation.
    Back,
}

/// The ejections of an endpoint over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Ejector {
    state: State,
    /// Ejections without a session that works in between.
    times: u32,
    /// The counts at the return from the last ejection.
    before: Seen,
    is_due: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    In,
    Out(Time),
    Probation,
}

impl Ejector {
    pub(super) fn is_out(&self) -> bool {
        matches!(self.state, State::Out(_))
    }

    /// Looks at the counts. `may_eject` is whether there is room for an ejection, and is asked only
    /// if one is due.
    pub(super) fn look(
        &mut self,
        seen: Seen,
        rules: &Ejection,
        now: Time,
        may_eject: impl FnOnce() -> bool,
    ) -> Option<Turn> {
        if let State::Out(until) = self.state {
            if now < until {
                return None;
            }
            (self.state, self.before) = (State::Probation, seen);
            return Some(Turn::Back);
        }
        if seen == Seen::default() {
            // Every count has ended at a session that works.
            if self.state == State::Probation {
                *self = Self::default();
            }
            (self.before, self.is_due) = (seen, false);
            return None;
        }
        let failures = self.since(seen);
        let most = match self.state {
            State::Probation => 1,
            State::In | State::Out(_) => u64::from(rules.after),
        };
        self.is_due = failures >= most;
        if !self.is_due || !may_eject() {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.times).unwrap_or(u32::MAX).max(1);
        let time = rules.time.saturating_mul(doubled).min(rules.time_max);
        self.times = self.times.saturating_add(1).min(31);
        self.state = State::Out(now + time);
        Some(Turn::Out(time))
    }

    /// Whether the last look has found failures for an ejection.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Failures in a row behind the last return.
    fn since(&mut self, seen: Seen) -> u64 {
        let Seen { connects, resets } = &mut self.before;
        // A count below that of the return has begun anew.
        *connects = if seen.connects < *connects {
            0
        } else {
            *connects
        };
        *resets = if seen.resets < *resets { 0 } else { *resets };
        (seen.connects - *connects).max(seen.resets - *resets)
    }
}

/// The most endpoints of an upstream that may be out at a time.
pub(super) fn ejected_max(rules: &Ejection, endpoints: usize) -> usize {
    endpoints * usize::from(rules.share_max) / 100
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ejector, Seen, Turn, ejected_max};
    use crate::config::Ejection;
    use crate::sys::Time;

    const RULES: Ejection = Ejection {
        after: 3,
        time: Duration::from_secs(10),
        time_max: Duration::from_secs(35),
        share_max: 50,
    };

    fn seen(connects: u64, resets: u64) -> Seen {
        Seen { connects, resets }
    }

    fn out(seconds: u64) -> Option<Turn> {
        Some(Turn::Out(Duration::from_secs(seconds)))
    }

    /// Looks at a second; there is room.
    fn look(ejector: &mut Ejector, second: u64, seen: Seen) -> Option<Turn> {
        let now = Time::ZERO + Duration::from_secs(second);
        ejector.look(seen, &RULES, now, || true)
    }

    #[test]
    fn failures_in_a_row_eject_for_a_growing_time() {
        let mut of = Ejector::default();
        assert_eq!(look(&mut of, 0, seen(2, 2)), None);
        assert_eq!(look(&mut of, 1, seen(3, 0)), out(10));
        assert!(of.is_out());
        assert_eq!(look(&mut of, 10, seen(9, 0)), None);
        assert_eq!(look(&mut of, 11, seen(9, 0)), Some(Turn::Back));
        // On probation a single failure is enough.
        assert_eq!(look(&mut of, 12, seen(9, 0)), None);
        assert_eq!(look(&mut of, 13, seen(10, 0)), out(20));
        assert_eq!(look(&mut of, 33, seen(10, 0)), Some(Turn::Back));
        assert_eq!(look(&mut of, 34, seen(10, 1)), out(35));
        assert_eq!(look(&mut of, 69, seen(10, 1)), Some(Turn::Back));
        assert_eq!(look(&mut of, 70, seen(11, 1)), out(35));
    }

    #[test]
    fn a_session_that_works_ends_the_probation() {
        let mut of = Ejector::default();
        assert_eq!(look(&mut of, 0, seen(0, 3)), out(10));
        assert_eq!(look(&mut of, 10, seen(0, 3)), Some(Turn::Back));
        assert_eq!(look(&mut of, 11, seen(0, 0)), None);
        assert_eq!(look(&mut of, 12, seen(2, 1)), None);
        assert_eq!(look(&mut of, 13, seen(3, 1)), out(10), "the first again");
    }

    #[test]
    fn a_count_that_began_anew_is_counted_from_there() {
        let mut of = Ejector::default();
        assert_eq!(look(&mut of, 0, seen(5, 4)), out(10));
        assert_eq!(look(&mut of, 10, seen(5, 4)), Some(Turn::Back));
        // A connect has succeeded and one has failed since, between two looks.
        assert_eq!(look(&mut of, 11, seen(1, 4)), out(20));
    }

    #[test]
    fn without_room_an_endpoint_stays() {
        let mut of = Ejector::default();
        let now = Time::ZERO;
        assert_eq!(of.look(seen(9, 0), &RULES, now, || false), None);
        assert!(!of.is_out());
        assert_eq!(of.look(seen(9, 0), &RULES, now, || true), out(10));
        for (endpoints, most) in [(1, 0), (2, 1), (3, 1), (10, 5)] {
            assert_eq!(ejected_max(&RULES, endpoints), most);
        }
    }
}
