//! Counters and histograms with one writer each. The writer uses plain loads and stores; every
//! thread may read at any time.
//!
//! `counter` and `histogram` are the parts. `lane` has the counters of a lane, `listener` and
//! `endpoint` those of a listener and of an endpoint on one lane, and `per_lane` the blocks of all
//! lanes. `health` has the counters of health checks. Knows no name of a configuration and no
//! format.

mod counter;
mod endpoint;
mod health;
mod histogram;
mod lane;
mod listener;
mod per_lane;
mod per_word;

use std::time::Duration;

pub use self::counter::Counter;
pub use self::endpoint::EndpointStats;
pub use self::health::HealthStats;
pub(crate) use self::histogram::Distribution;
pub use self::histogram::Histogram;
pub use self::lane::LaneStats;
pub use self::listener::ListenerStats;
pub use self::per_lane::PerLane;
pub use self::per_word::PerWord;

/// Whole microseconds, for a histogram.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds, for a histogram.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
