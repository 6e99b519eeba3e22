//! The record of a session: one line at its end, on every path, with what moved and why it ended.

use std::cell::Cell;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;

use super::deadline::Timeouts;
use super::end_reason::EndReason;
use super::limit::Permit;
use super::listener_context::ListenerContext;
use super::service::Service;
use crate::runtime::Time;

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
