//! The arguments of each verb.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::bytes::payload;
use super::choices::{Arrival, CloseChoice, Direction};
use super::condition::Condition;
use super::every_verb::{CommonArguments, TargetArguments};
use super::rate::rate;
use super::sizes::{Sizes, bytes};
use super::values::{DuelTarget, duel_target, duration, duration_above_zero};

/// The options of a load that exchanges messages.
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Number of connections
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Message size in bytes: 64, 1k, '64:90,16k:10' (sizes with shares), lognormal:1k,2 (median,
    /// deviation)
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = Sizes::parse)]
    #[arg(conflicts_with = "send")]
    pub(crate) size: Sizes,
    /// Maximum number of messages in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) pipeline: u32,
    /// Distribution of the gaps between messages under --rate
    #[arg(long, value_enum, default_value_t = Arrival::Constant)]
    pub(crate) arrival: Arrival,
    #[command(flatten)]
    pub(crate) script: ScriptArguments,
}

/// The heading of [`ScriptArguments`] in the help.
const NO_ECHO: &str = "For a server that does not echo";

/// Requests and replies for a target that does not echo.
#[derive(Debug, Args)]
pub(crate) struct ScriptArguments {
    /// Send these bytes as each message, instead of a pattern that the target echoes. Write text
    /// with \r \n \t \0 \\ and \xNN, or hex:0d0a, or @FILE; describe the reply with one of the next
    /// three options
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload)]
    #[arg(requires = "reply")]
    pub(crate) send: Option<Arc<[u8]>>,
    /// The reply ends with the first occurrence of these bytes: '\r\n'
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "reply")]
    #[arg(requires = "send")]
    pub(crate) until: Option<Arc<[u8]>>,
    /// The reply has this many bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(group = "reply", requires = "send")]
    pub(crate) reply_bytes: Option<u64>,
    /// The reply is exactly these bytes; anything else is an error
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "reply")]
    #[arg(requires = "send", conflicts_with = "no_verify")]
    pub(crate) expect: Option<Arc<[u8]>>,
    /// Send these bytes once on each connection before the first message, unmeasured: for example a
    /// login
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload)]
    #[arg(requires_all = ["send", "opening_reply"])]
    pub(crate) opening: Option<Arc<[u8]>>,
    /// The reply to --opening, or the server's greeting, ends with these bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "opening_reply")]
    #[arg(requires = "send")]
    pub(crate) opening_until: Option<Arc<[u8]>>,
    /// The reply to --opening, or the server's greeting, has this many bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(group = "opening_reply", requires = "send")]
    pub(crate) opening_bytes: Option<u64>,
    /// The reply to --opening, or the server's greeting, is exactly these bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "opening_reply")]
    #[arg(requires = "send")]
    pub(crate) opening_expect: Option<Arc<[u8]>>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Open loop: messages a second over all connections: 500, 80k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Measured time [default: 10s]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration_above_zero)]
    #[arg(conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// Number of measured messages over all connections; without a warm-up unless --warmup is set
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Warm-up before the measured time [default: 1s, with --count 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    /// Start the connections one after another over this time, before the warm-up
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(crate) ramp: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// The objective, usually a latency: 'p99<1ms'
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) slo: Condition,
    /// The first rate
    #[arg(long, value_name = "RATE", default_value = "1k", value_parser = rate)]
    pub(crate) from: f64,
    /// The highest rate to try
    #[arg(long, value_name = "RATE", default_value = "10M", value_parser = rate)]
    pub(crate) to: f64,
    /// Measured time of each step; up to 30s if the percentile needs more messages
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration_above_zero)]
    pub(crate) step: Duration,
    /// Warm-up of each step
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ChurnArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Number of concurrent connections
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How to close each connection
    #[arg(long, value_enum, default_value_t = CloseChoice::Fin)]
    pub(crate) close: CloseChoice,
    /// Size of the one message of each connection, in bytes
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = Sizes::parse)]
    #[arg(conflicts_with = "send")]
    pub(crate) size: Sizes,
    /// Open loop: connections a second in total: 500, 8k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Distribution of the gaps between connections under --rate
    #[arg(long, value_enum, default_value_t = Arrival::Constant)]
    pub(crate) arrival: Arrival,
    /// Measured time [default: 10s]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration_above_zero)]
    #[arg(conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// Number of measured connections
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Warm-up before the measured time [default: 1s, with --count 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    #[command(flatten)]
    pub(crate) script: ScriptArguments,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct IdleArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Number of connections
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How long to hold the connections
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Size of the message on each connection after the hold, in bytes
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = bytes)]
    #[arg(conflicts_with = "send")]
    pub(crate) touch: u64,
    #[command(flatten)]
    pub(crate) script: ScriptArguments,
    /// Open all connections at once, instead of at most 128 a lane at a time
    #[arg(long)]
    pub(crate) storm: bool,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct BulkArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Direction of the bytes: up to a server that discards them, down from a server that sends on
    /// its own, or both through a server that echoes
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub(crate) direction: Direction,
    /// Number of connections
    #[arg(
        short = 'c',
        long,
        visible_alias = "connections",
        value_name = "N",
        default_value_t = 1
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) streams: u32,
    /// Measured time
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s")]
    #[arg(value_parser = duration_above_zero)]
    pub(crate) duration: Duration,
    /// Warm-up before the measured time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DuelArguments {
    /// The two targets: A=HOST:PORT[,pid=N] B=HOST:PORT[,pid=N]
    #[arg(value_name = "NAME=HOST:PORT[,pid=N]", num_args = 2, required = true)]
    #[arg(value_parser = duel_target)]
    pub(crate) sides: Vec<DuelTarget>,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Open loop: messages a second over all connections: 500, 80k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Number of rounds, each with two slices a target; fewer than 6 give no interval
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Measured time of each slice
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration_above_zero)]
    pub(crate) slice: Duration,
    /// Warm-up of each slice
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
