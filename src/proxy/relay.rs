//! The relay: the directions of a session, its deadline, and its end.
//!
//! A session has one direction (echo: from the client back to it) or two (client to upstream and
//! back). Written as one poll rather than as two tasks: what one direction learns of a socket, that
//! it was reset, say, the other one must act upon at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::close::{Phase, Sink, Source};
use super::deadline::{Deadline, Expired, Timeouts};
use super::direction::{Direction, Pulse, Side};
use super::limit::Permit;
use super::record::{Cause, Record};
use crate::net::Stream;
use crate::runtime::{Close, Sleep, Time};

/// A session that relays; a future, and all that an idle session keeps in memory besides its
/// sockets.
#[derive(Debug)]
pub(super) struct Relay {
    client: Side,
    /// `None` for echo.
    upstream: Option<Side>,
    /// From the client.
    up: Direction,
    /// To the client; for echo this is `up`.
    down: Direction,
    phase: Phase,
    deadline: Deadline,
    sleep: Sleep,
    /// Acknowledged in all when the deadline was last looked at, if bytes were outstanding.
    acknowledged: Option<u64>,
    cause: Option<Cause>,
    record: Record,
    _permit: Permit,
}

impl Relay {
    /// A relay between a client and an upstream; without one, back to the client.
    pub(super) fn new(
        client: Stream,
        upstream: Option<Stream>,
        timeouts: &Timeouts,
        record: Record,
        permit: Permit,
    ) -> Self {
        let lane = client.lane();
        let deadline = Deadline::new(timeouts, lane.now(), lane.random());
        let sleep = lane.sleep_until(deadline.at());
        Self {
            client: Side::new(client, Cause::ClientFin, Cause::ClientRst),
            upstream: upstream.map(|s| Side::new(s, Cause::UpstreamFin, Cause::UpstreamRst)),
            up: Direction::default(),
            down: Direction::default(),
            phase: Phase::Relaying,
            deadline,
            sleep,
            acknowledged: None,
            cause: None,
            record,
            _permit: permit,
        }
    }

    /// Ready when all is done; says how the client's and the upstream's socket are to be closed.
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<(Close, Close)> {
        let now = self.client.stream.lane().now();
        if let Poll::Ready(how) = self.step(context, now) {
            return Poll::Ready(how);
        }
        if self.up.ended || self.down.ended {
            self.deadline.half_closed(now);
        }
        self.cause = Some(ready!(self.poll_deadline(context, now)));
        self.phase = Phase::Ending;
        self.step(context, now)
    }

    /// Takes both directions as far as they go without waiting; ready when both have ended, and
    /// what they have sent is safe.
    fn step(&mut self, context: &mut Context<'_>, now: Time) -> Poll<(Close, Close)> {
        loop {
            let before = self.ends();
            let (deadline, phase) = (&mut self.deadline, self.phase);
            let pulse = &mut Pulse {
                context: &mut *context,
                deadline,
                phase,
                now,
            };
            match &self.upstream {
                None => {
                    self.up.step(&self.client, &self.client, pulse);
                    self.down.ended = self.up.ended;
                }
                Some(upstream) => {
                    self.up.step(&self.client, upstream, pulse);
                    self.down.step(upstream, &self.client, pulse);
                }
            }
            self.note_cause();
            if self.up.ended && self.down.ended {
                return self.settle(context, now);
            }
            // What one direction has learnt, the other has not acted upon yet.
            if self.ends() == before {
                return Poll::Pending;
            }
        }
    }

    /// Says how each socket is to be closed, once that can be done.
    fn settle(&mut self, context: &mut Context<'_>, now: Time) -> Poll<(Close, Close)> {
        let orderly = self.cause.is_some_and(Cause::is_orderly);
        let (deadline, phase) = (&mut self.deadline, self.phase);
        let pulse = &mut Pulse {
            context,
            deadline,
            phase,
            now,
        };
        let Some(upstream) = &self.upstream else {
            let how = ready!(self.up.settle(&self.client, orderly, pulse));
            return Poll::Ready((how, how));
        };
        let of_upstream = self.up.settle(upstream, orderly, pulse);
        let of_client = self.down.settle(&self.client, orderly, pulse);
        Poll::Ready((ready!(of_client), ready!(of_upstream)))
    }

    /// Why the session's time is over. What still moves in the kernel keeps it alive, since a
    /// reader may take long over one send; a first look has nothing to compare with, and so gives
    /// a session with bytes outstanding one more round.
    fn poll_deadline(&mut self, context: &mut Context<'_>, now: Time) -> Poll<Cause> {
        loop {
            self.sleep.reset(self.deadline.at());
            ready!(Pin::new(&mut self.sleep).poll(context));
            let acknowledged = self.acknowledged();
            if acknowledged.is_some() && self.acknowledged != acknowledged {
                self.deadline.alive(now);
            }
            self.acknowledged = acknowledged;
            match self.deadline.expired(now) {
                Some(Expired::Idle) => return Poll::Ready(Cause::IdleTimeout),
                Some(Expired::HalfClose) => return Poll::Ready(Cause::HalfCloseTimeout),
                Some(Expired::Lifetime) => return Poll::Ready(Cause::Lifetime),
                None => {}
            }
        }
    }

    /// Bytes acknowledged in all; `None` when nothing is outstanding.
    fn acknowledged(&self) -> Option<u64> {
        let sides = || {
            [Some(&self.client), self.upstream.as_ref()]
                .into_iter()
                .flatten()
        };
        let outstanding = self.up.sending
            || self.down.sending
            || sides().any(|side| side.stream.unacknowledged() > 0);
        let total = || sides().map(|side| side.stream.acknowledged_total()).sum();
        outstanding.then(total)
    }

    /// The first abnormal end counts; without one, the first FIN.
    fn note_cause(&mut self) {
        for side in [Some(&self.client), self.upstream.as_ref()]
            .into_iter()
            .flatten()
        {
            let cause = match (side.read.get(), side.as_sink()) {
                (Source::Reset, _) | (_, Sink::Gone) => side.reset,
                (Source::Fin, Sink::Open) => side.fin,
                (Source::Open, Sink::Open) => continue,
            };
            if self
                .cause
                .is_none_or(|so_far| so_far.is_orderly() && !cause.is_orderly())
            {
                self.cause = Some(cause);
            }
        }
    }

    fn ends(&self) -> [(Source, Sink); 2] {
        let of = |side: &Side| (side.read.get(), side.as_sink());
        let upstream = self
            .upstream
            .as_ref()
            .map_or((Source::Open, Sink::Open), of);
        [of(&self.client), upstream]
    }
}

impl Future for Relay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (of_client, of_upstream) = ready!(this.go_on(context));
        this.record.end(this.cause.unwrap_or(Cause::Internal));
        this.client.stream.close_by(of_client);
        if let Some(upstream) = &this.upstream {
            upstream.stream.close_by(of_upstream);
        }
        Poll::Ready(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // However it ends: also when the lane drops it in the middle.
        (self.record.from_client, self.record.to_client) = match &self.upstream {
            Some(upstream) => (self.up.moved(upstream), self.down.moved(&self.client)),
            None => (self.up.moved(&self.client), self.up.moved(&self.client)),
        };
    }
}
