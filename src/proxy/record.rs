//! The record of a session: a log line at its end, on every path, with byte counts and the reason
//! of the end.

use std::cell::Cell;
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::access::{AccessRecord, Moment};
use super::admission::Admission;
use super::deadline::Timeouts;
use super::end_reason::EndReason;
use super::ended::Ended;
use super::listener_context::ListenerContext;
use super::upstream::Lease;
use crate::runtime::{Description, ErrorCode, Legs, PeerAddress, SessionId, Time};
use crate::stats::{EndpointStats, micros};

/// A client's address. Every session keeps an address until its end, so the large kind is boxed.
#[derive(Debug)]
enum Client {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    Unix,
}

impl Client {
    fn address(&self) -> PeerAddress {
        match self {
            Self::V4(address) => PeerAddress::Inet((*address).into()),
            Self::V6(address) => PeerAddress::Inet((**address).into()),
            Self::Unix => PeerAddress::Unix,
        }
    }
}

impl From<PeerAddress> for Client {
    fn from(address: PeerAddress) -> Self {
        match address {
            PeerAddress::Inet(SocketAddr::V4(address)) => Self::V4(address),
            PeerAddress::Inet(SocketAddr::V6(address)) => Self::V6(Box::new(address)),
            PeerAddress::Unix => Self::Unix,
        }
    }
}

/// The facts about a session, its admission and its lease. Drop writes the log line at the latest,
/// so that every session has exactly one line, also after a panic.
#[derive(Debug)]
pub(super) struct Record {
    admission: Admission,
    id: SessionId,
    client: Client,
    start: Time,
    /// Microseconds from the accept to the start, for a permit and the way to a lane, plus the
    /// wait in the queue of the upstream.
    waited_us: Cell<u32>,
    /// Microseconds from the start to the answer of an endpoint; `UNCONNECTED` without an answer.
    connect_us: Cell<u32>,
    /// Microseconds from the start to the first byte of the endpoint for the client;
    /// `UNCONNECTED` before.
    first_byte_us: u32,
    /// For the endpoint of the present try, or the endpoint that has answered.
    pub(super) lease: Lease,
    /// Endpoints tried, at most 100.
    pub(super) tries: Cell<u8>,
    line: Line,
    /// Bytes from the client that the kernel of the sink has accepted.
    pub(super) from_client: u64,
    /// Bytes to the client that the kernel has accepted.
    pub(super) to_client: u64,
}

/// The session's line in the log.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// With the reason, once the session has ended.
    Due(Option<EndReason>),
    Written,
}

/// The facts about a session that never change.
pub(super) struct Identity {
    listener_context: Rc<ListenerContext>,
    id: SessionId,
    client: PeerAddress,
    start: Time,
}

impl Identity {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// A session without an endpoint that has moved nothing.
    pub(super) fn describe(&self, stage: &'static str) -> Description {
        let context = &self.listener_context;
        Description {
            id: self.id,
            kind: context.service.kind(),
            stage,
            generation: context.id.generation,
            listener: Arc::clone(&context.name),
            client: self.client,
            upstream: context
                .service
                .upstream()
                .map(|upstream| Arc::clone(upstream.name())),
            endpoint: None,
            since: self.start,
            active: self.start,
            is_ending: false,
            from_client: 0,
            to_client: 0,
        }
    }
}

const UNCONNECTED: u32 = u32::MAX;

impl Record {
    /// A session that begins now, of a connection accepted at this time.
    pub(super) fn new(admission: Admission, client: PeerAddress, accepted: Time) -> Self {
        let start = admission.listener_context().lane.now();
        let waited = micros(start.since(accepted));
        admission.listener_context().stats.waited.record(waited);
        let record = Self {
            id: admission.listener_context().ids.next(),
            client: client.into(),
            start,
            waited_us: Cell::new(u32::try_from(waited).unwrap_or(u32::MAX)),
            admission,
            connect_us: Cell::new(UNCONNECTED),
            first_byte_us: UNCONNECTED,
            lease: Lease::none(),
            tries: Cell::new(0),
            line: Line::Due(None),
            from_client: 0,
            to_client: 0,
        };
        record.report_start(client);
        record
    }

    /// Adds the line of the start to the access log.
    fn report_start(&self, client: PeerAddress) {
        let context = self.listener_context();
        if let Some(access) = &context.access
            && access.log.wants_start(self.id)
        {
            access.log.push(AccessRecord {
                names: Arc::clone(&access.names),
                session: self.id,
                lane: context.lane_index,
                client,
                waited_us: self.waited_us.get(),
                at: self.start,
                moment: Moment::Start,
            });
        }
    }

    /// The session has waited in the queue of the upstream, from the start until now.
    pub(super) fn set_queued(&self) {
        let waited = self.waited_us.get().saturating_add(self.age_us());
        self.waited_us.set(waited);
    }

    /// The endpoint of the lease has just answered.
    pub(super) fn set_connected(&self) {
        self.connect_us.set(self.age_us());
        let connect = self.connect_us.get().into();
        self.listener_context().stats.connect.record(connect);
        if let Some(endpoint) = self.endpoint_stats() {
            endpoint.begun.add(1);
        }
    }

