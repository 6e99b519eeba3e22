//! The options that every verb with a load has.

use std::path::PathBuf;

use clap::Args;

use super::choices::{PollerChoice, ProxyVersion};
use super::condition::Condition;
use super::values::{Sources, sources};
use crate::scrape::Url;

#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// Address or host name to connect to, and port
    #[arg(value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// Process ID of the server on this machine: report its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Page of metrics of a corelane server (its control.tcp): show the server's own times of the
    /// load, and where the time of a message went
    #[arg(long, value_name = "URL", value_parser = Url::parse)]
    pub(crate) metrics: Option<Url>,
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// Number of threads that generate the load, each with its own poller
    #[arg(
        short = 't',
        long,
        visible_alias = "threads",
        value_name = "N",
        default_value_t = 1
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: u32,
    /// The poller of each lane
    #[arg(long, value_enum, default_value_t = PollerChoice::Auto)]
    pub(crate) poller: PollerChoice,
    /// Local addresses to connect from, used in rotation: 127.0.0.2-9. Each address has its own
    /// range of ports
    #[arg(long, value_name = "RANGE", value_parser = sources)]
    pub(crate) source: Option<Sources>,
    /// Congestion control of the connections: cubic, bbr
    #[arg(long, value_name = "NAME")]
    pub(crate) congestion: Option<String>,
    /// Send a PROXY header first on each connection, each with a different source address
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) proxy: Option<ProxyVersion>,
    /// Compare every received byte with the expected one (the default)
    #[arg(long, overrides_with = "no_verify")]
    pub(crate) verify: bool,
    /// Count received bytes without comparing them
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Exit with 3 if this condition is true: p99>2ms, rate<80k, errors>0; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) fail_if: Vec<Condition>,
    /// Write the results as JSON. With - JSON goes to standard output and the text to standard
    /// error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write PREFIX.hgrm (percentiles) and PREFIX.hlog (an interval log with one row a second) for
    /// the tools of HdrHistogram
    #[arg(long, value_name = "PREFIX")]
    pub(crate) hdr: Option<PathBuf>,
    /// Print errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
