//! The relay: the directions of a session, its deadline, and its end.
//!
//! A session has a single direction (echo: from the client back to the client) or two (client to
//! upstream and back). Both directions run in one poll rather than in two tasks: when a direction
//! sees the reset of a socket, the opposite direction must act at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::close::{Phase, Sink, Source};
use super::deadline::{Deadline, Expired, Open};
use super::end_reason::{EndReason, Side};
use super::pump::{Peer, Pump, PumpContext};
use super::record::Record;
use crate::net::Stream;
use crate::runtime::{
    Close, Description, EndRequest, ErrorCode, Handle, Legs, Session, SessionId, Time, Timer,
};

/// A session that relays: the future of its task, and all memory of an idle session besides its
/// sockets. Kept small for this reason; an echo has no memory for a second direction.
#[derive(Debug)]
pub(super) struct Relay<F: Far> {
    client: Peer,
    /// From the client.
    up: Pump,
    far: F,
    phase: Phase,
    reason: Option<EndReason>,
    open: Open,
    deadline: Deadline,
    timer: Timer,
    /// Bytes acknowledged in total at the last check of the deadline; `NOTHING` if no byte was
    /// outstanding then.
    acknowledged: u64,
    /// Checks in a row with bytes outstanding and no new acknowledgement.
    stalled: u16,
    record: Record,
}

const NOTHING: u64 = u64::MAX;
/// The least time that bytes may be outstanding without an acknowledgement, even with a shorter
/// idle timeout. A receiver opens its window by at least a sixteenth of its buffer (Linux:
/// `__tcp_select_window`) and by whole segments; smaller reads stay invisible to the sender. A
/// receiver that reads 20 KB a second from a buffer of 2 MB opens its window every 7 to 10 s.
const STALL_MIN: Duration = Duration::from_secs(15);

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Relay<Echo>>() <= 168 && size_of::<Relay<Proxied>>() <= 216);

/// The far end of a session, seen from the client.
pub(super) trait Far: Unpin {
    /// The upstream, and the direction from the upstream to the client.
    fn parts(&self) -> Option<(&Peer, &Pump)>;
    /// The same, for a step.
    fn parts_mut(&mut self) -> Option<(&Peer, &mut Pump)>;
}

/// The client itself: its bytes go back.
#[derive(Debug)]
pub(super) struct Echo;

/// An upstream.
#[derive(Debug)]
pub(super) struct Proxied {
    upstream: Peer,
    /// To the client.
    down: Pump,
}

impl Far for Echo {
    fn parts(&self) -> Option<(&Peer, &Pump)> {
        None
    }

    fn parts_mut(&mut self) -> Option<(&Peer, &mut Pump)> {
        None
    }
}

impl Far for Proxied {
    fn parts(&self) -> Option<(&Peer, &Pump)> {
        Some((&self.upstream, &self.down))
    }

    fn parts_mut(&mut self) -> Option<(&Peer, &mut Pump)> {
        Some((&self.upstream, &mut self.down))
    }
}

impl Proxied {
    /// A connected upstream.
    pub(super) fn new(upstream: Stream) -> Self {
        Self {
            upstream: Peer::new(upstream, Side::Upstream),
            down: Pump::default(),
        }
    }
}

impl<F: Far> Relay<F> {
    /// A relay between a client and the far end.
    pub(super) fn new(client: Stream, far: F, record: Record) -> Self {
        let lane = client.lane();
        let deadline = Deadline::new(record.timeouts(), lane.now(), lane.random());
        record.listener_context().stats.relays_begun.add(1);
        Self {
            client: Peer::new(client, Side::Client),
            up: Pump::default(),
            far,
            phase: Phase::Relaying,
            reason: None,
            open: Open::Both,
            deadline,
            timer: Timer::default(),
            acknowledged: NOTHING,
            stalled: 0,
            record,
        }
    }

    pub(super) fn lane(&self) -> &Handle {
        self.client.stream.lane()
    }

