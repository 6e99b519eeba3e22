//! The main thread of a load, and what it makes of the counts: the series, the document, the
//! verdict. A sweep and a duel are several loads.

pub(crate) mod assemble;
pub(crate) mod duel;
pub(crate) mod engine;
pub(crate) mod progress;
mod sampler;
mod series;
mod signals;
pub(crate) mod sweep;
mod verdict;
