//! Whether a lane polls a little before it sleeps. Pure logic, given the time as an argument.

use std::time::Duration;

use crate::sys::Time;

/// Whether to poll a little before sleeping: only as long as that finds something often enough.
///
/// A sleep and its wake cost several microseconds on both sides, so a reply that comes within
/// `limit` is cheaper to wait for awake. A lane whose replies take longer stops trying.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// Spins that may still fail.
    credit: u32,
    /// Waits to sit out before trying again.
    pause: u32,
    /// When the turn began that ended in a spin.
    spun: Option<Time>,
    turn: Time,
}

impl Spin {
    const CREDIT: u32 = 4;
    const CREDIT_MAX: u32 = 16;
    const PAUSE: u32 = 128;

    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            credit: Self::CREDIT,
            pause: 0,
            spun: None,
            turn: Time::ZERO,
        }
    }

    /// A turn begins; if the last one spun, it paid if this one is not long after it.
    pub(super) fn learn(&mut self, now: Time) {
        if let Some(before) = self.spun.take() {
            if now.since(before) <= 2 * self.limit {
                self.credit = (self.credit + 2).min(Self::CREDIT_MAX);
            } else if self.credit > 1 {
                self.credit -= 1;
            } else {
                (self.credit, self.pause) = (Self::CREDIT, Self::PAUSE);
            }
        }
        self.turn = now;
    }

    pub(super) fn skip(&mut self) {
        self.spun = None;
    }

    pub(super) fn before_sleep(&mut self) -> Duration {
        if self.limit.is_zero() || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            return Duration::ZERO;
        }
        self.spun = Some(self.turn);
        self.limit
    }
}
