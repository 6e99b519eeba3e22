//! corelane: a TCP echo and proxy server, thread per core.

pub mod cli;
pub mod config;
pub mod server;
