//! One line of the access log as values: from a record of a lane, or from a listing of sessions.
//!
//! Pure. An absent value has no place on a line.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::AccessField;
use crate::proxy::{AccessRecord, Ending, LegFacts, Moment};
use crate::runtime::{Description, ErrorCode, PeerAddress, Time};

/// The wall clock at a moment of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: Time,
    wall_us: u64,
}

impl Clock {
    pub(super) fn new(now: Time, wall: SystemTime) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_us = micros(wall);
        Self { now, wall_us }
    }

    /// Microseconds since 1970 at a moment before now.
    fn at(&self, moment: Time) -> u64 {
        self.wall_us.saturating_sub(micros(self.now.since(moment)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A value on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'l> {
    /// Microseconds since 1970.
    Time(u64),
    Number(u64),
    /// Of a configuration.
    Text(&'l str),
    /// A word of corelane's own: letters and underscores.
    Word(&'static str),
    Peer(PeerAddress),
    Address(SocketAddr),
    Error(ErrorCode),
}

/// The facts on a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'l> {
    /// Microseconds since 1970.
    pub(super) time_us: u64,
    pub(super) session: u64,
    pub(super) lane: usize,
    pub(super) generation: u32,
    pub(super) listener: &'l str,
    pub(super) service: &'static str,
    pub(super) client: PeerAddress,
    pub(super) upstream: Option<&'l str>,
    pub(super) event: Event<'l>,
}

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'l> {
    Start { waited_us: u32 },
    Live(Live),
    End { waited_us: u32, ending: &'l Ending },
}

/// A continuing session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) phase: &'static str,
    pub(super) total: Duration,
    /// Bytes from the client and to the client: in all, and since the line before.
    pub(super) bytes: [u64; 2],
    pub(super) deltas: [u64; 2],
}

impl<'l> Line<'l> {
    pub(super) fn of_record(record: &'l AccessRecord, clock: &Clock) -> Self {
        let (names, waited_us) = (&record.names, record.waited_us);
        Self {
            time_us: clock.at(record.at),
            session: record.session.0,
            lane: record.lane,
            generation: names.generation,
            listener: &names.listener,
            service: names.service,
            client: record.client,
            upstream: names.upstream.as_deref(),
            event: match &record.moment {
                Moment::Start => Event::Start { waited_us },
                Moment::End(ending) => Event::End { waited_us, ending },
            },
        }
    }

    /// A session of a lane at a moment.
    pub(super) fn of_session(
        session: &'l Description,
        lane: usize,
        deltas: [u64; 2],
        clock: &Clock,
    ) -> Self {
        Self {
            time_us: clock.wall_us,
            session: session.id.0,
            lane,
            generation: session.generation,
            listener: &session.listener,
            service: session.kind,
            client: session.client,
            upstream: session.upstream.as_deref(),
            event: Event::Live(Live {
                endpoint: session.endpoint,
                phase: session.stage,
                total: clock.now.since(session.since),
                bytes: [session.from_client, session.to_client],
                deltas,
            }),
        }
    }

    /// Whether a person should look at the session.
    pub(super) fn is_abnormal(&self) -> bool {
        match self.event {
            Event::End { ending, .. } => !ending.reason.is_orderly(),
            Event::Start { .. } | Event::Live(_) => false,
        }
    }

    /// The value of a field, if the line has one.
    pub(super) fn value(&self, field: AccessField) -> Option<Value<'l>> {
        Some(match field {
            AccessField::Time => Value::Time(self.time_us),
            AccessField::Event => Value::Word(match self.event {
                Event::Start { .. } => "start",
                Event::Live(_) => "live",
                Event::End { .. } => "end",
            }),
            AccessField::Session => Value::Number(self.session),
            AccessField::Lane => Value::Number(self.lane as u64),
            AccessField::Generation => Value::Number(self.generation.into()),
            AccessField::Listener => Value::Text(self.listener),
            AccessField::Service => Value::Word(self.service),
            AccessField::Client => Value::Peer(self.client),
            AccessField::Upstream => Value::Text(self.upstream?),
            // An echo tries no endpoint.
            AccessField::Tries if self.upstream.is_none() => return None,
            _ => match self.event {
                Event::Start { waited_us } if field == AccessField::Waited => {
                    Value::Number(waited_us.into())
                }
                Event::Start { .. } => return None,
                Event::Live(live) => live.value(field)?,
                Event::End { waited_us, ending } => of_end(ending, waited_us, field)?,
            },
        })
    }
}

impl Live {
    fn value(&self, field: AccessField) -> Option<Value<'static>> {
        Some(match field {
            AccessField::Endpoint => Value::Address(self.endpoint?),
            AccessField::Total => Value::Number(micros(self.total)),
            AccessField::FromClient => Value::Number(self.bytes[0]),
            AccessField::ToClient => Value::Number(self.bytes[1]),
            AccessField::FromClientDelta => Value::Number(self.deltas[0]),
            AccessField::ToClientDelta => Value::Number(self.deltas[1]),
            AccessField::Phase => Value::Word(self.phase),
            _ => return None,
        })
    }
}

fn of_end(of: &Ending, waited_us: u32, field: AccessField) -> Option<Value<'static>> {
    let leg = |leg: usize, of_leg: fn(LegFacts) -> u64| of.legs[leg].map(of_leg);
    Some(match field {
        AccessField::Endpoint => Value::Address(of.endpoint?),
        AccessField::Ended => Value::Word(of.reason.word()),
        AccessField::By => Value::Word(of.reason.by()),
        AccessField::How => Value::Word(of.reason.how()),
        AccessField::Phase => Value::Word(match of.is_relayed {
            true => "relay",
            false => "opening",
        }),
        AccessField::Error => Value::Error(of.error?),
        _ => Value::Number(match field {
            AccessField::Tries => of.tries.into(),
            AccessField::Waited => waited_us.into(),
            AccessField::Connect => of.connect_us?.into(),
            AccessField::FirstByte => of.first_byte_us?.into(),
            AccessField::Total => micros(of.total),
            AccessField::FromClient => of.from_client,
            AccessField::ToClient => of.to_client,
            AccessField::ClientRtt => leg(0, |leg| leg.rtt_us.into())?,
            AccessField::ClientRttMin => leg(0, |leg| leg.rtt_min_us.into())?,
            AccessField::ClientRetransmits => leg(0, |leg| leg.retransmits.into())?,
            AccessField::ClientRate => leg(0, |leg| leg.delivery_rate)?,
            AccessField::UpstreamRtt => leg(1, |leg| leg.rtt_us.into())?,
            AccessField::UpstreamRttMin => leg(1, |leg| leg.rtt_min_us.into())?,
            AccessField::UpstreamRetransmits => leg(1, |leg| leg.retransmits.into())?,
            AccessField::UpstreamRate => leg(1, |leg| leg.delivery_rate)?,
            _ => return None,
        }),
    })
}
