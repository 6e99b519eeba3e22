//! An endpoint of an upstream as all lanes know it: its address, and whether it answers. Says in
//! the log when it does not, and when it does again. Chooses nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::end_reason::EndReason;
use crate::runtime::{LogInterval, Time};

/// One address of an upstream, and what came of connecting to it. Shared by all lanes.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    interval: LogInterval,
    /// Nanoseconds of the first failure since the last answer, twice, plus one if a failure since
    /// then has been logged; 0 while it answers.
    away: AtomicU64,
    /// Failures since the last answer.
    failures: AtomicU64,
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            interval: LogInterval::default(),
            away: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// A connect has failed, for a reason that is not this machine's.
    pub(super) fn failed(&self, upstream: &str, error: &io::Error, cause: EndReason, now: Time) {
        self.failures.fetch_add(1, Relaxed);
        let times = self.interval.note(now);
        let begun = now.as_nanos().max(1) << 1;
        let logged = u64::from(times.is_some());
        if self
            .away
            .compare_exchange(0, begun | logged, Relaxed, Relaxed)
            .is_err()
        {
            self.away.fetch_or(logged, Relaxed);
        }
        if let Some(times) = times {
            let endpoint = self.address;
            tracing::warn!(upstream, %endpoint, %cause, %error, times, "cannot connect");
        }
    }

    /// A connect has succeeded. Costs a load of what is seldom written, as long as all do.
    pub(super) fn answered(&self, upstream: &str, now: Time) {
        if self.away.load(Relaxed) == 0 {
            return;
        }
        let away = self.away.swap(0, Relaxed);
        let failures = self.failures.swap(0, Relaxed);
        // Only after a line that said that it did not, so that these are as few.
        if away & 1 == 1 {
            let away_for = millis(now.since(Time::from_nanos(away >> 1)));
            let endpoint = self.address;
            tracing::info!(upstream, %endpoint, ?away_for, failures, "answers again");
        }
    }
}

/// In whole milliseconds: what is more exact is not worth reading.
fn millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
