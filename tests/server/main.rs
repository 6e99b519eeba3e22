//! Drives the running server from outside: starts the built binary on free ports, speaks TCP to
//! it, sends it signals. Whatever touches a connection runs on both pollers.
//!
//! One program, so that all share what starts a server (`support`).
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod echo;
mod endpoints;
mod faults;
mod flood;
mod limits;
mod logging;
mod memory;
mod parent;
mod proxy;
mod start;
mod stop;
mod support;
