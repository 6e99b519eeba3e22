//! corelane-bench as a library: the load client's engine, and the document that holds its results.
//!
//! The binary calls [`main`] and nothing else. Whoever reads results back (the report, a
//! comparison, the peers' runner) uses [`outcome`] and [`stats`]; whoever shows a load while it
//! runs implements [`live::Observer`].
//!
//! `args` (what was asked) → `plan` (what is meant, checked) → `run` (the main thread) → `lane` and
//! `closed_loop` (the data path) → `tally` → `outcome` and `text`. Nothing starts before all that
//! can be known to be wrong has been said.

mod args;
mod closed_loop;
pub mod fault;
mod lane;
pub mod live;
pub mod outcome;
mod pattern;
mod plan;
mod report;
mod run;
mod server_process;
mod signals;
pub mod stats;
mod tally;
mod text;
mod verbs;

pub use self::verbs::main;
