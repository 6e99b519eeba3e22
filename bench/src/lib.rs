//! corelane-bench as a library: the load client's engine, and the document that holds its results.
//!
//! The binary calls [`main`] and nothing else. Whoever reads results back (the report, a
//! comparison, the peers' runner) uses [`outcome`] and [`stats`]; whoever shows a load while it
//! runs implements [`live::Observer`].
//!
//! `args` (what was asked) → `plan` and `checks` (what is meant, and whether it can be) → `run`
//! (the main thread; `sweep` and `duel` have it make several loads) → `lane` and `exchange`,
//! `churn` or `bulk` (the data path) → `tally` → `assemble` → `outcome` → `text`. Nothing starts
//! before all that can be known to be wrong has been said.

mod args;
mod assemble;
mod bulk;
mod checks;
mod churn;
mod condition;
mod duel;
mod exchange;
pub mod fault;
mod figures;
mod lane;
pub mod live;
mod machine;
mod number;
mod opening;
mod orders;
pub mod outcome;
mod output;
mod pacer;
mod pattern;
mod plan;
mod proxy_header;
mod rows;
mod run;
#[cfg(test)]
mod sample;
mod schedule;
mod series;
mod server_process;
mod serving;
pub mod show;
mod signals;
mod size;
pub mod stats;
mod sweep;
mod talk;
mod tally;
mod target;
mod text;
mod verbs;
mod verdict;
mod wake;
mod wire;

pub use self::verbs::main;
