//! The time limits of a session. Pure: time is an argument.
//!
//! A message moves the deadline by a write of a single word, without a timer operation.

use std::time::Duration;

use crate::runtime::Time;

/// The time limits of a session.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the answer of an endpoint.
    pub connect: Duration,
    /// For the answers of all endpoints together.
    pub connect_total: Duration,
    /// Without a byte in either direction; `None`: no limit.
    pub idle: Option<Duration>,
    /// Without a byte after the end of a direction.
    pub half_close: Duration,
    /// From begin to end; `None`: no limit.
    pub lifetime: Option<Duration>,
    /// The most that the lifetime of a session is shortened by, in per cent. The part is random for
    /// each session, so that sessions with the same begin have different ends.
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

/// The limit that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    Idle,
    HalfClose,
    Lifetime,
}

/// Whether both directions of a session are open, or only a single direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Both,
    Half,
}

/// The clock of a session. Kept small, since every idle session has a clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// The end of the lifetime.
    end: Time,
    last: Time,
}

impl Deadline {
    /// A session that begins at `now`. `random` shifts the lifetime within its jitter.
    pub(super) fn new(timeouts: &Timeouts, now: Time, random: u64) -> Self {
        let end = timeouts.lifetime.map_or(Time::NEVER, |lifetime| {
            let span = lifetime * u32::from(timeouts.lifetime_jitter_percent) / 100;
            let parts = u32::try_from(random % 1001).expect("at most 1000");
            now + lifetime.saturating_sub(span / 1000 * parts)
        });
        Self { end, last: now }
    }

    /// Restarts the idle time: bytes have moved, or a direction has ended.
    pub(super) fn alive(&mut self, now: Time) {
        self.last = now;
    }

    /// The start of the present idle time.
    pub(super) fn last_active(&self) -> Time {
        self.last
    }

    /// The time of the next check; the end of time without any limit.
    pub(super) fn at(&self, timeouts: &Timeouts, open: Open) -> Time {
        self.end.min(self.last + open.quiet(timeouts).0)
    }

    /// The limit that is over at `now`, if any.
    pub(super) fn expired(&self, timeouts: &Timeouts, open: Open, now: Time) -> Option<Expired> {
        if now >= self.end {
            return Some(Expired::Lifetime);
        }
        let (limit, which) = open.quiet(timeouts);
        (now >= self.last + limit).then_some(which)
    }
}

impl Open {
    /// The longest time without a byte, and the limit behind this time.
    pub(super) fn quiet(self, timeouts: &Timeouts) -> (Duration, Expired) {
        let idle = timeouts.idle.unwrap_or(Duration::MAX);
        if self == Self::Half && timeouts.half_close <= idle {
            (timeouts.half_close, Expired::HalfClose)
        } else {
            (idle, Expired::Idle)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Deadline, Expired, Open, Timeouts};
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

    /// Checks that the deadline expires at `second` for the limit `which`, and not a second
    /// earlier.
    fn expires(deadline: Deadline, limits: &Timeouts, open: Open, (second, which): (u32, Expired)) {
        assert_eq!(deadline.at(limits, open), at(second));
        assert_eq!(deadline.expired(limits, open, at(second - 1)), None);
        assert_eq!(deadline.expired(limits, open, at(second)), Some(which));
    }

    #[test]
    fn idle_counts_from_the_last_byte() {
        let limits = &timeouts();
        let mut deadline = Deadline::new(limits, at(0), 0);
        expires(deadline, limits, Open::Both, (10, Expired::Idle));
        deadline.alive(at(9));
        expires(deadline, limits, Open::Both, (19, Expired::Idle));
    }

    #[test]
    fn a_half_closed_session_has_the_shorter_time() {
        let limits = &timeouts();
        let mut deadline = Deadline::new(limits, at(0), 0);
        deadline.alive(at(8));
        expires(deadline, limits, Open::Half, (11, Expired::HalfClose));
        let short_idle = Timeouts {
            idle: Some(2 * SECOND),
            ..timeouts()
        };
        let deadline = Deadline::new(&short_idle, at(0), 0);
        expires(deadline, &short_idle, Open::Half, (2, Expired::Idle));
        let never = Timeouts {
            idle: None,
            ..timeouts()
        };
        let deadline = Deadline::new(&never, at(0), 0);
        assert_eq!(deadline.at(&never, Open::Both), Time::NEVER);
        // Half-closed sessions always end.
        expires(deadline, &never, Open::Half, (3, Expired::HalfClose));
    }

    #[test]
    fn a_lifetime_ends_a_busy_session_within_its_jitter() {
        let limits = Timeouts {
            lifetime: Some(100 * SECOND),
            ..timeouts()
        };
        let mut deadline = Deadline::new(&limits, at(0), 77);
        deadline.alive(at(99));
        expires(deadline, &limits, Open::Both, (100, Expired::Lifetime));
        let jittered = Timeouts {
            lifetime_jitter_percent: 10,
            ..limits
        };
        let ends: Vec<Time> = (0..1001)
            .map(|random| {
                let mut deadline = Deadline::new(&jittered, at(0), random);
                deadline.alive(at(1000));
                deadline.at(&jittered, Open::Both)
            })
            .collect();
        assert_eq!(
            (ends.iter().min(), ends.iter().max()),
            (Some(&at(90)), Some(&at(100)))
        );
    }
}
