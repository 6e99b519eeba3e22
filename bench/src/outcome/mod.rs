//! The results of a load as one document: `--json` writes the document; `report`, `compare` and the
//! runner of `bench/peers` read it.
//!
//! Times are in nanoseconds and sizes in bytes unless a key says otherwise; units come last in a
//! key. Values that could not be measured, and percentiles that the sample does not support, are
//! `null`. Keys are only ever added; a change of meaning raises [`SCHEMA`].

mod comparison;
mod connection_error;
mod distribution;
mod document;
mod environment;
mod judgement;
mod measures;
#[cfg(test)]
pub(crate) mod sample;
mod server_metrics;
mod shape;
#[cfg(test)]
mod tests;

pub use self::comparison::{Duel, Measure, Metric, Round, Step, Sweep, TargetResults};
pub(crate) use self::connection_error::Mismatch;
pub use self::connection_error::{ConnectionError, ErrorKind};
pub(crate) use self::distribution::histogram;
pub use self::distribution::{Distribution, Packed, Percentiles, Unreadable};
pub use self::document::{Outcome, ReadError, SCHEMA};
pub use self::environment::Environment;
pub use self::judgement::{Doubt, Reason, Threshold, Verdict};
pub use self::measures::{Errors, Generator, Latencies, Second, Server, System, Totals};
pub use self::server_metrics::{ServerMetrics, ServerTimes};
pub use self::shape::{Loop, Shape, Target};
