//! The arguments of `corelane ctl`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

/// Look at a running server and change it, by its control socket
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 refused or failed by the server; 2 wrong arguments, \
                        or no connection to the server"
)]
pub(crate) struct Ctl {
    /// The control socket; without it control.socket of the configuration, or
    /// /run/corelane/control.sock
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "config")]
    pub(super) socket: Option<PathBuf>,
    /// The configuration file with control.socket; without it /etc/corelane/corelane.toml
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Print the server's JSON, for programs
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The process: state, version, sessions, lanes with their counters
    Status,
    /// The configuration in force: every key with its effective value
    Config,
    /// The configurations that new and old sessions have
    Generations,
    /// The listeners: addresses, sessions, bytes
    Listeners,
    /// The upstreams, with the sessions, bytes and failures of each endpoint, and their names
    Upstreams,
    /// The metrics, as Prometheus reads them
    Metrics,
    /// The lanes: load, queue, length of turns, stalls
    Lanes,
    /// Show an endpoint, or set its administrative state, which outlasts reloads
    Endpoint {
        /// The name of the upstream
        #[arg(value_name = "UPSTREAM")]
        upstream: String,
        /// The address of the endpoint
        #[arg(value_name = "IP:PORT")]
        endpoint: String,
        /// ready: sessions may choose the endpoint; drain: no new session does; maintenance: as
        /// drain, and the present sessions end
        #[arg(value_name = "STATE", value_parser = ["ready", "drain", "maintenance"])]
        state: Option<String>,
        /// The part of new sessions beside the other endpoints of the level, 0 to 256; with 0 the
        /// endpoint drains
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=256))]
        weight: Option<u16>,
        /// Overrule the health checks, until "auto" leaves the endpoint to these again
        #[arg(long, value_name = "VERDICT", value_parser = ["up", "down", "auto"])]
        health: Option<String>,
        /// Spread the ends of maintenance over this time ("10m"), at random moments
        #[arg(long, value_name = "TIME", requires = "state")]
        over: Option<String>,
    },
    /// Ask the names and other sources of an upstream now, in place of later
    Refresh {
        /// The name of the upstream
        #[arg(value_name = "UPSTREAM")]
        upstream: String,
    },
    /// The sessions, by filter
    Sessions {
        #[command(flatten)]
        filter: Filter,
        /// The most sessions to list
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        limit: usize,
    },
    /// One session in full, with the kernel's facts about both connections
    Session {
        /// As in the log and in the list of sessions
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// End one session, or the present sessions of a filter, by a reset of both connections
    #[command(group = ArgGroup::new("which").required(true).args(["id", "max"]))]
    End {
        /// As in the log and in the list of sessions
        #[arg(value_name = "ID", conflicts_with_all = FILTER)]
        id: Option<u64>,
        #[command(flatten)]
        filter: Filter,
        /// The most sessions to end, without an ID
        #[arg(long, value_name = "NUMBER")]
        max: Option<u64>,
        /// Spread the ends over this time ("10m"), at random moments
        #[arg(long, value_name = "TIME", requires = "max")]
        over: Option<String>,
    },
    /// Print the level of the log, or change it until the end of the process
    LogLevel {
        /// The new level
        #[arg(value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
        level: Option<String>,
    },
    /// Read the configuration file again, and put it into service
    Reload {
        #[command(flatten)]
        how: Reload,
    },
    /// Have a listener accept no more; its clients wait in the backlog
    Pause {
        /// The name of the listener
        #[arg(value_name = "LISTENER")]
        listener: String,
    },
    /// Have a paused listener accept again
    Resume {
        /// The name of the listener
        #[arg(value_name = "LISTENER")]
        listener: String,
    },
    /// Pause a listener, and end its sessions
    Drain {
        /// The name of the listener
        #[arg(value_name = "LISTENER")]
        listener: String,
        /// Spread the ends over this time ("10m"), at random moments
        #[arg(long, value_name = "TIME")]
        over: Option<String>,
    },
    /// Record what the lanes do, and write the trace to standard output, for ui.perfetto.dev
    #[command(args_conflicts_with_subcommands = true)]
    Trace {
        #[command(flatten)]
        record: Record,
        #[command(subcommand)]
        read: Option<ReadTrace>,
    },
    /// Stop as by a signal: sessions may end within shutdown.grace; again, a second later: at once
    Stop,
}

