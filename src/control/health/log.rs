//! Log lines of the checks: one for each change of a verdict, and one a second for what this
//! machine lacks.

use std::io;
use std::time::Duration;

use super::judge::Change;
use super::watch::Watch;
use crate::control::verdict::Verdict;
use crate::runtime::LogInterval;
use crate::sys;

/// A verdict has changed.
pub(super) fn turned(watch: &Watch, change: Change, reason: Option<&str>) {
    let (upstream, endpoint, checks) = (&*watch.upstream, watch.address, change.checks);
    // Nobody needs more digits.
    let millis = u64::try_from(change.lasted.as_millis()).unwrap_or(u64::MAX);
    let lasted = Duration::from_millis(millis);
    match change.to {
        Verdict::Down => {
            let reason = reason.unwrap_or_default();
            tracing::warn!(upstream, %endpoint, reason, checks, ?lasted, "the endpoint is down");
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
