//! Limits recurring log lines to one a second, over all lanes together. The code that logs such an
//! event asks first. Never logs, never reads the clock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::sys::Time;

/// The least time between two lines about the same event.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts occurrences of one event, and decides when to log them. Shared by all lanes (`Arc`), so
/// the interval holds for the process; wait-free.
#[derive(Debug, Default)]
pub struct LogInterval {
    /// Occurrences since the last line.
    count: AtomicU64,
    /// The time in nanoseconds from which the next line may be logged.
    due: AtomicU64,
}

impl LogInterval {
    /// Counts an occurrence at `now`. Returns the number of occurrences since the last line, with
    /// this occurrence, if the caller is to log them; only one caller gets the number.
    pub(crate) fn note(&self, now: Time) -> Option<u64> {
        self.count.fetch_add(1, Relaxed);
        let due = self.due.load(Relaxed);
        if now.as_nanos() < due {
            return None;
        }
        let next = (now + INTERVAL).as_nanos();
        // Fails if a second lane logs at the same time: this occurrence is in that line's number or
        // in the next line's.
        self.due
            .compare_exchange(due, next, Relaxed, Relaxed)
            .ok()?;
        let count = self.count.swap(0, Relaxed);
        // A lane that slept since the exchange may find its own occurrence logged.
        (count > 0).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;
    use std::time::Duration;

    use super::LogInterval;
    use crate::sys::Time;

    #[test]
    fn a_line_tells_of_all_since_the_last_one() {
        let interval = LogInterval::default();
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let told = [0, 1, 999, 1000, 1001, 5000].map(|millis| interval.note(at(millis)));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    #[test]
    fn one_of_many_lanes_logs_and_no_occurrence_is_lost() {
        let (interval, lines, told) =
            (LogInterval::default(), AtomicU64::new(0), AtomicU64::new(0));
        let note = |millis| {
            if let Some(count) = interval.note(Time::ZERO + Duration::from_millis(millis)) {
                lines.fetch_add(1, Relaxed);
                told.fetch_add(count, Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(note));
            }
        });
        assert!(lines.load(Relaxed) <= 20, "{lines:?} lines in 20 s");
        note(60_000);
        assert_eq!(told.load(Relaxed), 80_001);
    }
}
