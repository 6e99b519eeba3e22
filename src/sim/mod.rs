//! The whole server in a deterministic simulator: the real lanes, tasks, timers, pollers, sessions,
//! relay, close engine and drain, on a simulated kernel, in one thread, by a seed.
//!
//! [`run()`] runs one world. [`campaign()`] runs many, on all cores. Same seed, same trace.

mod campaign;
mod checks;
mod counters;
mod endpoint_states;
mod generation;
mod outage;
mod panics;
mod party;
mod places;
mod plan;
mod records;
mod reload;
mod run;
mod stream;
#[cfg(all(test, not(loom)))]
mod tests;
mod version;
mod versions;
mod violation;
mod world;

pub use self::campaign::{Campaign, Failure, Report, campaign, explain};
pub use self::plan::Cut;
pub use self::run::{Outcome, run};
pub use self::violation::Violation;
