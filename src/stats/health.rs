//! The counters of the health checks of an endpoint.

use super::counter::Counter;
use super::histogram::Histogram;
use super::per_word::PerWord;

/// The counters of the health checks of an endpoint, written by the control thread.
#[derive(Debug)]
pub struct HealthStats {
    /// Checks by the result.
    pub checks: PerWord,
    /// Microseconds of a good check.
    pub duration: Histogram,
    /// Ejections by failures of sessions.
    pub ejections: Counter,
}

impl HealthStats {
    /// Zero, with these words for the results.
    #[must_use]
    pub fn new(results: &'static [&'static str]) -> Self {
        Self {
            checks: PerWord::new(results),
            duration: Histogram::default(),
            ejections: Counter::default(),
        }
    }
}
