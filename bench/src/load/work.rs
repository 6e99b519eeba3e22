//! What each connection of a load does, and how its share of the load is found. Pure.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::schedule::Pace;
use super::script::Script;
use crate::args::sizes::Sizes;
use crate::args::{CloseChoice, Direction, ProxyVersion};

/// How long the load lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    For(Duration),
    /// So many messages, over all connections.
    Count(u64),
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One message after the other.
    Exchange,
    /// One message, then the next connection.
    Churn(CloseChoice),
    /// Bytes without an end.
    Bulk(Direction),
}

impl Work {
    /// The option that says how many connections.
    pub(crate) fn connections_option(self) -> &'static str {
        match self {
            Self::Exchange | Self::Churn(_) => "--connections",
            Self::Bulk(_) => "--streams",
        }
    }
}

/// What each connection does.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) sizes: Sizes,
    /// What is said instead of a pattern that comes back.
    pub(crate) script: Option<Arc<Script>>,
    pub(crate) pipeline: usize,
    pub(crate) verify: bool,
    pub(crate) length: Length,
    /// How many connections there are, or are made at a time.
    pub(crate) connections: u32,
    /// Open loop, if there is one.
    pub(crate) pace: Option<Pace>,
    /// Time over which they begin.
    pub(crate) ramp: Duration,
    /// All are opened at once.
    pub(crate) storm: bool,
    /// Tells this run's bytes from those of every other.
    pub(crate) seed: u64,
    pub(crate) address: SocketAddr,
    /// Local addresses, taken in turn; none: the system's choice.
    pub(crate) sources: Arc<[IpAddr]>,
    pub(crate) congestion: Option<String>,
    pub(crate) proxy: Option<ProxyVersion>,
}

impl Load {
    /// How many of `count` messages a connection has: as many as every other, or one more.
    pub(crate) fn share(&self, count: u64, connection: u32) -> u64 {
        let connections = u64::from(self.connections);
        count / connections + u64::from(u64::from(connection) < count % connections)
    }

    /// How long after the start a connection begins.
    pub(crate) fn ramp_of(&self, connection: u32) -> Duration {
        self.ramp
            .mul_f64(f64::from(connection) / f64::from(self.connections))
    }

    /// Where a connection comes from.
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

    /// A closed loop of so many connections.
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
    fn sources_are_taken_in_turn() {
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
