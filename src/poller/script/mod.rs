//! A small language for the events between two sockets, and its interpreter, for the real and the
//! simulated kernel and for every back end.
//!
//! A script states the ops that our end submits to a poller and the system calls of the peer. The
//! trace shows both ends' results, as far as TCP and Linux determine them. So the traces of all
//! runs agree, or the simulated kernel is no model of Linux. `corpus/README.md` lists the
//! statements. Not part of the product: built into tests and into the simulator.

mod end;
mod generate;
mod host;
mod ours;
mod parse;
mod patience;
mod run;
mod say;
mod stream;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod theirs;

pub use self::generate::generate;
#[cfg(feature = "sim")]
pub use self::host::{DISTURBING, run_bytes};
pub use self::host::{Host, run};
pub use self::parse::Script;
