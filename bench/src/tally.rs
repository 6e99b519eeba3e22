//! What one lane counts, and how the lanes' counts become one. One writer each: nothing is shared
//! while the load runs.

use std::time::Duration;

use corelane::sys::Time;
use hdrhistogram::Histogram;

use crate::fault::{Fault, Kind};

/// The longest latency that is told from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(3600);
/// Decimal digits that a latency keeps.
const DIGITS: u8 = 3;
/// Faults that are kept in full; the others are only counted.
const DETAILS: usize = 10;

/// A lane's counts. Its size does not depend on how long the load runs.
#[derive(Debug)]
pub(crate) struct Tally {
    /// From before a message is handed over until its last byte is back, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Messages that came back whole, within the measured time.
    pub(crate) messages: u64,
    /// Bytes within the measured time.
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Connections that were opened.
    pub(crate) opened: u32,
    /// When the last of the measured messages came back.
    pub(crate) last: Time,
    pub(crate) faults: Faults,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let high = u64::try_from(LATENCY_MAX.as_nanos()).expect("an hour fits 64 bits");
        Self {
            latency: Histogram::new_with_bounds(1, high, DIGITS).expect("the bounds are in order"),
            messages: 0,
            sent_bytes: 0,
            received_bytes: 0,
            opened: 0,
            last: Time::ZERO,
            faults: Faults::default(),
        }
    }

    /// Counts a latency; no allocation.
    pub(crate) fn record(&mut self, latency: Duration) {
        // One beyond the bound counts as the bound.
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanos);
    }

    /// Adds another lane's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.latency
            .add(&other.latency)
            .expect("all have the same bounds");
        self.messages += other.messages;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.opened += other.opened;
        self.last = self.last.max(other.last);
        self.faults.extend(other.faults);
    }
}

/// Faults by kind, the first few in full.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    counts: [u64; Kind::ALL.len()],
    first: Vec<Fault>,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        self.counts[fault.kind as usize] += 1;
        if self.first.len() < DETAILS {
            self.first.push(fault);
        }
    }

    /// How often each kind occurred.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.counts)
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first few.
    pub(crate) fn first(&self) -> &[Fault] {
        &self.first
    }

    fn extend(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        let room = DETAILS - self.first.len();
        self.first.extend(other.first.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use corelane::sys::Time;

    use super::{DETAILS, Tally};
    use crate::fault::{Fault, Kind};

    fn tally(latencies_us: impl IntoIterator<Item = u64>, faults: u32) -> Tally {
        let mut tally = Tally::new();
        for latency in latencies_us {
            tally.record(Duration::from_micros(latency));
            tally.messages += 1;
        }
        for connection in 0..faults {
            tally.faults.push(Fault::closed_early(connection, 0, 1));
        }
        tally.last = Time::from_nanos(tally.messages);
        tally
    }

    #[test]
    fn lanes_add_up() {
        let mut all = tally(1..=500, 7);
        all.add(tally(501..=1000, 8));
        assert_eq!((all.messages, all.latency.len()), (1000, 1000));
        assert_eq!(all.last, Time::from_nanos(500));
        let median = all.latency.value_at_quantile(0.5);
        assert!((500_000..501_000).contains(&median), "{median}");
        assert!((1_000_000..1_001_000).contains(&all.latency.max()));
        assert_eq!(all.faults.total(), 15);
        assert_eq!(all.faults.first().len(), DETAILS);
        let closed = all
            .faults
            .counts()
            .find(|(kind, _)| *kind == Kind::ClosedEarly);
        assert_eq!(closed, Some((Kind::ClosedEarly, 15)));
    }

    #[test]
    fn a_latency_beyond_the_bound_counts_as_the_bound() {
        let mut tally = Tally::new();
        tally.record(Duration::from_secs(100_000));
        assert_eq!(tally.latency.len(), 1);
        assert!(tally.latency.max() >= 3_600_000_000_000);
    }
}