/// Have a running server read its configuration file again, and put it into service; `ctl reload`
/// does the same
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done; 1 refused by the server, which goes on as before; 2 wrong \
                  arguments, or no connection to the server"
)]
pub(crate) struct ReloadCommand {
    #[command(flatten)]
    how: Reload,
    /// The control socket; without it control.socket of the configuration, or
    /// /run/corelane/control.sock
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The configuration file with control.socket; without it /etc/corelane/corelane.toml. The
    /// server reads the file that it was started with
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the server's JSON, for programs
    #[arg(long)]
    json: bool,
}

impl From<ReloadCommand> for Ctl {
    fn from(of: ReloadCommand) -> Self {
        Self {
            socket: of.socket,
            config: of.config,
            json: of.json,
            command: Command::Reload { how: of.how },
        }
    }
}

/// How to reload.
#[derive(Debug, Args)]
#[group(id = "how")]
pub(super) struct Reload {
    /// Only say what a reload would do
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// How to record a trace.
#[derive(Debug, Args)]
pub(super) struct Record {
    /// The time to record, in seconds: 1 to 60
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(super) seconds: Option<u64>,
    /// Memory of the server for the events of all lanes, in MiB: 1 to 1024; a lane whose part is
    /// full ends its recording early
    #[arg(long, value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) mib: u64,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReadTrace {
    /// Who waited for a lane, and behind whom: from a trace, or recorded now with --seconds
    #[command(group = ArgGroup::new("from").required(true).args(["file", "seconds"]))]
    Summary {
        /// A file of `corelane ctl trace`
        #[arg(value_name = "TRACE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        record: Record,
        /// The waits of this session
        #[arg(long, value_name = "ID")]
        session: Option<u64>,
        /// Rows of each list
        #[arg(long, value_name = "NUMBER", default_value_t = 10)]
        top: usize,
    },
}

/// The arguments of [`Filter`].
const FILTER: [&str; 9] = [
    "listener",
    "client",
    "upstream",
    "endpoint",
    "generation",
    "age_min",
    "idle_min",
    "bytes_min",
    "ending",
];

/// Conditions; a session has to meet all.
#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// Sessions of this listener
    #[arg(long, value_name = "NAME")]
    pub(super) listener: Option<String>,
    /// Of this client: an address or a network, 10.0.0.0/8
    #[arg(long, value_name = "NETWORK")]
    client: Option<String>,
    /// Of this upstream
    #[arg(long, value_name = "NAME")]
    pub(super) upstream: Option<String>,
    /// Connected to this endpoint
    #[arg(long, value_name = "IP:PORT")]
    endpoint: Option<String>,
    /// Of this configuration
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u32>,
    /// At least this old ("10m")
    #[arg(long, value_name = "TIME")]
    age_min: Option<String>,
    /// Idle for at least this time ("10m")
    #[arg(long, value_name = "TIME")]
    idle_min: Option<String>,
    /// With at least these bytes in both directions together ("64KiB")
    #[arg(long, value_name = "BYTES")]
    bytes_min: Option<String>,
    /// With an ended direction
    #[arg(long)]
    ending: bool,
}

impl Filter {
    /// The pairs of the API.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self {
            listener,
            client,
            upstream,
            endpoint,
            generation,
            age_min,
            idle_min,
            bytes_min,
            ending,
        } = self;
        let texts = [
            ("listener", listener.clone()),
            ("client", client.clone()),
            ("upstream", upstream.clone()),
            ("endpoint", endpoint.clone()),
            ("generation", generation.map(|number| number.to_string())),
            ("age_min", age_min.clone()),
            ("idle_min", idle_min.clone()),
            ("bytes_min", bytes_min.clone()),
            ("ending", ending.then(|| "true".to_owned())),
        ];
        let pair = |(key, value): (&'static str, Option<String>)| Some((key, value?));
        texts.into_iter().filter_map(pair).collect()
    }
}
