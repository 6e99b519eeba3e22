//! The options that every verb with a load has.

use std::path::PathBuf;

use clap::Args;

use super::choices::{PollerChoice, ProxyVersion};
use super::condition::Condition;
use super::values::{Sources, sources};

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
