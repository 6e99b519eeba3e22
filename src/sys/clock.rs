//! The monotonic clock. A lane reads the clock once per turn and passes the time down. Otherwise
//! only the pollers read the clock, while they spin. The simulator has a clock of its own.

use std::ops::Add;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A moment, in nanoseconds since the process first asked. Never goes back, ignores wall-clock
/// changes (`CLOCK_MONOTONIC`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The first moment.
    pub const ZERO: Self = Self(0);

    /// The end of time.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after [`Time::ZERO`].
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since [`Time::ZERO`].
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `self` is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates at the end of time, 584 years after the start.
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The present moment.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Time::ZERO + elapsed
}
