//! The plots of a report. A single run has a line for each percentile; several runs share the
//! plots, with one colour each.

mod amounts;
mod latency;
mod points;
mod ratio;

pub(crate) use self::amounts::of_amounts;
pub(crate) use self::latency::of_latency;
pub(crate) use self::ratio::of_ratio;
