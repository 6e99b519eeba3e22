//! The record of a session: one line at its end, on every path, with what moved and why it ended.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use crate::runtime::{Handle, Time};

/// Why a session ended; the word in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// The client's FIN came first, the upstream's followed.
    ClientFin,
    /// The upstream's FIN came first, the client's followed.
    UpstreamFin,
    /// The client reset, or could not be reached any more.
    ClientRst,
    /// The upstream reset, or could not be reached any more.
    UpstreamRst,
    /// Nothing moved for too long.
    IdleTimeout,
    /// Nothing moved for too long after one side's FIN.
    HalfCloseTimeout,
    /// The session's time was over.
    Lifetime,
    /// The last endpoint that was tried refused.
    ConnectRefused,
    /// The last endpoint that was tried did not answer in time.
    ConnectTimeout,
    /// The last endpoint that was tried cannot be reached.
    ConnectUnreachable,
    /// No descriptor, port or memory to connect with: no fault of an endpoint.
    LocalResources,
    /// The server stopped and would not wait any longer.
    Shutdown,
    /// A defect of corelane.
    Internal,
}

impl Cause {
    /// Whether both ends were closed by FIN, each as it wished.
    pub(super) fn is_orderly(self) -> bool {
        matches!(self, Self::ClientFin | Self::UpstreamFin)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientFin => "client_fin",
            Self::UpstreamFin => "upstream_fin",
            Self::ClientRst => "client_rst",
            Self::UpstreamRst => "upstream_rst",
            Self::IdleTimeout => "idle_timeout",
            Self::HalfCloseTimeout => "half_close_timeout",
            Self::Lifetime => "lifetime",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::LocalResources => "local_resources",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        })
    }
}

/// What is known of a session. Logged when dropped, so that there is exactly one line however the
/// session ends.
#[derive(Debug)]
pub(super) struct Record {
    lane: Handle,
    listener: Arc<str>,
    client: SocketAddr,
    start: Time,
    /// When an endpoint had answered.
    pub(super) connected: Option<Time>,
    /// The endpoint that was used.
    pub(super) endpoint: Option<SocketAddr>,
    /// Endpoints that were tried.
    pub(super) tries: u32,
    /// Bytes from the client that its sink's kernel took.
    pub(super) from_client: u64,
    /// Bytes that the client's kernel took.
    pub(super) to_client: u64,
    cause: Option<Cause>,
}

impl Record {
    /// A session that begins now.
    pub(super) fn new(lane: &Handle, listener: Arc<str>, client: SocketAddr) -> Self {
        Self {
            lane: lane.clone(),
            listener,
            client,
            start: lane.now(),
            connected: None,
            endpoint: None,
            tries: 0,
            from_client: 0,
            to_client: 0,
            cause: None,
        }
    }

    /// Says why it ended.
    pub(super) fn end(&mut self, cause: Cause) {
        self.cause = Some(cause);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Dropped without a cause: by a panic, or by a lane that stops.
        let without = if thread::panicking() {
            Cause::Internal
        } else {
            Cause::Shutdown
        };
        let microseconds = |time: Time| u64::try_from(time.since(self.start).as_micros()).ok();
        tracing::debug!(
            listener = &*self.listener,
            client = %self.client,
            endpoint = self.endpoint.map(tracing::field::display),
            tries = self.tries,
            connect_us = self.connected.and_then(microseconds),
            total_us = microseconds(self.lane.now()),
            from_client_bytes = self.from_client,
            to_client_bytes = self.to_client,
            ended = %self.cause.unwrap_or(without),
            "session"
        );
    }
}
