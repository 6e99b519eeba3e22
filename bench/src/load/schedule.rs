//! The due times of messages in an open loop. Pure; the time is an argument.
//!
//! Each connection has its own schedule, and the schedules add up to the rate: evenly spaced
//! schedules with offsets are evenly spaced in total, and the sum of Poisson processes is a Poisson
//! process. So a busy connection needs no queue of due messages: the schedule itself is the queue.

use std::time::Duration;

use corelane::sys::Time;

use crate::args::Arrival;
use crate::stats::{Random, float};

/// A rate, and the distribution of the gaps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Messages a second over all connections; above zero.
    pub(crate) rate: f64,
    pub(crate) arrival: Arrival,
}

/// The due times of one connection's messages.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Time,
    arrival: Arrival,
    /// Mean gap in nanoseconds.
    gap: f64,
    /// Offset of the next due time from the start, in nanoseconds. Not accumulated for equal gaps,
    /// to avoid the sum of rounding errors.
    next: f64,
    passed: u64,
    offset: f64,
    random: Random,
}

impl Schedule {
    /// The schedule of connection `number` of `connections`, beginning at `start`.
    pub(crate) fn new(pace: Pace, number: u32, connections: u32, start: Time, seed: u64) -> Self {
        let gap = 1e9 * f64::from(connections) / pace.rate;
        let mut schedule = Self {
            start,
            arrival: pace.arrival,
            gap,
            next: 0.0,
            passed: 0,
            offset: 1e9 * f64::from(number) / pace.rate,
            random: Random::new(seed),
        };
        schedule.next = match pace.arrival {
            Arrival::Constant => schedule.offset,
            Arrival::Poisson => schedule.exponential(),
        };
        schedule
    }

    /// The due time of the next message.
    pub(crate) fn next(&self) -> Time {
        self.start + Duration::from_nanos(nanos(self.next))
    }

    /// Returns the next due time and advances.
    pub(crate) fn advance(&mut self) -> Time {
        let time = self.next();
        self.passed += 1;
        self.next = match self.arrival {
            Arrival::Constant => float(self.passed).mul_add(self.gap, self.offset),
            Arrival::Poisson => self.next + self.exponential(),
        };
        time
    }

    fn exponential(&mut self) -> f64 {
        // `unit` is below 1, so the argument of the logarithm is above 0.
        -(1.0 - self.random.unit()).ln() * self.gap
    }
}

/// The send lateness of a message: the delay beyond a client without delays. `free` is when the
/// connection became free for the message, and `before` the lateness of the message that had kept
/// the connection busy. A stalled client is late for every message due in the meantime, not only
/// for the first.
pub(crate) fn late(handed: Time, intended: Time, free: Time, before: Duration) -> Duration {
    let free = free.since(Time::ZERO).saturating_sub(before);
    handed.since(intended.max(Time::ZERO + free))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a cast saturates at the end of time"
)]
fn nanos(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use corelane::sys::Time;

    use super::{Pace, Schedule, late};
    use crate::args::Arrival;

    /// The lateness of one connection's messages, due every 10 ms. Each reply takes
    /// `answered_after` milliseconds, and the client is stalled before `nothing_before`.
    fn late_ms(answered_after: u64, nothing_before: u64) -> Vec<u128> {
        let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
        let (mut free, mut before, mut all) = (0, Duration::ZERO, Vec::new());
        for number in 0..8 {
            let intended = 10 * number;
            let handed = intended.max(free).max(nothing_before);
            before = late(at(handed), at(intended), at(free), before);
            free = handed + answered_after;
            all.push(before.as_millis());
        }
        all
    }

    #[test]
    fn a_stalled_client_is_late_for_every_due_message() {
        assert_eq!(late_ms(1, 0), [0; 8]);
        assert_eq!(late_ms(1, 30), [30, 21, 12, 3, 0, 0, 0, 0]);
        // With replies slower than the gap, the delay is the server's.
        assert_eq!(late_ms(15, 0), [0; 8]);
        assert_eq!(late_ms(15, 30), [30; 8]);
    }

    fn times(arrival: Arrival, rate: f64, connections: u32, until: Time) -> Vec<u64> {
        let pace = Pace { rate, arrival };
        let start = Time::from_nanos(5_000);
        let mut all = Vec::new();
        for number in 0..connections {
            let seed = u64::from(number);
            let mut schedule = Schedule::new(pace, number, connections, start, seed);
            while schedule.next() < until {
                all.push(schedule.advance().as_nanos());
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn many_even_schedules_are_one_even_schedule() {
        let all = times(
            Arrival::Constant,
            80_000.0,
            50,
            Time::from_nanos(1_000_005_000),
        );
        assert_eq!(all.len(), 80_000);
        for (place, time) in (0_u64..).zip(all) {
            assert_eq!(time, 5_000 + place * 12_500, "{place}");
        }
    }

    #[test]
    fn even_spacing_does_not_drift() {
        let pace = Pace {
            rate: 3.0,
            arrival: Arrival::Constant,
        };
        let mut schedule = Schedule::new(pace, 0, 1, Time::ZERO, 0);
        for _ in 0..3_000_000 {
            schedule.advance();
        }
        assert_eq!(schedule.next(), Time::ZERO + Duration::from_secs(1_000_000));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let all = times(
            Arrival::Poisson,
            10_000.0,
            20,
            Time::from_nanos(10_000_005_000),
        );
        // Expected 100,000 with a standard deviation of 316.
        assert!((98_000..102_000).contains(&all.len()), "{}", all.len());
        let mean = 1e5;
        let gaps = all
            .windows(2)
            .map(|pair| crate::stats::float(pair[1] - pair[0]));
        let longer = gaps.filter(|gap| *gap > mean).count();
        // Of exponential gaps, a share of 1/e exceeds the mean; of equal gaps, none.
        let share = crate::stats::float(longer as u64) / crate::stats::float(all.len() as u64);
        assert!((0.355..0.381).contains(&share), "{share}");
    }

    #[test]
    fn a_slow_rate_is_spread_over_the_connections() {
        let all = times(Arrival::Constant, 2.0, 4, Time::from_nanos(2_000_005_000));
        assert_eq!(all, [5_000, 500_005_000, 1_000_005_000, 1_500_005_000]);
    }
}
