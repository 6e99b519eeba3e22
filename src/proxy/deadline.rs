//! When a session's time is over. Pure logic, given the time as an argument.
//!
//! A message moves a deadline by writing one word: no timer operation.

use std::time::Duration;

use crate::runtime::Time;

/// How long a session may take over what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One endpoint to answer.
    pub connect: Duration,
    /// All endpoints together.
    pub connect_total: Duration,
    /// Without a byte in either direction; `None` for ever.
    pub idle: Option<Duration>,
    /// Without a byte once one direction has ended.
    pub half_close: Duration,
    /// In all; `None` for ever.
    pub lifetime: Option<Duration>,
    /// How much of a lifetime may be cut off, a random part for each session, so that sessions
    /// that began together do not end together; in per cent of it.
    pub lifetime_jitter_percent: u8,
}

#[cfg(test)]
impl Timeouts {
    /// Longer than any test takes.
    pub(super) const LONG: Self = Self {
        connect: Duration::from_secs(3),
        connect_total: Duration::from_secs(10),
        idle: None,
        half_close: Duration::from_mins(1),
        lifetime: None,
        lifetime_jitter_percent: 0,
    };
}

/// Which time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Idle,
    HalfClose,
    Lifetime,
}

/// One session's clock. Every session has one, so it is kept small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// The end of the session's lifetime.
    end: Time,
    last: Time,
    half_closed: bool,
}

impl Deadline {
    /// A session that begins at `now`. `random` shifts the lifetime within its jitter.
    pub(super) fn new(timeouts: &Timeouts, now: Time, random: u64) -> Self {
        let end = timeouts.lifetime.map_or(Time::NEVER, |lifetime| {
            let span = lifetime * u32::from(timeouts.lifetime_jitter_percent) / 100;
            let parts = u32::try_from(random % 1001).expect("at most 1000");
            now + lifetime.saturating_sub(span / 1000 * parts)
        });
        Self {
            end,
            last: now,
            half_closed: false,
        }
    }

    /// Bytes moved.
    pub(super) fn alive(&mut self, now: Time) {
        self.last = now;
    }

    /// One direction has ended. From the first time on, the other has its own time for it: silence
    /// before does not count.
    pub(super) fn half_closed(&mut self, now: Time) {
        if !std::mem::replace(&mut self.half_closed, true) {
            self.last = now;
        }
    }

    /// When to look next; the end of time if never.
    pub(super) fn at(&self, timeouts: &Timeouts) -> Time {
        self.end.min(self.last + self.quiet(timeouts).0)
    }

    /// Which time is over at `now`.
    pub(super) fn expired(&self, timeouts: &Timeouts, now: Time) -> Option<Expired> {
        if now >= self.end {
            return Some(Expired::Lifetime);
        }
        let (limit, which) = self.quiet(timeouts);
        (now >= self.last + limit).then_some(which)
    }

    /// How long nothing may move.
    fn quiet(&self, timeouts: &Timeouts) -> (Duration, Expired) {
        let idle = timeouts.idle.unwrap_or(Duration::MAX);
        if self.half_closed && timeouts.half_close <= idle {
            (timeouts.half_close, Expired::HalfClose)
        } else {
            (idle, Expired::Idle)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Deadline, Expired, Timeouts};
    use crate::runtime::Time;

    const SECOND: Duration = Duration::from_secs(1);

    fn timeouts() -> Timeouts {
        Timeouts {
            connect: SECOND,
            connect_total: SECOND,
            idle: Some(10 * SECOND),
            half_close: 3 * SECOND,
            lifetime: None,
            lifetime_jitter_percent: 0,
        }
    }

    fn at(seconds: u32) -> Time {
        Time::ZERO + seconds * SECOND
    }

    #[test]
    fn idle_counts_from_the_last_byte() {
        let limits = &timeouts();
        let mut deadline = Deadline::new(limits, at(0), 0);
        assert_eq!(
            (deadline.at(limits), deadline.expired(limits, at(9))),
            (at(10), None)
        );
        deadline.alive(at(9));
        assert_eq!(
            (deadline.at(limits), deadline.expired(limits, at(18))),
            (at(19), None)
        );
        assert_eq!(deadline.expired(limits, at(19)), Some(Expired::Idle));
    }

    #[test]
    fn a_half_closed_session_has_the_shorter_time() {
        let limits = &timeouts();
        let mut deadline = Deadline::new(limits, at(0), 0);
        deadline.half_closed(at(8));
        assert_eq!(
            (deadline.at(limits), deadline.expired(limits, at(10))),
            (at(11), None),
            "what was silent before its FIN has not used up the time after it"
        );
        deadline.half_closed(at(9));
        assert_eq!(deadline.expired(limits, at(11)), Some(Expired::HalfClose));
        let short_idle = Timeouts {
            idle: Some(2 * SECOND),
            ..timeouts()
        };
        let mut deadline = Deadline::new(&short_idle, at(0), 0);
        deadline.half_closed(at(0));
        assert_eq!(deadline.expired(&short_idle, at(2)), Some(Expired::Idle));
        let never = Timeouts {
            idle: None,
            ..timeouts()
        };
        let mut deadline = Deadline::new(&never, at(0), 0);
        assert_eq!(deadline.at(&never), Time::NEVER);
        deadline.half_closed(at(0));
        assert_eq!(
            deadline.at(&never),
            at(3),
            "half-closed sessions always end"
        );
    }

    #[test]
    fn a_lifetime_ends_a_busy_session_within_its_jitter() {
        let limits = Timeouts {
            lifetime: Some(100 * SECOND),
            ..timeouts()
        };
        let mut deadline = Deadline::new(&limits, at(0), 77);
        deadline.alive(at(99));
        assert_eq!(deadline.expired(&limits, at(99)), None);
        assert_eq!(deadline.expired(&limits, at(100)), Some(Expired::Lifetime));
        let jittered = Timeouts {
            lifetime_jitter_percent: 10,
            ..limits
        };
        let ends: Vec<Time> = (0..1001)
            .map(|random| {
                let mut deadline = Deadline::new(&jittered, at(0), random);
                deadline.alive(at(1000));
                deadline.at(&jittered)
            })
            .collect();
        assert_eq!(
            (ends.iter().min(), ends.iter().max()),
            (Some(&at(90)), Some(&at(100)))
        );
    }
}
