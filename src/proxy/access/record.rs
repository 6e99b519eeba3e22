//! What a lane tells the writing thread about a session: plain values, and a shared handle for the
//! names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::end_reason::EndReason;
use crate::runtime::{ErrorCode, Legs, PeerAddress, SessionId, TcpInfo, Time};

/// The names of a listener of a generation, for all sessions.
#[derive(Debug)]
pub(crate) struct AccessNames {
    pub(crate) generation: u32,
    pub(crate) listener: Arc<str>,
    /// "echo" or "proxy".
    pub(crate) service: &'static str,
    /// None for an echo.
    pub(crate) upstream: Option<Arc<str>>,
}

/// A session at the start or the end.
#[derive(Debug)]
pub(crate) struct AccessRecord {
    pub(crate) names: Arc<AccessNames>,
    pub(crate) session: SessionId,
    pub(crate) lane: usize,
    pub(crate) client: PeerAddress,
    /// Microseconds from the accept to the start.
    pub(crate) waited_us: u32,
    /// The moment of the record.
    pub(crate) at: Time,
    pub(crate) moment: Moment,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum Moment {
    Start,
    End(Ending),
}

/// The facts of an ended session.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The endpoint that has answered.
    pub(crate) endpoint: Option<SocketAddr>,
    /// Endpoints tried.
    pub(crate) tries: u8,
    /// Microseconds from the start to the answer of the endpoint.
    pub(crate) connect_us: Option<u32>,
    /// Microseconds from the start to the first byte of the endpoint for the client.
    pub(crate) first_byte_us: Option<u32>,
    pub(crate) total: Duration,
    pub(crate) from_client: u64,
    pub(crate) to_client: u64,
    pub(crate) reason: EndReason,
    /// Whether the relay had begun.
    pub(crate) is_relayed: bool,
    pub(crate) error: Option<ErrorCode>,
    /// The connection of the client, and of the upstream.
    pub(crate) legs: [Option<LegFacts>; 2],
}

/// A connection at the end, in the kernel's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegFacts {
    pub(crate) rtt_us: u32,
    pub(crate) rtt_min_us: u32,
    /// Retransmitted segments.
    pub(crate) retransmits: u32,
    /// Bytes a second.
    pub(crate) delivery_rate: u64,
}

impl LegFacts {
    /// The facts of the client's connection, and of the upstream's.
    pub(crate) fn of(legs: &Legs) -> [Option<Self>; 2] {
        [&legs.client, &legs.upstream].map(|leg| leg.as_ref().map(Self::new))
    }

    fn new(info: &TcpInfo) -> Self {
        Self {
            rtt_us: info.rtt_us,
            rtt_min_us: info.rtt_min_us,
            retransmits: info.retransmitted_segments,
            delivery_rate: info.delivery_bytes_per_second,
        }
    }
}
