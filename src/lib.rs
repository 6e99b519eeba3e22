//! corelane: a TCP echo and proxy server, thread per core.

pub mod buf;
pub mod cli;
pub mod config;
pub mod poller;
pub mod server;
pub mod sys;
