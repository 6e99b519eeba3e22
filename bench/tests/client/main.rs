//! Runs the built client against servers of the tests: correct ones, faulty ones, none. Needs no
//! fixed port and no installed program.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod correct_server;
mod errors_by_verb;
mod faulty_server;
mod output;
mod progress;
mod script;
mod servers;
mod usage;
mod verbs;
