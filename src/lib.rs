//! corelane: a TCP echo and proxy server, thread per core.

pub mod buf;
pub mod poller;
pub mod sys;
