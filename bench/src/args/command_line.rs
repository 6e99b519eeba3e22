//! The command line: one verb and its arguments.

use clap::{CommandFactory, Parser, Subcommand};

use super::show::{CompareArguments, ReportArguments};
use super::verbs::{
    BulkArguments, ChurnArguments, DuelArguments, IdleArguments, RunArguments, SweepArguments,
};

/// A TCP load client that verifies every received byte and reports when its own results are not
/// valid.
///
/// Exit codes: 0 success; 1 the arguments are wrong, or the load could not start; 2 the target
/// failed: wrong or lost bytes, or a broken connection; 3 a condition of --fail-if is true; 4 the
/// run is INVALID, because the client itself was too slow.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The command line's definition, for the manual page and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Exchange messages: closed loop, or open loop with --rate
    ///
    /// Without --rate each connection sends a message, waits for the whole reply, and repeats (a
    /// closed loop). With --rate the clock decides when each message is due (an open loop). Latency
    /// then counts from the due time, even if the message leaves later.
    Run(RunArguments),
    /// Find the highest rate that meets an objective
    ///
    /// Doubles the rate until the objective fails, then bisects between the last two rates.
    Sweep(SweepArguments),
    /// Connect, exchange one message, close, repeat
    Churn(ChurnArguments),
    /// Open many connections, hold them, then exchange one message on each
    Idle(IdleArguments),
    /// Send, receive or both, as fast as possible
    Bulk(BulkArguments),
    /// Compare two targets in alternating slices: A B B A, B A A B, ...
    Duel(DuelArguments),
    /// Write one HTML report of one or more runs: plots, tables, verdicts
    Report(ReportArguments),
    /// Compare two runs side by side, with ratios
    ///
    /// Exits with 0 after a comparison, and with 4 if a run is marked INVALID.
    Compare(CompareArguments),
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }
}
