//! The `corelane` binary: hands its arguments to the command line, and gives its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match corelane::cli::main(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
