//! Tests the running server from outside: starts the built binary on free ports, speaks TCP, sends
//! signals. Tests of connections run on both pollers.
//!
//! One test program, so that all tests share `support`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod access_targets;
mod activation;
mod bind;
mod calls;
mod control;
mod ctl;
mod daemon;
mod dashboard;
mod discovery;
mod echo;
mod endpoint_states;
mod endpoints;
#[path = "../everyday/configuration.rs"]
mod everyday;
mod faults;
mod flood;
mod health;
mod health_rules;
mod limits;
mod log_file;
mod logging;
mod memory;
mod metrics;
mod parent;
mod places;
mod proxy;
mod reload;
mod removed;
mod sandbox;
mod scale;
mod shapes;
mod start;
mod stop;
mod support;
mod trace;
mod unix;
