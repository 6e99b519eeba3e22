//! The record of a session: one line at its end, on every path, with what moved and why it ended.

use std::cell::Cell;
use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;

use super::accept::ListenerContext;
use super::deadline::Timeouts;
use super::limit::Permit;
use super::session::Service;
use crate::runtime::Time;

/// Why a session ended; the word in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum EndReason {
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

impl EndReason {
    /// Whether both ends were closed by FIN, each as it wished.
    pub(super) fn is_orderly(self) -> bool {
        matches!(self, Self::ClientFin | Self::UpstreamFin)
    }
}

impl fmt::Display for EndReason {
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

/// A client's address. Every session keeps one until it ends: the large kind elsewhere.
#[derive(Debug)]
enum Client {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Client {
    fn address(&self) -> SocketAddr {
        match self {
            Self::V4(address) => (*address).into(),
            Self::V6(address) => (**address).into(),
        }
    }
}

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::V4(address),
            SocketAddr::V6(address) => Self::V6(Box::new(address)),
        }
    }
}

/// What is known of a session, and its place in the limit. Logged when dropped, so that there is
/// exactly one line however the session ends.
#[derive(Debug)]
pub(super) struct Record {
    listener_context: Rc<ListenerContext>,
    client: Client,
    start: Time,
    /// Microseconds from the start until an endpoint had answered; the largest if none has.
    connect_us: u32,
    /// Which of the upstream's endpoints was used; the largest if none was.
    endpoint: u16,
    /// Endpoints that were tried, of 100 at most.
    pub(super) tries: Cell<u8>,
    cause: Option<EndReason>,
    /// Bytes from the client that its sink's kernel took.
    pub(super) from_client: u64,
    /// Bytes that the client's kernel took.
    pub(super) to_client: u64,
}

impl Record {
    /// A session that begins now.
    pub(super) fn new(
        listener_context: Rc<ListenerContext>,
        client: SocketAddr,
        permit: Permit,
    ) -> Self {
        listener_context.begin_session(permit);
        Self {
            client: client.into(),
            start: listener_context.lane.now(),
            listener_context,
            connect_us: u32::MAX,
            endpoint: u16::MAX,
            tries: Cell::new(0),
            cause: None,
            from_client: 0,
            to_client: 0,
        }
    }

    /// Says which endpoint answered, now.
    pub(super) fn connected(&mut self, endpoint: usize) {
        self.endpoint = u16::try_from(endpoint).unwrap_or(u16::MAX);
        let took = self
            .listener_context
            .lane
            .now()
            .since(self.start)
            .as_micros();
        self.connect_us = u32::try_from(took).unwrap_or(u32::MAX);
    }

    /// Says why it ended.
    pub(super) fn end(&mut self, cause: EndReason) {
        self.cause = Some(cause);
    }

    /// How long the session may take over what.
    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.listener_context.timeouts
    }

    fn endpoint(&self) -> Option<SocketAddr> {
        let Service::Proxy(upstream) = &self.listener_context.service else {
            return None;
        };
        (self.endpoint != u16::MAX).then(|| upstream.endpoint(usize::from(self.endpoint)))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // First: whoever takes the line may panic.
        self.listener_context.end_session();
        // Dropped without a cause: by a panic, or by a lane that stops.
        let without = if self.listener_context.lane.is_dropping_after_panic() {
            EndReason::Internal
        } else {
            EndReason::Shutdown
        };
        let total = self.listener_context.lane.now().since(self.start);
        tracing::debug!(
            listener = &*self.listener_context.name,
            lane = self.listener_context.lane_index,
            client = %self.client.address(),
            endpoint = self.endpoint().map(tracing::field::display),
            tries = self.tries.get(),
            connect_us = (self.connect_us != u32::MAX).then_some(self.connect_us),
            total_us = u64::try_from(total.as_micros()).ok(),
            from_client_bytes = self.from_client,
            to_client_bytes = self.to_client,
            ended = %self.cause.unwrap_or(without),
            "session"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::EndReason;

    /// Each cause from the one before: a new one does not compile before it has its place here.
    fn after(cause: Option<EndReason>) -> Option<EndReason> {
        Some(match cause {
            None => EndReason::ClientFin,
            Some(EndReason::ClientFin) => EndReason::UpstreamFin,
            Some(EndReason::UpstreamFin) => EndReason::ClientRst,
            Some(EndReason::ClientRst) => EndReason::UpstreamRst,
            Some(EndReason::UpstreamRst) => EndReason::IdleTimeout,
            Some(EndReason::IdleTimeout) => EndReason::HalfCloseTimeout,
            Some(EndReason::HalfCloseTimeout) => EndReason::Lifetime,
            Some(EndReason::Lifetime) => EndReason::ConnectRefused,
            Some(EndReason::ConnectRefused) => EndReason::ConnectTimeout,
            Some(EndReason::ConnectTimeout) => EndReason::ConnectUnreachable,
            Some(EndReason::ConnectUnreachable) => EndReason::LocalResources,
            Some(EndReason::LocalResources) => EndReason::Shutdown,
            Some(EndReason::Shutdown) => EndReason::Internal,
            Some(EndReason::Internal) => return None,
        })
    }

    /// An operator finds every word of the log in the table of the docs, and no other.
    #[test]
    fn the_table_of_causes_has_every_word() {
        let docs = include_str!("../../docs/operating.md");
        let (_, section) = docs.split_once("## How a session ended\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let word = |line: &str| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        };
        let mut told: Vec<String> = section.lines().filter_map(word).collect();
        let causes = std::iter::successors(after(None), |cause| after(Some(*cause)));
        let mut words: Vec<String> = causes.map(|cause| cause.to_string()).collect();
        assert!(words.len() > 10, "{words:?}");
        told.sort();
        words.sort();
        assert_eq!(told, words);
    }
}
