//! corelane: a TCP echo and proxy server, thread per core.

pub mod buf;
pub mod cli;
pub mod config;
pub mod net;
pub mod poller;
pub mod proxy;
pub mod runtime;
pub mod server;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
pub mod sys;
