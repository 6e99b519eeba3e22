//! corelane-bench: the load client, and the example of corelane's public API. The code is in the
//! library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane_bench::main(std::env::args_os())
}
