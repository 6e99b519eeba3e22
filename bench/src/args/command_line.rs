//! The command line: one verb, and its arguments.

use clap::{Parser, Subcommand};

use super::show::{CompareArguments, ReportArguments};
use super::verbs::{
    BulkArguments, ChurnArguments, DuelArguments, IdleArguments, RunArguments, SweepArguments,
};

/// A TCP load client that verifies every byte it gets back, and says when not to believe it.
///
/// Exits with 0 if all is well; 1 if the arguments are wrong or the load could not be made; 2 if
/// the target failed: a byte was wrong, lost or never came, or a connection broke; 3 if a condition
/// of --fail-if held; 4 if the run is INVALID: the client itself was too slow.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Exchange messages: as fast as the answers come, or by the clock with --rate
    ///
    /// Without --rate each connection sends a message, waits until all of it has come back, and
    /// repeats (a closed loop). With it messages leave when the clock says so, and latency counts
    /// from that moment whether the message could leave then or not (an open loop).
    Run(RunArguments),
    /// Find the highest rate that keeps an objective
    ///
    /// Doubles the rate until the objective is broken, then halves the gap until it is small.
    Sweep(SweepArguments),
    /// Connect, exchange one message, close, repeat
    Churn(ChurnArguments),
    /// Hold many connections, then send one message on each
    Idle(IdleArguments),
    /// Send, receive or both, as fast as the bytes go
    Bulk(BulkArguments),
    /// Compare two targets in turn: A B B A, B A A B, ...
    Duel(DuelArguments),
    /// Make one HTML file of the results of one run or several: plots, tables, verdicts
    Report(ReportArguments),
    /// Show two runs side by side, with ratios
    ///
    /// Exits with 0 if they could be compared, and with 4 if one is marked INVALID.
    Compare(CompareArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
