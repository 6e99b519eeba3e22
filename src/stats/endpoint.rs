//! The counters of an endpoint of an upstream on one lane.

use super::counter::Counter;
use super::histogram::Histogram;
use super::per_word::PerWord;

/// The counters of an endpoint on one lane, of all generations. Aligned as the counters of a
/// listener.
#[derive(Debug)]
#[repr(align(128))]
pub struct EndpointStats {
    /// Bytes from clients that the kernel has accepted for the endpoint.
    pub from_client: Counter,
    /// Bytes of the endpoint that the kernel has accepted for clients.
    pub to_client: Counter,
    /// Connects begun.
    pub attempts: Counter,
    /// Sessions that the endpoint has answered.
    pub begun: Counter,
    /// Of these sessions, those ended, by the reason.
    pub ended: PerWord,
    /// Failed connects, by the cause.
    pub failures: PerWord,
    /// Microseconds of a connect that the endpoint has answered.
    pub connect: Histogram,
    /// Microseconds from the answer to the first byte for the client.
    pub first_byte: Histogram,
}

impl EndpointStats {
    /// Zero, with these words for the ends of sessions and for the causes of failures.
    #[must_use]
    pub fn new(ends: &'static [&'static str], causes: &'static [&'static str]) -> Self {
        Self {
            from_client: Counter::default(),
            to_client: Counter::default(),
            attempts: Counter::default(),
            begun: Counter::default(),
            ended: PerWord::new(ends),
            failures: PerWord::new(causes),
            connect: Histogram::default(),
            first_byte: Histogram::default(),
        }
    }

    /// Connected sessions that have not ended.
    #[must_use]
    pub fn live(&self) -> u64 {
        // A reader of a foreign lane's counters may see a session's end before its begin.
        let ended = self.ended.sum();
        self.begun.value().saturating_sub(ended)
    }
}
