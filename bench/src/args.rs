//! The command line as written. Checked here: what one argument alone can get wrong; the rest is
//! `plan`'s. Reads nothing but its arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use corelane::config::units;

use crate::show::{CompareArguments, ReportArguments};

/// The largest message, in bytes: one is never held whole, so this only keeps sums in 64 bits.
const SIZE_MAX: u64 = 1 << 30;

/// A TCP load client that verifies every byte it gets back.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Exchange messages as fast as the answers come (a closed loop)
    ///
    /// Each connection sends a message, waits until all of it has come back, and repeats. Exits
    /// with 0 if everything came back right, 1 if anything failed, 2 if it could not start.
    Run(RunArguments),
    /// Hold many connections, then send one verified message on each
    ///
    /// Exits with 0 if everything came back right, 1 if anything failed, 2 if it could not start.
    Idle(IdleArguments),
    /// Make one HTML file of the results of one run or several: plots, tables, verdicts
    Report(ReportArguments),
    /// Show two runs side by side, with ratios
    ///
    /// Exits with 0 if they could be compared; a run that is marked INVALID is refused.
    Compare(CompareArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// How many connections
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Bytes in a message: 64, 1k, 16KiB
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = size)]
    pub(crate) size: u64,
    /// How long to measure [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration_above_zero)]
    #[arg(conflicts_with = "count")]
    pub(crate) duration: Option<Duration>,
    /// How many messages to measure, over all connections; with nothing before them unless
    /// --warmup says so
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// How long to exchange messages before measuring [default: 1s, with --count 0s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) warmup: Option<Duration>,
    /// Messages that each connection has under way at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) pipeline: u32,
}

#[derive(Debug, Args)]
pub(crate) struct IdleArguments {
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// How many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// How long to hold them
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// Where to connect to: an address or a host name, and a port
    #[arg(value_name = "HOST:PORT")]
    pub(crate) target: String,
    /// How many threads make the load, each with its own poller
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: u32,
    /// What tells a lane which connections have work
    #[arg(long, value_enum, default_value_t = PollerChoice::Auto)]
    pub(crate) poller: PollerChoice,
    /// The server's process on this machine: report its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    /// Write the results as JSON; - is standard output, and the text goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Do not look at the bytes that come back, only count them
    #[arg(long)]
    pub(crate) no_verify: bool,
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

fn duration(text: &str) -> Result<Duration, String> {
    (units::DURATION.read)(text).ok_or_else(|| format!("write {}, e.g. 10s", units::DURATION.form))
}

fn duration_above_zero(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    match duration.is_zero() {
        true => Err("nothing can be measured in no time".to_owned()),
        false => Ok(duration),
    }
}

/// Bytes, with a unit or without.
fn size(text: &str) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = match plain {
        true => (units::SIZE.read)(&format!("{text}B")),
        false => (units::SIZE.read)(text),
    };
    match size {
        None => Err(format!("write bytes, or {}, e.g. 16KiB", units::SIZE.form)),
        Some(0) => Err("a message has at least one byte".to_owned()),
        Some(size) if size > SIZE_MAX => Err("a message has at most 1GiB".to_owned()),
        Some(size) => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::{Arguments, duration, duration_above_zero, size};

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("64", 64),
            ("1k", 1024),
            ("16KiB", 16_384),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, message) in [
            (
                "64kB",
                "write bytes, or a number and a unit (B, KiB, MiB, GiB), e.g. 16KiB",
            ),
            (
                "",
                "write bytes, or a number and a unit (B, KiB, MiB, GiB), e.g. 16KiB",
            ),
            ("0", "a message has at least one byte"),
            ("2GiB", "a message has at most 1GiB"),
        ] {
            assert_eq!(size(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        let unit = "write a number and a unit (ns, us, ms, s, m, h, d), e.g. 10s";
        assert_eq!(duration("10"), Err(unit.to_owned()));
        let zero = "nothing can be measured in no time";
        assert_eq!(duration_above_zero("0s"), Err(zero.to_owned()));
    }
}
