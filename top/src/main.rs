//! corelane-top: the live view of a running server. The code is in the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane_top::main(std::env::args_os())
}
