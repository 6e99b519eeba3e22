//! A small language for what happens between two sockets, and what runs it: on the real kernel or
//! on the simulated one, on either back end.
//!
//! A script says what our end asks of a poller and what the other end does with system calls. What
//! both see comes out as a trace, which holds only what TCP and Linux determine; so the traces of
//! all runs agree, or the simulated kernel is no model of the real one. `corpus/README.md` lists
//! the statements. Not part of the product: built into tests and into the simulator.

mod end;
mod generate;
mod ours;
mod parse;
mod place;
mod run;
mod say;
mod stream;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod theirs;

pub use self::generate::generate;
pub use self::parse::Script;
#[cfg(feature = "sim")]
pub use self::place::{DISTURBING, run_bytes};
pub use self::place::{Place, run};
