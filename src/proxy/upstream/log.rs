//! Log lines about connecting: an endpoint fails, an endpoint answers again, no endpoint is ready,
//! this machine has no descriptor, port or memory left.

use std::io;
use std::time::Duration;

use super::endpoint::{Endpoint, Outage};
use crate::proxy::end_reason::EndReason;
use crate::runtime::{LogInterval, Time};

/// A connect to the endpoint has failed. Returns whether this wrote a line.
pub(super) fn failed(
    upstream: &str,
    endpoint: &Endpoint,
    error: &io::Error,
    cause: EndReason,
    now: Time,
) -> bool {
    let times = endpoint.log.note(now);
    if let Some(times) = times {
        let endpoint = endpoint.address;
        tracing::warn!(upstream, %endpoint, %cause, %error, times, "cannot connect");
    }
    times.is_some()
}

/// A connect has failed for lack of resources of this machine. Names no endpoint, since no
/// endpoint is at fault.
pub(super) fn failed_locally(
    upstream: &str,
    interval: &LogInterval,
    error: &io::Error,
    cause: EndReason,
    now: Time,
) {
    if let Some(times) = interval.note(now) {
        tracing::warn!(upstream, %cause, %error, times, "cannot connect");
    }
}

/// A session has found no endpoint that an operator lets it choose.
pub(super) fn none_ready(upstream: &str, interval: &LogInterval, now: Time) {
    if let Some(times) = interval.note(now) {
        let cause = EndReason::NoEndpoint;
        tracing::warn!(upstream, %cause, times, "cannot connect");
    }
}

/// A session has found the queue full, or has waited too long for a place at an endpoint.
pub(super) fn no_place(upstream: &str, interval: &LogInterval, cause: EndReason, now: Time) {
    if let Some(times) = interval.note(now) {
        tracing::warn!(upstream, %cause, times, "no place at an endpoint");
    }
}

/// The endpoint answers again. Writes a line only if the log has one about the failure.
pub(super) fn answers_again(upstream: &str, endpoint: &Endpoint, outage: Outage) {
    if !outage.was_logged {
        return;
    }
    // Nobody needs more digits.
    let millis = u64::try_from(outage.lasted.as_millis()).unwrap_or(u64::MAX);
    let away_for = Duration::from_millis(millis);
    let (endpoint, failures) = (endpoint.address, outage.failures);
    tracing::info!(upstream, %endpoint, ?away_for, failures, "answers again");
}
