//! Rates as differences of counters between two looks at the server.

use std::collections::HashMap;
use std::time::Instant;

/// A counter of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counter {
    Process(What),
    Lane(u64, What),
    Listener(String, What),
    /// Of an upstream and an address.
    Endpoint(String, String, What),
    Session(u64, What),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Begun,
    /// Bytes from clients; of a lane and the process, from all peers.
    In,
    /// Bytes to clients; of a lane and the process, to all peers.
    Out,
    Turns,
    Polls,
    BusyNs,
}

/// The counters of the latest two looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    before: HashMap<Counter, (Instant, u64)>,
    now: HashMap<Counter, (Instant, u64)>,
}

impl Rates {
    /// Begins a look. Counters of the last but one are forgotten.
    pub(crate) fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// Takes a counter as read at `at`.
    pub(crate) fn count(&mut self, counter: Counter, value: u64, at: Instant) {
        self.now.insert(counter, (at, value));
    }

    /// Whether the server counts this, and a rate follows with the next look.
    pub(crate) fn is_counted(&self, counter: &Counter) -> bool {
        self.now.contains_key(counter)
    }

    /// Counts a second. `None` before the second look, and when a counter began anew.
    pub(crate) fn per_second(&self, counter: &Counter) -> Option<f64> {
        let (at, value) = self.now.get(counter)?;
        let (before_at, before) = self.before.get(counter)?;
        let seconds = at.checked_duration_since(*before_at)?.as_secs_f64();
        let difference = value.checked_sub(*before)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = difference as f64 / seconds;
        rate.is_finite().then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counter, Rates, What};
    use crate::clock::now;

    #[test]
    fn a_rate_needs_two_looks_in_a_row() {
        let (start, mut rates) = (now(), Rates::default());
        let counter = Counter::Session(7, What::In);
        let mut look = |at_ms: u64, value: Option<u64>| {
            rates.turn();
            let at = start + Duration::from_millis(at_ms);
            if let Some(value) = value {
                rates.count(counter.clone(), value, at);
            }
            rates.per_second(&counter)
        };
        assert_eq!(look(0, Some(100)), None);
        assert_eq!(look(500, Some(200)), Some(200.0));
        assert_eq!(look(2500, Some(200)), Some(0.0));
        assert_eq!(look(3000, Some(10)), None, "a new process counts from zero");
        assert_eq!(look(3500, None), None);
        assert_eq!(look(4000, Some(50)), None, "not of the look before");
        assert_eq!(look(4000, Some(60)), None, "no time has passed");
    }
}
