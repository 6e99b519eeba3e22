//! Runs the built client against servers of the tests: correct ones, faulty ones, none. Needs no
//! fixed port and no installed program.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bad;
mod faults;
mod good;
mod output;
mod progress;
mod script;
mod servers;
mod usage;
mod verbs;
