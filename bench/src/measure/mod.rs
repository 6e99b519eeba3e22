//! The main thread of a load: engine, series, document and verdict. A sweep and a duel run several
//! loads.

pub(crate) mod assemble;
pub(crate) mod duel;
pub(crate) mod engine;
pub(crate) mod progress;
mod sampler;
mod series;
mod signals;
pub(crate) mod sweep;
mod verdict;
