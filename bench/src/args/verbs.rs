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

/// The shape of an exchange of messages.
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// How many connections
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Bytes in a message: 64, 1k, '64:90,16k:10' (shares), lognormal:1k,2 (median, deviation)
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = Sizes::parse)]
    #[arg(conflicts_with = "send")]
    pub(crate) size: Sizes,
    /// Messages that each connection has under way at once, at most
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) pipeline: u32,
    /// How messages follow each other under --rate
    #[arg(long, value_enum, default_value_t = Arrival::Constant)]
    pub(crate) arrival: Arrival,
    #[command(flatten)]
    pub(crate) script: ScriptArguments,
}

/// Where the help has the options of [`ScriptArguments`].
const NO_ECHO: &str = "For a server that does not echo";

/// What messages and their answers are, where the target does not echo.
#[derive(Debug, Args)]
pub(crate) struct ScriptArguments {
    /// Send this each time, instead of a pattern that is to come back: text with \r \n \t \0
    /// \\ and \xNN, or hex:0d0a, or @FILE; and say by one of the next three what answers it
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload)]
    #[arg(requires = "reply")]
    pub(crate) send: Option<Arc<[u8]>>,
    /// An answer ends with the first of these bytes: '\r\n'
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "reply")]
    #[arg(requires = "send")]
    pub(crate) until: Option<Arc<[u8]>>,
    /// An answer has so many bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(group = "reply", requires = "send")]
    pub(crate) reply_bytes: Option<u64>,
    /// An answer is exactly these bytes; anything else is an error
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "reply")]
    #[arg(requires = "send", conflicts_with = "no_verify")]
    pub(crate) expect: Option<Arc<[u8]>>,
    /// Send this once on each connection before the first message, unmeasured: a login, say
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload)]
    #[arg(requires_all = ["send", "opening_reply"])]
    pub(crate) opening: Option<Arc<[u8]>>,
    /// What answers --opening, or what the server says first by itself, ends with these bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "BYTES", value_parser = payload, group = "opening_reply")]
    #[arg(requires = "send")]
    pub(crate) opening_until: Option<Arc<[u8]>>,
    /// The same: it has so many bytes
    #[arg(help_heading = NO_ECHO)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(group = "opening_reply", requires = "send")]
    pub(crate) opening_bytes: Option<u64>,
    /// The same: it is exactly these bytes
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
    /// Messages a second by the clock, of all connections together: 500, 80k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How long to measure [default: 10s]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration_above_zero)]
    #[arg(conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// How many messages to measure, over all connections; with nothing before them unless
    /// --warmup says so
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// How long to exchange messages before measuring [default: 1s, with --count 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    /// Have the connections begin one after the other over this time, before the warm-up
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
    /// What is to hold, a latency as a rule: 'p99<1ms'
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) slo: Condition,
    /// The first rate
    #[arg(long, value_name = "RATE", default_value = "1k", value_parser = rate)]
    pub(crate) from: f64,
    /// The highest rate to try
    #[arg(long, value_name = "RATE", default_value = "10M", value_parser = rate)]
    pub(crate) to: f64,
    /// How long to measure each rate, at least: up to 30s where the percentile needs more messages
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration_above_zero)]
    pub(crate) step: Duration,
    /// How long to exchange messages before measuring, in each step
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ChurnArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// How many connections at a time
    #[arg(short = 'c', long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How to close each: by a FIN that is answered, or by a reset
    #[arg(long, value_enum, default_value_t = CloseChoice::Fin)]
    pub(crate) close: CloseChoice,
    /// Bytes in the one message of each connection
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = Sizes::parse)]
    #[arg(conflicts_with = "send")]
    pub(crate) size: Sizes,
    /// Connections a second by the clock, in all: 500, 8k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// How connections follow each other under --rate
    #[arg(long, value_enum, default_value_t = Arrival::Constant)]
    pub(crate) arrival: Arrival,
    /// How long to measure [default: 10s]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration_above_zero)]
    #[arg(conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// How many connections to measure
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// How long to connect before measuring [default: 1s, with --count 0s]
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
    /// How many connections
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How long to hold them
    #[arg(short = 'd', long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Bytes of the message that each connection exchanges at the end
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = bytes)]
    #[arg(conflicts_with = "send")]
    pub(crate) touch: u64,
    #[command(flatten)]
    pub(crate) script: ScriptArguments,
    /// Open all connections at once, instead of at most 128 on each lane at a time
    #[arg(long)]
    pub(crate) storm: bool,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}

#[derive(Debug, Args)]
pub(crate) struct BulkArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Which way the bytes go: up to a server that only reads, down from one that only writes, or
    /// both through one that echoes
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub(crate) direction: Direction,
    /// How many connections
    #[arg(
        short = 'c',
        long,
        visible_alias = "connections",
        value_name = "N",
        default_value_t = 1
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) streams: u32,
    /// How long to measure
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s")]
    #[arg(value_parser = duration_above_zero)]
    pub(crate) duration: Duration,
    /// How long the bytes flow before that
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
    /// Messages a second by the clock, of all connections together: 500, 80k
    #[arg(short = 'R', long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Rounds, each of two slices for each target; below 6 there is no interval
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// How long to measure each slice
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration_above_zero)]
    pub(crate) slice: Duration,
    /// How long to exchange messages before measuring, in each slice
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
