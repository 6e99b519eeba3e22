//! Shows results: the HTML report, the comparison of two runs, the live view of a running load, and
//! the files for HdrHistogram's tools. Reads documents of results; makes no load.

mod compare;
mod conditions;
mod failure;
mod hdr;
pub(crate) mod live;
mod names;
pub(crate) mod output;
mod report;
mod results;

pub(crate) use self::compare::compare;
pub(crate) use self::failure::Failure;
pub(crate) use self::hdr::HdrFiles;
pub(crate) use self::report::report;
