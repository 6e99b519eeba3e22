//! The counters of a listener on one lane.

use super::counter::Counter;
use super::histogram::Histogram;
use super::per_word::PerWord;

/// The counters of a listener on one lane, of all its generations. Aligned, since two lanes must
/// not write to one cache line; processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct ListenerStats {
    /// Bytes from clients that the kernel has accepted for the far end.
    pub from_client: Counter,
    /// Bytes that the kernel has accepted for clients.
    pub to_client: Counter,
    /// Connections that an accept loop of the lane has accepted.
    pub accepted: Counter,
    /// Accepts that failed for want of descriptors or memory.
    pub accept_failures: Counter,
    /// Accepted connections that have waited, or wait, for a permit of `max_sessions`.
    pub permit_waits: Counter,
    /// Those that wait no more.
    pub permit_waits_ended: Counter,
    /// Sessions begun.
    pub begun: Counter,
    /// Sessions that have reached the relay.
    pub relays_begun: Counter,
    /// Relays that have ended.
    pub relays_ended: Counter,
    /// Sessions ended, by the reason.
    pub ended: PerWord,
    /// Microseconds from the accept to the begin.
    pub waited: Histogram,
    /// Microseconds from the begin to the answer of an endpoint.
    pub connect: Histogram,
    /// Microseconds from the begin to the first byte of the endpoint.
    pub first_byte: Histogram,
    /// Microseconds from the begin to the end.
    pub life: Histogram,
    /// Bytes of ended sessions from their clients.
    pub session_from_client: Histogram,
    /// Bytes of ended sessions to their clients.
    pub session_to_client: Histogram,
}

impl ListenerStats {
    /// Zero, with these words for the ends of sessions.
    #[must_use]
    pub fn new(ends: &'static [&'static str]) -> Self {
        Self {
            from_client: Counter::default(),
            to_client: Counter::default(),
            accepted: Counter::default(),
            accept_failures: Counter::default(),
            permit_waits: Counter::default(),
            permit_waits_ended: Counter::default(),
            begun: Counter::default(),
            relays_begun: Counter::default(),
            relays_ended: Counter::default(),
            ended: PerWord::new(ends),
            waited: Histogram::default(),
            connect: Histogram::default(),
            first_byte: Histogram::default(),
            life: Histogram::default(),
            session_from_client: Histogram::default(),
            session_to_client: Histogram::default(),
        }
    }

    /// Sessions that have begun and not ended.
    #[must_use]
    pub fn live(&self) -> u64 {
        // A reader of a foreign lane's counters may see a session's end before its begin.
        let ended = self.ended.sum();
        self.begun.value().saturating_sub(ended)
    }

    /// Sessions that have not reached the relay.
    #[must_use]
    pub fn opening(&self) -> u64 {
        let relays_ended = self.relays_ended.value();
        let relays = self.relays_begun.value().saturating_sub(relays_ended);
        self.live().saturating_sub(relays)
    }

    /// Accepted connections that wait for a permit.
    #[must_use]
    pub fn queued(&self) -> u64 {
        let ended = self.permit_waits_ended.value();
        self.permit_waits.value().saturating_sub(ended)
    }
}