    /// Bytes of the endpoint may have gone to the client, or go at the end of this turn.
    pub(super) fn note_first_byte(&mut self, is_sending: bool) {
        if self.first_byte_us == UNCONNECTED && (is_sending || self.to_client > 0) {
            self.first_byte_us = self.age_us();
            let first_byte = self.first_byte_us.into();
            self.listener_context().stats.first_byte.record(first_byte);
            if let Some(endpoint) = self.endpoint_stats() {
                let connect = self.connect_us.get().into();
                endpoint
                    .first_byte
                    .record(first_byte.saturating_sub(connect));
            }
            let upstream = self.listener_context().service.upstream();
            if let (Some(upstream), Some(endpoint)) = (upstream, self.lease.endpoint()) {
                upstream.note_first_byte(endpoint);
            }
        }
    }

    /// Counts bytes that have moved while the numbers of both directions, from the client and to
    /// the client, went from `before` to `after`.
    pub(super) fn count_moved(&self, before: (u64, u64), after: (u64, u64)) {
        let (from_client, to_client) = (after.0 - before.0, after.1 - before.1);
        let stats = &self.listener_context().stats;
        // Without a look at the numbers: a store costs less than a branch that is often wrong.
        stats.from_client.add(from_client);
        stats.to_client.add(to_client);
        if let Some(stats) = self.endpoint_stats() {
            stats.from_client.add(from_client);
            stats.to_client.add(to_client);
        }
    }

    /// The counters of the endpoint, if the session is connected.
    fn endpoint_stats(&self) -> Option<&EndpointStats> {
        let context = self.listener_context();
        let upstream = context.service.upstream()?;
        let is_connected = self.connect_us.get() != UNCONNECTED;
        let connected = self.lease.endpoint().filter(|_| is_connected)?;
        Some(upstream.endpoint_stats(connected, context.lane_index))
    }

    /// Sets the reason of the end.
    pub(super) fn end(&mut self, reason: EndReason) {
        self.line = Line::Due(Some(reason));
    }

    /// The present state of the session.
    pub(super) fn describe(&self, stage: &'static str) -> Description {
        Description {
            endpoint: self.connected_endpoint(),
            from_client: self.from_client,
            to_client: self.to_client,
            ..self.identity().describe(stage)
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn client(&self) -> PeerAddress {
        self.client.address()
    }

    /// The facts that the session has from its start.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            listener_context: self.admission.share(),
            id: self.id,
            client: self.client.address(),
            start: self.start,
        }
    }

    /// The endpoint, if the session is connected.
    fn connected_endpoint(&self) -> Option<SocketAddr> {
        let upstream = self.listener_context().service.upstream()?;
        let is_connected = self.connect_us.get() != UNCONNECTED;
        let connected = self.lease.endpoint().filter(|_| is_connected);
        connected.map(|index| upstream.address(index))
    }

    pub(super) fn listener_context(&self) -> &ListenerContext {
        self.admission.listener_context()
    }

    /// The time limits of the session.
    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.listener_context().timeouts
    }

    fn age(&self) -> Duration {
        self.listener_context().lane.now().since(self.start)
    }

    /// The age in microseconds, below `UNCONNECTED`.
    fn age_us(&self) -> u32 {
        let longest = UNCONNECTED - 1;
        let age = u32::try_from(self.age().as_micros());
        age.map_or(longest, |age| age.min(longest))
    }

    /// Reports the end of the session, once, with the error of the connection that failed. The
    /// error is an argument, since an idle session has no room for one. `legs` asks the kernel for
    /// the connections, which are still open.
    pub(super) fn finish(&mut self, error: Option<ErrorCode>, legs: impl FnOnce() -> Legs) {
        let Line::Due(reason) = mem::replace(&mut self.line, Line::Written) else {
            return;
        };
        let context = self.admission.listener_context();
        let endpoint = self.connected_endpoint();
        let endpoint_stats = self.endpoint_stats();
        if let Some(upstream) = context.service.upstream() {
            let is_early = self.first_byte_us == UNCONNECTED && self.to_client == 0;
            if reason == Some(EndReason::UpstreamRst)
                && is_early
                && let Some(endpoint) = self.lease.endpoint()
            {
                upstream.note_early_reset(endpoint);
            }
            self.lease.end(upstream);
        }
        // Dropped without a reason: by a panic, or by a lane that stops.
        let without = if context.lane.is_dropping_after_panic() {
            EndReason::Internal
        } else {
            EndReason::Shutdown
        };
        let known = |us: u32| (us != UNCONNECTED).then_some(us);
        let ended = Ended {
            context,
            id: self.id,
            client: self.client.address(),
            endpoint,
            endpoint_stats,
            tries: self.tries.get(),
            waited_us: self.waited_us.get(),
            connect_us: known(self.connect_us.get()),
            first_byte_us: known(self.first_byte_us),
            total: self.age(),
            from_client: self.from_client,
            to_client: self.to_client,
            reason: reason.unwrap_or(without),
            error: error.filter(|_| reason.is_some()),
        };
        ended.report(legs);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish(None, Legs::default);
        let upstream = self.listener_context().service.upstream();
        let place = upstream.and_then(|upstream| self.lease.place(upstream));
        self.admission.end(place);
    }
}
