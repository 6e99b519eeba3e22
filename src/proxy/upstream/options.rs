//! The configuration of an upstream and of its endpoints. Values only.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::balance::Balance;
use crate::net::SocketOptions;

/// The configuration of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// The name in the configuration.
    pub name: String,
    /// The endpoints: at most 65,535. None while discovery has not found any.
    pub endpoints: Vec<EndpointOptions>,
    /// How sessions are spread over the endpoints.
    pub balance: Balance,
    /// The bits of a client's IPv6 address for `balance` by address, at most 128.
    pub hash_prefix: u8,
    /// The most sessions that wait while all usable endpoints have their most sessions.
    pub queue: usize,
    /// The longest wait of such a session.
    pub queue_timeout: Duration,
    /// The most endpoints to try for a session.
    pub tries: usize,
    /// Addresses to connect from, in turn; if empty, the system chooses.
    pub source: Vec<IpAddr>,
    /// Options of its sockets.
    pub socket: SocketOptions,
}

/// The configuration of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Where to connect to.
    pub address: SocketAddr,
    /// The part of new sessions relative to the endpoints of the same level, 0 to 256.
    pub weight: u16,
    /// A level is used while no endpoint of the levels before is usable.
    pub level: u8,
    /// The most sessions; `None`: no limit.
    pub max_sessions: Option<usize>,
}

impl EndpointOptions {
    /// An endpoint equal to all plain endpoints.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            weight: 1,
            level: 0,
            max_sessions: None,
        }
    }
}
