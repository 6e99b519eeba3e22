//! The `corelane` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane::cli::main(std::env::args_os())
}
