//! Drives the built client against servers of the tests' own: good ones, bad ones, none. No test
//! needs a fixed port or anything installed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad;
mod faults;
mod good;
mod output;
mod servers;
mod talk;
mod told;
mod usage;
mod verbs;
