//! corelane: a TCP echo and proxy server, thread per core.
//!
//! The library exists for `corelane-bench`, its examples and tests. Modules export what these use;
//! the rest is `pub(crate)`, so that the compiler reports dead code.

pub mod buf;
pub mod cli;
pub mod config;
mod control;
mod ctl;
pub mod net;
pub mod poller;
pub mod proxy;
pub mod runtime;
mod server;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
pub mod sys;
