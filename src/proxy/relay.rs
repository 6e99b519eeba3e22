//! The relay: moves the bytes of a session and carries out what the close engine says.
//!
//! A session has one direction (echo: from the client back to it) or two (client to upstream and
//! back). Written as one poll rather than as two tasks: what one direction learns of a socket, that
//! it was reset, say, the other one must act upon at once.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::close::{Action, Held, Phase, Sink, Source, action};
use super::deadline::{Deadline, Expired, Timeouts};
use super::record::{Cause, Record};
use crate::net::Stream;
use crate::runtime::{Close, Sent, Sleep};
use crate::sys::Time;

/// Chains that one direction moves before the lane's other tasks get their turn.
const BUDGET: usize = 8;
/// How soon after a reset its sink's acknowledgements are looked at, at first and at last. The
/// kernel has no event for "all acknowledged", and this is rare.
const ACKS_FIRST: Duration = Duration::from_millis(1);
const ACKS_LAST: Duration = Duration::from_millis(64);

/// One socket of a session, and what is known of its end.
#[derive(Debug)]
struct Side {
    stream: Stream,
    read: Cell<Source>,
    /// A send has failed: the connection is gone, whatever its reads say.
    write_failed: Cell<bool>,
    /// What to record when it ends by FIN, and by reset.
    fin: Cause,
    reset: Cause,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    sending: bool,
    ended: bool,
    bytes: u64,
    /// Counts down the looks at a reset's acknowledgements.
    acks: Option<(Sleep, Duration)>,
}

/// What a step needs to know and to touch.
struct Pulse<'a, 'b> {
    context: &'a mut Context<'b>,
    deadline: &'a mut Deadline,
    phase: Phase,
    now: Time,
}

/// A session that relays.
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
}

impl Side {
    fn new(stream: Stream, fin: Cause, reset: Cause) -> Self {
        let (read, write_failed) = (Cell::new(Source::Open), Cell::new(false));
        Self {
            stream,
            read,
            write_failed,
            fin,
            reset,
        }
    }

    fn as_sink(&self) -> Sink {
        let gone = self.write_failed.get() || self.read.get() == Source::Reset;
        if gone { Sink::Gone } else { Sink::Open }
    }

    /// No more bytes: a FIN, unless a send has failed before. The kernel tells of a reset once, and
    /// reads that follow look like a FIN.
    fn on_end(&self) {
        let reset = self.write_failed.get();
        self.read
            .set(if reset { Source::Reset } else { Source::Fin });
    }
}

impl Direction {
    /// Goes as far as it can without waiting.
    fn step(&mut self, source: &Side, sink: &Side, pulse: &mut Pulse<'_, '_>) {
        for _ in 0..BUDGET {
            if self.ended {
                return;
            }
            let held = self.held(source, sink);
            let polled = match action(pulse.phase, source.read.get(), held, sink.as_sink()) {
                Action::Move | Action::Flush if self.sending => self.finish_send(sink, pulse),
                Action::Move | Action::Flush => self.receive(source, sink, pulse),
                Action::SendFin => {
                    self.ended = sink.stream.shutdown().is_ok();
                    sink.write_failed.set(!self.ended);
                    Poll::Ready(())
                }
                Action::AwaitAcks => self.await_acks(sink, pulse),
                Action::ResetSink | Action::Discard | Action::ResetBoth => {
                    self.ended = true;
                    Poll::Ready(())
                }
                Action::Hold | Action::GiveUp => unreachable!("a relay has both ends"),
            };
            if polled.is_pending() {
                return;
            }
        }
        pulse.context.waker().wake_by_ref();
    }

    fn held(&self, source: &Side, sink: &Side) -> Held {
        if self.sending {
            return Held::User;
        }
        // Only a reset has to wait for the kernel's part, so only then is it asked.
        let asked = source.read.get() == Source::Reset && sink.as_sink() == Sink::Open;
        if asked && sink.stream.unacknowledged() > 0 {
            Held::Kernel
        } else {
            Held::Nothing
        }
    }

    fn receive(&mut self, source: &Side, sink: &Side, pulse: &mut Pulse<'_, '_>) -> Poll<()> {
        match ready!(source.stream.poll_recv(pulse.context)) {
            Ok(chain) if chain.is_empty() => source.on_end(),
            Ok(chain) => {
                pulse.deadline.alive(pulse.now);
                match sink.stream.start_send(chain) {
                    Some(sent) => self.on_sent(sent, sink),
                    None => self.sending = true,
                }
            }
            Err(_) => source.read.set(Source::Reset),
        }
        Poll::Ready(())
    }

    fn finish_send(&mut self, sink: &Side, pulse: &mut Pulse<'_, '_>) -> Poll<()> {
        let sent = ready!(sink.stream.poll_sent(pulse.context));
        self.sending = false;
        pulse.deadline.alive(pulse.now);
        self.on_sent(sent, sink);
        Poll::Ready(())
    }

    fn on_sent(&mut self, sent: Sent, sink: &Side) {
        self.bytes += sent.bytes as u64;
        if sent.result.is_err() {
            sink.write_failed.set(true);
        }
    }

    /// Looks again later; at first soon, since a peer that reads acknowledges soon.
    fn await_acks(&mut self, sink: &Side, pulse: &mut Pulse<'_, '_>) -> Poll<()> {
        let lane = sink.stream.lane();
        let (sleep, pause) = self
            .acks
            .get_or_insert_with(|| (lane.sleep_until(pulse.now + ACKS_FIRST), ACKS_FIRST));
        ready!(Pin::new(&mut *sleep).poll(pulse.context));
        *pause = (*pause * 2).min(ACKS_LAST);
        sleep.reset(pulse.now + *pause);
        Poll::Ready(())
    }
}

impl Relay {
    /// A relay between a client and an upstream; without one, back to the client.
    pub(super) fn new(client: Stream, upstream: Option<Stream>, timeouts: &Timeouts) -> Self {
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
        }
    }

    /// Relays to the end, closes both sockets, and says in `record` what moved and why it ended.
    pub(super) async fn run(mut self, record: &mut Record) {
        poll_fn(|context| {
            let polled = self.poll(context);
            // Kept up to date, so that it is right too when the lane drops this task.
            record.from_client = self.up.bytes;
            record.to_client = if self.upstream.is_some() {
                self.down.bytes
            } else {
                self.up.bytes
            };
            polled
        })
        .await;
        let cause = self.cause.unwrap_or(Cause::Internal);
        record.end(cause);
        let how = if cause.is_orderly() {
            Close::Fin
        } else {
            Close::Reset
        };
        self.client.stream.close(how);
        if let Some(upstream) = self.upstream {
            upstream.stream.close(how);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = self.client.stream.lane().now();
        if self.step(context, now).is_ready() {
            return Poll::Ready(());
        }
        if self.up.ended || self.down.ended {
            self.deadline.half_closed();
        }
        self.cause = Some(ready!(self.poll_deadline(context, now)));
        self.phase = Phase::Ending;
        self.step(context, now)
    }

    /// Takes both directions as far as they go without waiting; ready when both have ended.
    fn step(&mut self, context: &mut Context<'_>, now: Time) -> Poll<()> {
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
                return Poll::Ready(());
            }
            // What one direction has learnt, the other has not acted upon yet.
            if self.ends() == before {
                return Poll::Pending;
            }
        }
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
