//! Which plots a report has, and what is in them. One run is drawn percentile by percentile,
//! several are drawn over each other, one colour each.

mod amounts;
mod latency;
mod points;
mod ratio;

pub(crate) use self::amounts::of_amounts;
pub(crate) use self::latency::of_latency;
pub(crate) use self::ratio::of_ratio;
