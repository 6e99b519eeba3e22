//! corelane-bench: the load client, and the example of corelane's public API.
//!
//! `args` (what was asked) → `plan` (what is meant, checked) → `run` (the main thread) → `lane` and
//! `closed_loop` (the data path) → `tally` → `report` and `text`. Nothing starts before all that
//! can be known to be wrong has been said.

mod args;
mod closed_loop;
mod fault;
mod lane;
mod pattern;
mod plan;
mod report;
mod run;
mod server_process;
mod signals;
mod tally;
mod text;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    match verbs::main(std::env::args_os()) {
        Ok(outcome) => outcome.code(),
        Err(failure) => failure.report(),
    }
}
