//! Upstreams: a named set of endpoints, and connecting to one of them.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::net::{self, Stream};
use crate::runtime::{Handle, timeout};

/// How long one endpoint may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The endpoints that a listener relays to; one lane's.
#[derive(Debug)]
pub struct Upstream {
    name: String,
    endpoints: Vec<SocketAddr>,
    /// The endpoint whose turn it is.
    next: Cell<usize>,
}

/// No endpoint took the connection: why, for each that was tried.
#[derive(Debug)]
pub(super) struct NoEndpoint {
    upstream: String,
    tried: Vec<(SocketAddr, io::Error)>,
}

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no endpoint of upstream {} takes the connection",
            self.upstream
        )?;
        for (place, (endpoint, error)) in self.tried.iter().enumerate() {
            let separator = if place == 0 { ": " } else { "; " };
            write!(f, "{separator}{endpoint}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoEndpoint {}

impl Upstream {
    /// An upstream of at least one endpoint. Each lane has its own; `first` says where its round
    /// begins, so that the lanes do not all begin with the same endpoint.
    ///
    /// # Panics
    /// When there is no endpoint.
    #[must_use]
    pub fn new(name: String, endpoints: Vec<SocketAddr>, first: usize) -> Self {
        assert!(
            !endpoints.is_empty(),
            "the configuration refuses an upstream without endpoints"
        );
        let next = Cell::new(first % endpoints.len());
        Self {
            name,
            endpoints,
            next,
        }
    }

    /// Connects to the next endpoint in turn, and if it does not answer to the one after it, until
    /// each was tried once.
    pub(super) async fn connect(&self, lane: &Handle) -> Result<(Stream, SocketAddr), NoEndpoint> {
        let mut tried = Vec::new();
        let first = self.next.get();
        self.next.set((first + 1) % self.endpoints.len());
        for &endpoint in self.endpoints[first..]
            .iter()
            .chain(&self.endpoints[..first])
        {
            let limit = lane.sleep_until(lane.now() + CONNECT_TIMEOUT);
            let error = match timeout(limit, net::connect(lane, endpoint)).await {
                Ok(Ok(stream)) => return Ok((stream, endpoint)),
                Ok(Err(error)) => error,
                Err(elapsed) => io::Error::new(io::ErrorKind::TimedOut, elapsed),
            };
            tried.push((endpoint, error));
        }
        Err(NoEndpoint {
            upstream: self.name.clone(),
            tried,
        })
    }
}