    /// Ready at the end of the session, with the ways to close the client's and the upstream's
    /// socket.
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<(Close, Close)> {
        let now = self.client.stream.lane().now();
        if let Poll::Ready(how) = self.step(context, now) {
            return Poll::Ready(how);
        }
        let ended = self.up.ended || self.far.parts().is_some_and(|(_, down)| down.ended);
        if ended && self.open == Open::Both {
            self.open = Open::Half;
            self.deadline.alive(now);
        }
        let over = ready!(self.poll_deadline(context, now));
        self.end_by(over);
        self.step(context, now)
    }

    /// Ends the session by a reset of both sides, in the next step.
    fn end_by(&mut self, reason: EndReason) {
        self.reason = Some(reason);
        self.phase = Phase::Ending;
    }

    /// Moves both directions as far as possible without waiting. Ready when both have ended and no
    /// close can destroy sent bytes.
    fn step(&mut self, context: &mut Context<'_>, now: Time) -> Poll<(Close, Close)> {
        loop {
            let before = self.ends();
            let session = &mut PumpContext {
                context: &mut *context,
                deadline: &mut self.deadline,
                phase: self.phase,
                now,
                moved: &mut self.record.from_client,
            };
            let ended = match self.far.parts_mut() {
                None => {
                    self.up.step(&self.client, &self.client, session);
                    self.up.ended
                }
                Some((upstream, down)) => {
                    self.up.step(&self.client, upstream, session);
                    session.moved = &mut self.record.to_client;
                    down.step(upstream, &self.client, session);
                    let ended = self.up.ended && down.ended;
                    self.record.note_first_byte(down.sending);
                    ended
                }
            };
            self.note_reason();
            if ended {
                return self.settle(context, now);
            }
            // An end has become known in this pass: the opposite direction has not acted on it yet.
            if self.ends() == before {
                return Poll::Pending;
            }
        }
    }

    /// Ready when both sockets can be closed, with the way to close each.
    fn settle(&mut self, context: &mut Context<'_>, now: Time) -> Poll<(Close, Close)> {
        let orderly = self.reason.is_some_and(EndReason::is_orderly);
        let session = &mut PumpContext {
            context,
            deadline: &mut self.deadline,
            phase: self.phase,
            now,
            moved: &mut self.record.from_client,
        };
        let Some((upstream, down)) = self.far.parts_mut() else {
            let how = ready!(self.up.settle(&self.client, orderly, session));
            return Poll::Ready((how, how));
        };
        let of_upstream = self.up.settle(upstream, orderly, session);
        session.moved = &mut self.record.to_client;
        let of_client = down.settle(&self.client, orderly, session);
        Poll::Ready((ready!(of_client), ready!(of_upstream)))
    }

    /// Ready when a time limit of the session is over. Progress inside the kernel counts as
    /// activity, since a slow reader may need long for a single send. So do bytes that wait in the
    /// kernel because the lane has no free buffer: the peer was not silent.
    fn poll_deadline(&mut self, context: &mut Context<'_>, now: Time) -> Poll<EndReason> {
        loop {
            let (timeouts, open) = (self.record.timeouts(), self.open);
            let lane = self.client.stream.lane();
            let deadline = self.deadline.at(timeouts, open);
            ready!(self.timer.poll(lane, deadline, context));
            let acknowledged = self.acknowledged();
            let outstanding = acknowledged != NOTHING;
            self.stalled = if outstanding && self.acknowledged == acknowledged {
                self.stalled.saturating_add(1)
            } else {
                0
            };
            self.acknowledged = acknowledged;
            // The first check has no earlier count to compare with.
            let quiet = open.quiet(timeouts).0;
            let moves = self.stalled == 0 || quiet.saturating_mul(self.stalled.into()) < STALL_MIN;
            if outstanding && moves || self.peers().any(|peer| peer.stream.has_unseen_input()) {
                self.deadline.alive(now);
            }
            match self.deadline.expired(timeouts, open, now) {
                Some(Expired::Idle) => return Poll::Ready(EndReason::IdleTimeout),
                Some(Expired::HalfClose) => return Poll::Ready(EndReason::HalfCloseTimeout),
                Some(Expired::Lifetime) => return Poll::Ready(EndReason::Lifetime),
                None => {}
            }
        }
    }

