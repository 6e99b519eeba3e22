//! The arguments of the control thread: plain values and ways to ask.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::access::Access;
use super::ask::Ask;
use super::lanes::Lane;
use super::token::Token;
use crate::sys::local::LocalListener;

/// Health checks at a time: with 2 s for each dead endpoint, 64 checks a second at least.
pub(crate) const CHECKS_MAX: usize = 128;

/// The sockets of the control plane, bound.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) admin: Option<Arc<LocalListener>>,
    pub(crate) health: Option<TcpListener>,
    pub(crate) dashboard: Option<TcpListener>,
}

/// The control thread's view of the server.
pub(crate) struct Parts {
    pub(crate) sockets: Sockets,
    pub(crate) access: Access,
    /// For the actions of the dashboard; without it there are none.
    pub(crate) token: Option<Token>,
    pub(crate) limits: Limits,
    /// By index.
    pub(crate) lanes: Vec<Lane>,
    /// Asks the main thread. The question is dropped if the main thread has ended.
    pub(crate) ask: Box<dyn Fn(Ask) + Send + Sync>,
    /// The level of the log.
    pub(crate) log_level: Box<dyn Fn() -> &'static str + Send + Sync>,
    /// Changes the level of the log; `false` for an unknown word.
    pub(crate) set_log_level: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sockets,
            access,
            limits,
            lanes,
            ..
        } = self;
        f.debug_struct("Parts")
            .field("sockets", sockets)
            .field("access", access)
            .field("limits", limits)
            .field("lanes", lanes)
            .finish_non_exhaustive()
    }
}

/// The bounds of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections of the admin API at a time. Further connections wait in the backlog.
    pub(crate) connections: usize,
    /// The same for health checks. A further connection gets the place of an idle one.
    pub(crate) health_connections: usize,
    /// The same for the dashboard.
    pub(crate) dashboard_connections: usize,
    /// For a request's header, also between two requests of a connection.
    pub(crate) header: Duration,
    /// For a request's body.
    pub(crate) body: Duration,
    /// For the answers of lanes and of the main thread to a request.
    pub(crate) answer: Duration,
    /// For a connection in all: the most for a client without a read.
    pub(crate) connection: Duration,
    /// For a client that takes nothing of an answer of a TCP port.
    pub(crate) write: Duration,
    pub(crate) header_bytes: usize,
    pub(crate) body_bytes: usize,
    /// Health checks at a time, each with a descriptor. Further checks wait.
    pub(crate) checks: usize,
    /// Descriptors kept for connections while the process has none left.
    pub(crate) reserve: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // With the sockets and the reserve some 93 descriptors, of the 96 kept by the plan.
            connections: 32,
            health_connections: 32,
            dashboard_connections: 8,
            header: Duration::from_secs(5),
            body: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            connection: Duration::from_secs(60),
            write: Duration::from_secs(5),
            header_bytes: 16 << 10,
            body_bytes: 64 << 10,
            checks: CHECKS_MAX,
            reserve: 4,
        }
    }
}
