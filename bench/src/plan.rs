//! What the arguments mean on this machine, checked: who the target is, whether the poller can be
//! had, whether so many connections fit. Nothing has been started when this fails.

use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process;
use std::time::{Duration, SystemTime};

use corelane::buf::PoolOptions;
use corelane::poller::{BackEnd, PollerOptions, io_uring_refusal};
use corelane::runtime::LaneOptions;
use corelane::sys;

use crate::args::{CommonArguments, IdleArguments, PollerChoice, RunArguments};
use crate::server_process::{Cost, ServerProcess};

const DURATION: Duration = Duration::from_secs(10);
const WARMUP: Duration = Duration::from_secs(1);
/// Bytes in the message that ends an idle connection.
const IDLE_SIZE: u64 = 64;
/// Descriptors kept back: standard streams, the result, the signals, `/proc`.
const SPARE_DESCRIPTORS: usize = 32;
/// Descriptors of a lane: ring or epoll, and the notifier.
const LANE_DESCRIPTORS: usize = 3;
/// Buffers that a connection may hold: one queue being sent, one received, as much again being
/// looked at, and what a poller that is ahead of its cancel delivers.
const CONNECTION_BUFFERS: usize = 8;
/// Address space of a lane's buffers, at most: 16 GiB.
const BUFFERS_MAX: usize = 1 << 20;
/// How long each of several addresses of one name has to answer.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What is wrong with the arguments.
#[derive(Debug)]
pub(crate) struct Impossible(String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long the load lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    For(Duration),
    /// So many messages, over all connections.
    Count(u64),
}

/// What each connection does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) size: u64,
    pub(crate) pipeline: usize,
    pub(crate) verify: bool,
    pub(crate) length: Length,
    /// How many connections there are.
    pub(crate) connections: u32,
    /// Tells this run's bytes from those of every other.
    pub(crate) seed: u64,
}

impl Load {
    /// How many of `count` messages a connection has: as many as every other, or one more.
    pub(crate) fn share(&self, count: u64, connection: u32) -> u64 {
        let connections = u64::from(self.connections);
        count / connections + u64::from(u64::from(connection) < count % connections)
    }
}

/// All that is to be done.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) verb: &'static str,
    /// As given.
    pub(crate) target: String,
    pub(crate) address: SocketAddr,
    pub(crate) options: LaneOptions,
    pub(crate) may_fall_back: bool,
    pub(crate) lanes: u32,
    pub(crate) load: Load,
    /// How long the connections are held before the first message.
    pub(crate) hold: Option<Duration>,
    pub(crate) warmup: Duration,
    pub(crate) server: Option<(ServerProcess, Cost)>,
}

impl Plan {
    /// What `run` means.
    pub(crate) fn run(arguments: &RunArguments) -> Result<Self, Impossible> {
        let length = match (arguments.count, arguments.duration) {
            (Some(count), _) => Length::Count(count),
            (None, duration) => Length::For(duration.unwrap_or(DURATION)),
        };
        let warmup = match length {
            Length::For(_) => WARMUP,
            Length::Count(_) => Duration::ZERO,
        };
        let load = Load {
            size: arguments.size,
            pipeline: arguments.pipeline as usize,
            verify: !arguments.common.no_verify,
            length,
            connections: arguments.connections,
            seed: seed(),
        };
        let warmup = arguments.warmup.unwrap_or(warmup);
        Self::new("run", &arguments.common, load, warmup, None)
    }

    /// What `idle` means: to hold, then one message for each connection.
    pub(crate) fn idle(arguments: &IdleArguments) -> Result<Self, Impossible> {
        let load = Load {
            size: IDLE_SIZE,
            pipeline: 1,
            verify: !arguments.common.no_verify,
            length: Length::Count(arguments.connections.into()),
            connections: arguments.connections,
            seed: seed(),
        };
        let hold = Some(arguments.duration);
        Self::new("idle", &arguments.common, load, Duration::ZERO, hold)
    }

    fn new(
        verb: &'static str,
        common: &CommonArguments,
        load: Load,
        warmup: Duration,
        hold: Option<Duration>,
    ) -> Result<Self, Impossible> {
        let lanes = common.lanes;
        if lanes > load.connections {
            let connections = load.connections;
            return Err(Impossible(format!(
                "--lanes {lanes}: more lanes than connections (--connections {connections})"
            )));
        }
        check_descriptors(load.connections, lanes, sys::file_limit().ok())?;
        check_ports(load.connections, port_range().as_deref())?;
        let back_end = back_end(common.poller)?;
        let server = common.server_pid.map(server).transpose()?;
        Ok(Self {
            verb,
            target: common.target.clone(),
            address: resolve(&common.target)?,
            options: options(back_end, load.connections.div_ceil(lanes)),
            may_fall_back: common.poller == PollerChoice::Auto,
            lanes,
            load,
            hold,
            warmup,
            server,
        })
    }
}

/// Two runs at the same time against one server must not take each other's bytes for their own.
fn seed() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_secs() << 32 ^ u64::from(process::id())
}

fn options(back_end: BackEnd, connections: u32) -> LaneOptions {
    let poller = PollerOptions::default();
    let floor = 2 * usize::from(poller.receive_buffers);
    let buffers = floor + CONNECTION_BUFFERS * connections as usize;
    LaneOptions {
        poller,
        pool: PoolOptions {
            buffers_max: buffers.min(BUFFERS_MAX),
            ..PoolOptions::default()
        },
        ..LaneOptions::new(back_end)
    }
}