    /// Bytes acknowledged in total; `NOTHING` if no byte is outstanding.
    fn acknowledged(&self) -> u64 {
        let outstanding = self.up.sending
            || self.far.parts().is_some_and(|(_, down)| down.sending)
            || self.peers().any(|peer| peer.stream.unacknowledged() > 0);
        let total = || {
            self.peers()
                .map(|peer| peer.stream.acknowledged_total())
                .sum()
        };
        outstanding.then(total).unwrap_or(NOTHING)
    }

    /// The first abnormal end counts; without an abnormal end, the first FIN.
    fn note_reason(&mut self) {
        let mut reason_so_far = self.reason;
        for peer in self.peers() {
            let Some(reason) = peer.end_reason() else {
                continue;
            };
            if reason_so_far.is_none_or(|so_far| so_far.gives_way_to(reason)) {
                reason_so_far = Some(reason);
            }
        }
        self.reason = reason_so_far;
    }

    /// The error behind the session's end, if a connection failed.
    fn failure(&self) -> Option<ErrorCode> {
        let mut peers = self.peers();
        let peer = peers.find(|peer| peer.end_reason() == self.reason && self.reason.is_some())?;
        peer.failure()
    }

    /// Bytes accepted by the kernel from the client for the far end, and for the client, with the
    /// accepted part of sends in flight.
    fn moved(&self) -> (u64, u64) {
        let Record {
            from_client,
            to_client,
            ..
        } = self.record;
        match self.far.parts() {
            Some((upstream, down)) => (
                from_client + self.up.in_flight(upstream),
                to_client + down.in_flight(&self.client),
            ),
            None => {
                let moved = from_client + self.up.in_flight(&self.client);
                (moved, moved)
            }
        }
    }

    /// The bytes of both directions that the counters have, or are about to have.
    fn counted(&self) -> (u64, u64) {
        let (up, down) = (self.record.from_client, self.record.to_client);
        (up, self.far.parts().map_or(up, |_| down))
    }

    /// The session's sockets.
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        let upstream = self.far.parts().map(|(upstream, _)| upstream);
        std::iter::once(&self.client).chain(upstream)
    }

    fn ends(&self) -> [(Source, Sink); 2] {
        let of = |peer: &Peer| (peer.read.get(), peer.as_sink());
        let upstream = self.far.parts();
        let upstream = upstream.map_or((Source::Open, Sink::Open), |(peer, _)| of(peer));
        [of(&self.client), upstream]
    }
}

/// The connections in the kernel's view: a system call for each.
fn legs(client: &Peer, far: &impl Far) -> Legs {
    let of = |peer: &Peer| peer.stream.tcp_info();
    Legs {
        client: of(client),
        upstream: far.parts().and_then(|(upstream, _)| of(upstream)),
    }
}

impl<F: Far> Future for Relay<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let before = this.counted();
        let polled = this.go_on(context);
        this.record.count_moved(before, this.counted());
        let (of_client, of_upstream) = ready!(polled);
        this.record.end(this.reason.unwrap_or(EndReason::Internal));
        this.client.stream.close_by(of_client);
        if let Some((upstream, _)) = this.far.parts() {
            upstream.stream.close_by(of_upstream);
        }
        Poll::Ready(())
    }
}

impl<F: Far> Session for Relay<F> {
    fn id(&self) -> SessionId {
        self.record.id()
    }

    fn describe(&self) -> Description {
        let mut description = Description {
            active: self.deadline.last_active(),
            is_ending: self.open == Open::Half || self.phase != Phase::Relaying,
            ..self.record.describe("relay")
        };
        (description.from_client, description.to_client) = self.moved();
        description
    }

    fn legs(&self) -> Legs {
        legs(&self.client, &self.far)
    }

    fn ask_to_end(mut self: Pin<&mut Self>, why: EndRequest) {
        self.end_by(why.into());
    }
}

impl<F: Far> Drop for Relay<F> {
    fn drop(&mut self) {
        // On every path, also when the lane drops the session halfway.
        self.timer.disarm(self.client.stream.lane());
        let before = self.counted();
        (self.record.from_client, self.record.to_client) = self.moved();
        let moved = (self.record.from_client, self.record.to_client);
        self.record.count_moved(before, moved);
        self.record.listener_context().stats.relays_ended.add(1);
        let failure = self.failure();
        let Self {
            record,
            client,
            far,
            ..
        } = self;
        record.finish(failure, || legs(client, far));
    }
}
