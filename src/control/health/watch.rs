//! What the main thread gives to the checks: the endpoints to watch.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ejection::Seen;
use crate::config::Health;
use crate::sys::OsSocket;

/// An endpoint, shared with the lanes.
pub(crate) trait Watched: Send + Sync {
    /// Publishes whether new sessions may choose the endpoint.
    fn set_usable(&self, is_usable: bool);

    /// Lets the endpoint's share of new sessions grow from now on, over this time.
    fn start_slowly(&self, over: Duration);

    /// The failures of sessions so far.
    fn seen(&self) -> Seen;

    /// Whether an operator lets sessions choose the endpoint.
    fn is_ready(&self) -> bool;

    /// A socket to connect to this address, with the options and a source address of sessions. A
    /// close sends a FIN.
    ///
    /// # Errors
    /// Out of descriptors, memory or ports, or an option unknown to the system.
    fn socket(&self, to: SocketAddr) -> io::Result<OsSocket>;
}

/// An endpoint to watch.
pub(crate) struct Watch {
    pub(crate) upstream: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) level: u8,
    /// Of the upstream.
    pub(crate) health: Arc<Health>,
    pub(crate) endpoint: Box<dyn Watched>,
}

impl Watch {
    /// The address of checks.
    pub(super) fn to(&self) -> SocketAddr {
        let port = self.health.port.unwrap_or_else(|| self.address.port());
        SocketAddr::new(self.address.ip(), port)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("upstream", &self.upstream)
            .field("address", &self.address)
            .field("level", &self.level)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
