//! The command line as written. Checked here: what one argument alone can get wrong; the rest is
//! `plan`'s. Reads nothing but its arguments.

pub(crate) mod values;
mod verbs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::values::{Sources, sources};
pub(crate) use self::verbs::{
    BulkArguments, ChurnArguments, CloseChoice, Direction, DuelArguments, IdleArguments,
    LoadArguments, RunArguments, SweepArguments, TalkArguments,
};
use crate::condition::Condition;
use crate::proxy_header::ProxyVersion;
use crate::show::{CompareArguments, ReportArguments};

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

#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// Where to connect to: an address or a host name, and a port
    #[arg(value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// The server's process on this machine: report its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// How many threads make the load, each with its own poller
    #[arg(
        short = 't',
        long,
        visible_alias = "threads",
        value_name = "N",
        default_value_t = 1
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: u32,
    /// What tells a lane which connections have work
    #[arg(long, value_enum, default_value_t = PollerChoice::Auto)]
    pub(crate) poller: PollerChoice,
    /// Local addresses to connect from in turn, each with ports of its own: 127.0.0.2-9
    #[arg(long, value_name = "RANGE", value_parser = sources)]
    pub(crate) source: Option<Sources>,
    /// Congestion control of the connections: cubic, bbr
    #[arg(long, value_name = "NAME")]
    pub(crate) congestion: Option<String>,
    /// Begin each connection with a PROXY header that names a source of its own
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) proxy: Option<ProxyVersion>,
    /// Compare every byte that comes back with the one sent (the default)
    #[arg(long, overrides_with = "no_verify")]
    pub(crate) verify: bool,
    /// Do not look at the bytes that come back, only count them
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Exit with 3 if this holds: p99>2ms, rate<80k, errors>0; may be repeated
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) fail_if: Vec<Condition>,
    /// Write the results as JSON; - is standard output, and the text goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write PREFIX.hgrm and PREFIX.hlog for the tools of HdrHistogram: the percentiles, and an
    /// interval log with a row for each second
    #[arg(long, value_name = "PREFIX")]
    pub(crate) hdr: Option<PathBuf>,
    /// Print no text but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PollerChoice {
    /// The best that this system allows
    Auto,
    /// io_uring, or nothing
    #[value(name = "io_uring")]
    IoUring,
    /// epoll
    Epoll,
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
