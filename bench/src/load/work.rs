//! The work of each connection of a load. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::schedule::Pace;
use super::script::Script;
use crate::args::sizes::Sizes;
use crate::args::{CloseChoice, Direction, ProxyVersion};

/// The length of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    For(Duration),
    /// A number of messages over all connections.
    Count(u64),
}

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Messages on a lasting connection.
    Exchange,
    /// One message a connection.
    Churn(CloseChoice),
    /// Bytes without message boundaries.
    Bulk(Direction),
}

impl Work {
    /// The option with the number of connections.
    pub(crate) fn connections_option(self) -> &'static str {
        match self {
            Self::Exchange | Self::Churn(_) => "--connections",
            Self::Bulk(_) => "--streams",
        }
    }
}

/// The work of every connection.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) sizes: Sizes,
    /// The scripted dialogue; `None` for patterns that the target echoes.
    pub(crate) script: Option<Arc<Script>>,
    pub(crate) pipeline: usize,
    pub(crate) verify: bool,
    pub(crate) length: Length,
    /// Number of connections; with `churn`, of concurrent ones.
    pub(crate) connections: u32,
    /// The rate of an open loop.
    pub(crate) pace: Option<Pace>,
    /// Time over which the connections start.
    pub(crate) ramp: Duration,
    /// Open all connections at once.
    pub(crate) storm: bool,
    /// The seed of the patterns, different in every run.
    pub(crate) seed: u64,
    pub(crate) address: SocketAddr,
    /// Local addresses, used in rotation; empty for the system's choice.
    pub(crate) sources: Arc<[IpAddr]>,
    pub(crate) congestion: Option<String>,
    pub(crate) proxy: Option<ProxyVersion>,
}

impl Load {
    /// A connection's share of `count` messages. Shares differ by at most one.
    pub(crate) fn share(&self, count: u64, connection: u32) -> u64 {
        let connections = u64::from(self.connections);
        count / connections + u64::from(u64::from(connection) < count % connections)
    }

    /// The delay of a connection's start within the ramp.
    pub(crate) fn ramp_of(&self, connection: u32) -> Duration {
        self.ramp
            .mul_f64(f64::from(connection) / f64::from(self.connections))
    }

    /// The local address of a connection.
    pub(crate) fn source_of(&self, connection: u32) -> Option<IpAddr> {
        let place = (connection as usize).checked_rem(self.sources.len())?;
        Some(self.sources[place])
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::{Length, Load, Work};
    use crate::args::sizes::Sizes;

    /// A closed loop over this many connections.
    fn load(connections: u32) -> Load {
        Load {
            work: Work::Exchange,
            sizes: Sizes::Fixed(64),
            script: None,
            pipeline: 1,
            verify: true,
            length: Length::For(Duration::ZERO),
            connections,
            pace: None,
            ramp: Duration::ZERO,
            storm: false,
            seed: 0,
            address: SocketAddr::from(([127, 0, 0, 1], 7007)),
            sources: [].into(),
            congestion: None,
            proxy: None,
        }
    }

    #[test]
    fn shares_add_up() {
        for (count, connections) in [(10, 3), (3, 10), (1, 1), (50_000, 7), (0, 2)] {
            let load = load(connections);
            let shares: Vec<u64> = (0..connections).map(|n| load.share(count, n)).collect();
            assert_eq!(shares.iter().sum::<u64>(), count, "{count} {connections}");
            assert!(shares[0] - shares[shares.len() - 1] <= 1);
        }
    }

    #[test]
    fn a_ramp_spreads_the_connections_evenly() {
        let load = Load {
            ramp: Duration::from_secs(2),
            ..load(4)
        };
        let begin: Vec<u128> = (0..4).map(|n| load.ramp_of(n).as_millis()).collect();
        assert_eq!(begin, [0, 500, 1000, 1500]);
    }

    #[test]
    fn sources_are_used_in_rotation() {
        assert_eq!(load(4).source_of(3), None);
        let load = Load {
            sources: ["127.0.0.2", "127.0.0.3"]
                .map(|ip| ip.parse().unwrap())
                .into(),
            ..load(4)
        };
        let used: Vec<_> = (0..4)
            .map(|n| load.source_of(n).unwrap().to_string())
            .collect();
        assert_eq!(used, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
    }
}
