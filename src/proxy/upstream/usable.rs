//! What the health of an endpoint means for the choice: set by the control thread, read by every
//! new session.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use crate::runtime::Time;

/// An endpoint that comes back begins with this part of its share.
const FIRST_PART: u64 = 10;

/// Whether sessions may choose an endpoint that an operator lets them choose, too, and how much of
/// its share it has. All of it, until the control thread says otherwise.
#[derive(Debug, Default)]
pub(super) struct SharedUsable {
    is_out: AtomicBool,
    /// The begin of a slow start, in nanoseconds; 0 without one.
    begun: AtomicU64,
    /// The length of the slow start, in nanoseconds.
    over: AtomicU64,
}

impl SharedUsable {
    pub(super) fn get(&self) -> bool {
        !self.is_out.load(Relaxed)
    }

    pub(super) fn set(&self, is_usable: bool) {
        self.is_out.store(!is_usable, Relaxed);
    }

    /// Lets the share grow from now on, over this time.
    pub(super) fn start_slowly(&self, now: Time, over: Duration) {
        let over = u64::try_from(over.as_nanos()).unwrap_or(u64::MAX);
        self.over.store(over.max(1), Relaxed);
        self.begun.store(now.as_nanos().max(1), Relaxed);
    }

    /// The present part of a share: a tenth at the begin of a slow start, and then in proportion to
    /// the time. At least 1 of a share above 0.
    pub(super) fn ramp(&self, share: u32, now: Time) -> u32 {
        let begun = self.begun.load(Relaxed);
        if begun == 0 {
            return share;
        }
        let over = self.over.load(Relaxed);
        let elapsed = now.since(Time::from_nanos(begun)).as_nanos();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if elapsed >= over {
            // Later choices read one word. Fails if another slow start begins at this moment.
            _ = self.begun.compare_exchange(begun, 0, Relaxed, Relaxed);
            return share;
        }
        let part = u128::from(elapsed.max(over / FIRST_PART));
        let grown = u128::from(share) * part / u128::from(over);
        u32::try_from(grown).map_or(share, |grown| grown.max(share.min(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SharedUsable;
    use crate::runtime::Time;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_share_grows_in_proportion_to_the_time() {
        let of = SharedUsable::default();
        assert_eq!(of.ramp(256, at(0)), 256);
        of.start_slowly(at(100), Duration::from_secs(50));
        for (second, share) in [(100, 100), (104, 100), (110, 200), (125, 500), (149, 980)] {
            assert_eq!(of.ramp(1000, at(second)), share, "{second}");
            assert_eq!(of.ramp(1, at(second)), 1);
            assert_eq!(of.ramp(0, at(second)), 0);
        }
        assert_eq!(of.ramp(1000, at(150)), 1000);
        assert_eq!(of.ramp(1000, at(151)), 1000);
        // The next outage begins anew.
        of.start_slowly(at(200), Duration::from_secs(10));
        assert_eq!(of.ramp(1000, at(205)), 500);
    }

    #[test]
    fn an_endpoint_is_usable_until_it_is_not() {
        let of = SharedUsable::default();
        assert!(of.get());
        of.set(false);
        assert!(!of.get());
        of.set(true);
        assert!(of.get());
    }
}