fn back_end(choice: PollerChoice) -> Result<BackEnd, Impossible> {
    match (choice, io_uring_refusal()) {
        (PollerChoice::Epoll, _) | (PollerChoice::Auto, Some(_)) => Ok(BackEnd::Epoll),
        (PollerChoice::IoUring | PollerChoice::Auto, None) => Ok(BackEnd::IoUring),
        (PollerChoice::IoUring, Some(refusal)) => Err(Impossible(format!(
            "--poller io_uring: {refusal}; permit it, or say auto"
        ))),
    }
}

fn server(pid: u32) -> Result<(ServerProcess, Cost), Impossible> {
    let server = ServerProcess { pid };
    match server.cost() {
        Ok(cost) => Ok((server, cost)),
        Err(error) => Err(Impossible(format!(
            "--server-pid {pid}: cannot be read: {error} (needs Linux, and the process on this \
             machine)"
        ))),
    }
}

/// Looks a target up, once. Of several addresses the first that accepts a connection counts.
fn resolve(target: &str) -> Result<SocketAddr, Impossible> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return check_port(target, address);
    }
    let has_port = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        return Err(Impossible(format!(
            "{target:?} is no HOST:PORT: write 127.0.0.1:7007, [::1]:7007 or localhost:7007"
        )));
    }
    let addresses: Vec<SocketAddr> = target
        .to_socket_addrs()
        .map_err(|error| Impossible(format!("cannot find {target:?}: {error}")))?
        .collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE_MAX).is_ok();
    let chosen = match &addresses[..] {
        [] => return Err(Impossible(format!("{target:?} has no address"))),
        [one] => one,
        // If none answers the run will say why.
        [first, ..] => addresses.iter().find(answers).unwrap_or(first),
    };
    check_port(target, *chosen)
}

fn check_port(target: &str, address: SocketAddr) -> Result<SocketAddr, Impossible> {
    match address.port() {
        0 => Err(Impossible(format!(
            "{target:?}: port 0 is no port to connect to"
        ))),
        _ => Ok(address),
    }
}

/// `limit` is that on descriptors, raised as far as it goes.
fn check_descriptors(connections: u32, lanes: u32, limit: Option<usize>) -> Result<(), Impossible> {
    let needed = connections as usize + SPARE_DESCRIPTORS + LANE_DESCRIPTORS * lanes as usize;
    match limit {
        Some(limit) if needed > limit => Err(Impossible(format!(
            "--connections {connections}: {needed} descriptors are needed and the limit is \
             {limit}: raise it (ulimit -Hn, LimitNOFILE=)"
        ))),
        _ => Ok(()),
    }
}

fn port_range() -> Option<String> {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()
}

/// `range` is the first and the last port that connections are made from.
fn check_ports(connections: u32, range: Option<&str>) -> Result<(), Impossible> {
    let parsed = range.and_then(|range| {
        let (first, last) = range.trim().split_once(char::is_whitespace)?;
        let (first, last): (u32, u32) = (first.parse().ok()?, last.trim().parse().ok()?);
        Some((first, last, (last + 1).checked_sub(first)?))
    });
    match parsed {
        Some((first, last, ports)) if connections > ports => Err(Impossible(format!(
            "--connections {connections}: one address can have {ports} connections to another \
             (net.ipv4.ip_local_port_range is {first} to {last}): widen the range, or run several \
             clients against several addresses"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Length, Load, check_descriptors, check_ports, resolve};

    #[test]
    fn shares_add_up() {
        for (count, connections) in [(10, 3), (3, 10), (1, 1), (50_000, 7), (0, 2)] {
            let load = Load {
                size: 64,
                pipeline: 1,
                verify: true,
                length: Length::For(Duration::ZERO),
                connections,
                seed: 0,
            };
            let shares: Vec<u64> = (0..connections).map(|n| load.share(count, n)).collect();
            assert_eq!(shares.iter().sum::<u64>(), count, "{count} {connections}");
            assert!(shares[0] - shares[shares.len() - 1] <= 1);
        }
    }

    #[test]
    fn descriptors() {
        assert!(check_descriptors(20_000, 1, None).is_ok());
        assert!(check_descriptors(965, 1, Some(1000)).is_ok());
        assert_eq!(
            check_descriptors(966, 1, Some(1000))
                .unwrap_err()
                .to_string(),
            "--connections 966: 1001 descriptors are needed and the limit is 1000: raise it \
             (ulimit -Hn, LimitNOFILE=)"
        );
    }

    #[test]
    fn ports() {
        let usual = Some("32768\t60999\n");
        assert!(check_ports(28_232, usual).is_ok());
        assert!(check_ports(1_000_000, None).is_ok());
        assert!(check_ports(1_000_000, Some("?")).is_ok());
        assert_eq!(
            check_ports(28_233, usual).unwrap_err().to_string(),
            "--connections 28233: one address can have 28232 connections to another \
             (net.ipv4.ip_local_port_range is 32768 to 60999): widen the range, or run several \
             clients against several addresses"
        );
    }

    #[test]
    fn targets() {
        for target in ["127.0.0.1:7007", "[::1]:7007"] {
            assert_eq!(resolve(target).unwrap().to_string(), target);
        }
        let form = |target: &str| {
            format!(
                "{target:?} is no HOST:PORT: write 127.0.0.1:7007, [::1]:7007 or localhost:7007"
            )
        };
        for target in [
            "localhost",
            "127.0.0.1",
            "localhost:http",
            ":7",
            "h:65536",
            "",
        ] {
            assert_eq!(resolve(target).unwrap_err().to_string(), form(target));
        }
        assert_eq!(
            resolve("127.0.0.1:0").unwrap_err().to_string(),
            "\"127.0.0.1:0\": port 0 is no port to connect to"
        );
    }
}
