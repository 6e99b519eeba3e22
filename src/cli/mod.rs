//! The command line: parses the arguments, reads the configuration, runs the command, returns the
//! exit code.
//!
//! Called by `main` alone. Reads configuration files for `config`; `--help` and `--version` work
//! with any configuration.

mod commands;
mod probe;

pub use self::commands::{command, main};
