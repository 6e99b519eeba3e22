//! A session that has ended: what the log, the metrics and the access log say about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::access::{AccessRecord, Ending, LegFacts, Moment};
use super::end_reason::EndReason;
use super::listener_context::{Access, ListenerContext};
use crate::runtime::{ErrorCode, Legs, PeerAddress, SessionId};
use crate::stats::{EndpointStats, micros};

/// The facts about a session at its end. Bytes, times and the reason are final.
#[derive(Debug)]
pub(super) struct Ended<'c> {
    pub(super) context: &'c ListenerContext,
    pub(super) id: SessionId,
    pub(super) client: PeerAddress,
    /// The endpoint that has answered.
    pub(super) endpoint: Option<SocketAddr>,
    /// The counters of this endpoint.
    pub(super) endpoint_stats: Option<&'c EndpointStats>,
    /// Endpoints tried, at most 100.
    pub(super) tries: u8,
    /// Microseconds from the accept to the begin of the session.
    pub(super) waited_us: u32,
    /// Microseconds from the begin to the answer of the endpoint.
    pub(super) connect_us: Option<u32>,
    /// Microseconds from the begin to the first byte of the endpoint for the client.
    pub(super) first_byte_us: Option<u32>,
    /// From the begin to the end.
    pub(super) total: Duration,
    /// Bytes from the client accepted by the kernel for the far end.
    pub(super) from_client: u64,
    /// Bytes accepted by the kernel for the client.
    pub(super) to_client: u64,
    pub(super) reason: EndReason,
    /// The error of the connection that failed.
    pub(super) error: Option<ErrorCode>,
}

impl Ended<'_> {
    /// Reports to whoever wants to know. `legs` costs a system call for each connection.
    pub(super) fn report(&self, legs: impl FnOnce() -> Legs) {
        self.count();
        self.log();
        if let Some(access) = &self.context.access
            && access.log.wants_end(self.id, self.reason, self.total)
        {
            self.record(access, legs);
        }
    }

    fn record(&self, access: &Access, legs: impl FnOnce() -> Legs) {
        let legs = match access.log.wants_legs() {
            true => LegFacts::of(&legs()),
            false => [None; 2],
        };
        access.log.push(AccessRecord {
            names: Arc::clone(&access.names),
            session: self.id,
            lane: self.context.lane_index,
            client: self.client,
            waited_us: self.waited_us,
            at: self.context.lane.now(),
            moment: Moment::End(Ending {
                endpoint: self.endpoint,
                tries: self.tries,
                connect_us: self.connect_us,
                first_byte_us: self.first_byte_us,
                total: self.total,
                from_client: self.from_client,
                to_client: self.to_client,
                reason: self.reason,
                is_relayed: self.connect_us.is_some() || access.names.upstream.is_none(),
                error: self.error,
                legs,
            }),
        });
    }

    fn count(&self) {
        let (stats, reason) = (&self.context.stats, self.reason.index());
        stats.ended.count(reason);
        stats.life.record(micros(self.total));
        stats.session_from_client.record(self.from_client);
        stats.session_to_client.record(self.to_client);
        if let Some(endpoint) = self.endpoint_stats {
            endpoint.ended.count(reason);
        }
    }

    fn log(&self) {
        tracing::debug!(
            listener = &*self.context.name,
            session = self.id.0,
            lane = self.context.lane_index,
            client = %self.client,
            endpoint = self.endpoint.map(tracing::field::display),
            tries = self.tries,
            waited_us = self.waited_us,
            connect_us = self.connect_us,
            first_byte_us = self.first_byte_us,
            total_us = u64::try_from(self.total.as_micros()).ok(),
            from_client_bytes = self.from_client,
            to_client_bytes = self.to_client,
            ended = %self.reason,
            error = self.error.map(tracing::field::display),
            "session"
        );
    }
}
