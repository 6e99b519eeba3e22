//! Log lines of the health of endpoints: one for each change, and one a second for what this
//! machine lacks.

use std::io;
use std::time::Duration;

use super::watch::Watch;
use crate::control::verdict::Verdict;
use crate::runtime::LogInterval;
use crate::sys::{self, Time};

/// A verdict has changed, by so many checks in a row, after so long a time.
pub(super) fn turned(
    watch: &Watch,
    to: Verdict,
    reason: Option<&str>,
    checks: Option<u32>,
    lasted: Duration,
) {
    let (upstream, endpoint) = (&*watch.upstream, watch.address);
    // Nobody needs more digits.
    let millis = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
    let lasted = Duration::from_millis(millis);
    match to {
        Verdict::Down => {
            tracing::warn!(upstream, %endpoint, reason, checks, ?lasted, "the endpoint is down");
        }
        Verdict::Ejected => {
            tracing::warn!(upstream, %endpoint, reason, ?lasted, "the endpoint is ejected");
        }
        Verdict::Up | Verdict::Unknown => {
            tracing::info!(upstream, %endpoint, checks, ?lasted, "the endpoint is up");
        }
    }
}

/// A check has failed for lack of a resource of this machine.
pub(super) fn lacks(interval: &LogInterval, watch: &Watch, error: &io::Error) {
    if let Some(times) = interval.note(sys::now()) {
        let upstream = &*watch.upstream;
        tracing::warn!(upstream, %error, times, "cannot check endpoints; verdicts stay");
    }
}

/// An endpoint fails, and `max_ejected` keeps it in.
pub(super) fn cannot_eject(interval: &LogInterval, watch: &Watch, now: Time) {
    if let Some(times) = interval.note(now) {
        let (upstream, endpoint) = (&*watch.upstream, watch.address);
        tracing::warn!(upstream, %endpoint, times, "max_ejected endpoints are ejected already");
    }
}

/// An upstream begins or ends to use all endpoints of a level.
pub(super) fn panics(upstream: &str, level: Option<u8>) {
    match level {
        Some(level) => tracing::warn!(
            upstream,
            level,
            "too few endpoints are usable: sessions choose among all"
        ),
        None => tracing::info!(upstream, "enough endpoints are usable again"),
    }
}
