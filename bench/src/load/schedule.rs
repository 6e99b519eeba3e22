//! When messages are meant to leave, in an open loop. Pure, given the time as an argument.
//!
//! Each connection has a schedule of its own, and all together they make the rate: evenly spaced
//! ones that are offset against each other are evenly spaced as a whole, and Poisson processes add
//! up to a Poisson process. So a connection that waits for answers needs no queue of what is due:
//! it takes the next moment, however long ago that was.

use std::time::Duration;

use corelane::sys::Time;

use crate::args::Arrival;
use crate::stats::{Random, float};

/// A rate and how it is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Messages a second, of all connections together; above zero.
    pub(crate) rate: f64,
    pub(crate) arrival: Arrival,
}

/// The moments at which one connection's messages are meant to leave.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Time,
    arrival: Arrival,
    /// Mean time between two messages, in nanoseconds.
    gap: f64,
    /// From the start to the next message, in nanoseconds. Never accumulated for even spacing,
    /// whose rounding would add up.
    next: f64,
    taken: u64,
    offset: f64,
    random: Random,
}

impl Schedule {
    /// Of connection `number` of `connections`, from `start` on.
    pub(crate) fn new(pace: Pace, number: u32, connections: u32, start: Time, seed: u64) -> Self {
        let gap = 1e9 * f64::from(connections) / pace.rate;
        let mut schedule = Self {
            start,
            arrival: pace.arrival,
            gap,
            next: 0.0,
            taken: 0,
            offset: 1e9 * f64::from(number) / pace.rate,
            random: Random::new(seed),
        };
        schedule.next = match pace.arrival {
            Arrival::Constant => schedule.offset,
            Arrival::Poisson => schedule.exponential(),
        };
        schedule
    }

    /// When the next message is meant to leave.
    pub(crate) fn next(&self) -> Time {
        self.start + Duration::from_nanos(nanos(self.next))
    }

    /// Takes it: the one after it is next.
    pub(crate) fn take(&mut self) -> Time {
        let time = self.next();
        self.taken += 1;
        self.next = match self.arrival {
            Arrival::Constant => float(self.taken).mul_add(self.gap, self.offset),
            Arrival::Poisson => self.next + self.exponential(),
        };
        time
    }

    fn exponential(&mut self) -> f64 {
        // Never the logarithm of zero: the unit is below one.
        -(1.0 - self.random.unit()).ln() * self.gap
    }
}

/// How much later a message left than it would have from a client that is never late. `free` is
/// when its connection could take it, and `before` how late the one was that kept the connection
/// busy: a client that stood still is late with all that was due meanwhile, not only with the first
/// of it.
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

    /// Messages of one connection, every 10 ms, each answered after so many milliseconds, from a
    /// client that does nothing before a moment: how late each was.
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
    fn a_client_that_stood_still_is_late_with_all_that_was_due() {
        assert_eq!(late_ms(1, 0), [0; 8]);
        assert_eq!(late_ms(1, 30), [30, 21, 12, 3, 0, 0, 0, 0]);
        // A server that takes longer than the gap delays by itself, as it would have anyway.
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
                all.push(schedule.take().as_nanos());
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
            schedule.take();
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
        // 100,000 expected, with a deviation of 316.
        assert!((98_000..102_000).contains(&all.len()), "{}", all.len());
        let mean = 1e5;
        let gaps = all
            .windows(2)
            .map(|pair| crate::stats::float(pair[1] - pair[0]));
        let longer = gaps.filter(|gap| *gap > mean).count();
        // Of exponential gaps 1/e are longer than the mean; of even ones none would be.
        let share = crate::stats::float(longer as u64) / crate::stats::float(all.len() as u64);
        assert!((0.355..0.381).contains(&share), "{share}");
    }

    #[test]
    fn a_slow_rate_is_spread_over_the_connections() {
        let all = times(Arrival::Constant, 2.0, 4, Time::from_nanos(2_000_005_000));
        assert_eq!(all, [5_000, 500_005_000, 1_000_005_000, 1_500_005_000]);
    }
}
