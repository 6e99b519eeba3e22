//! Decides whether a lane polls for a while before sleeping. Pure logic; time is an argument.

use std::time::Duration;

use crate::sys::Time;

/// Decides whether to poll before sleeping: only as long as the polls find completions often
/// enough.
///
/// A sleep and its wake cost several microseconds on both sides, so waiting awake is cheaper for a
/// reply within `limit`. A lane with slower replies stops trying.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// Spins that may still fail.
    credit: u32,
    /// Waits without a spin before the next try.
    pause: u32,
    /// Begin of the turn that ended in a spin.
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

    /// A turn begins; the last turn's spin has paid if this turn comes soon after it.
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
