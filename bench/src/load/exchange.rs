//! One connection that exchanges messages: wait for the start, send, verify, record, repeat, close;
//! one task each.
//!
//! Sending and receiving are two futures of the one task, so that a message larger than all the
//! buffers on its way cannot lock up. Nothing is allocated per message: the bytes are made in
//! buffers of the lane's pool, and a message under way is two time stamps and its end.
//!
//! In an open loop a message's moment comes from its schedule. If the connection is busy then, the
//! message leaves as soon as it may and its latency counts from its moment all the same.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use corelane::net::Stream;
use corelane::runtime::{Close, Either, either, yield_now};
use corelane::sys::{self, Time};

use super::connection::{CLOSE_MAX, Connection, SILENCE_MAX};
use super::lane_context::LaneContext;
use super::recorder::Answer;
use super::schedule::{Schedule, late};
use super::work::{Length, Load};
use crate::outcome::ConnectionError;
use crate::stats::mix;

/// Exchanges messages until told to stop or all are sent, and says what went wrong.
pub(crate) async fn exchange(stream: Stream, number: u32, lane: Rc<LaneContext>) {
    let exchange = Exchange::new(&stream, number, &lane);
    let result = exchange.run().await;
    exchange.count_unsent(result.is_ok());
    let mut tally = lane.tally.borrow_mut();
    tally.open -= 1;
    match result {
        Ok(()) => stream.close(Close::Fin),
        // Dropping the stream resets it.
        Err(fault) => tally.fault(fault),
    }
}

/// A message under way.
#[derive(Clone, Copy)]
struct Message {
    /// When it was meant to leave; in a closed loop when it did.
    intended: Time,
    handed: Time,
    /// How much later than from a client that is never late.
    late: Duration,
    /// How much of what was sent is answered once it is.
    end: u64,
}

/// A connection under load. Its futures share it.
struct Exchange<'a> {
    connection: Connection<'a>,
    shared: &'a LaneContext,
    load: &'a Load,
    /// Where the messages' lengths come from.
    seed: u64,
    schedule: RefCell<Option<Schedule>>,
    /// The connection's place with the lane's pacer.
    slot: u32,
    /// Where the last message that was begun ends.
    begun: Cell<u64>,
    /// Messages begun, and those that came back whole.
    started: Cell<u64>,
    completed: Cell<u64>,
    /// When there last was room for a message after there had been none: too many were under way,
    /// or the one before could not leave; and how late the one was that stood in the way.
    free: Cell<(Time, Duration)>,
    /// The first message that is measured, if that is known.
    measured_from: Cell<Option<u64>>,
    /// The messages under way, by their numbers modulo the pipeline's depth.
    messages: Box<[Cell<Message>]>,
}

impl<'a> Exchange<'a> {
    fn new(stream: &'a Stream, number: u32, shared: &'a LaneContext) -> Self {
        let load = &shared.load;
        let none = Message {
            intended: Time::ZERO,
            handed: Time::ZERO,
            late: Duration::ZERO,
            end: 0,
        };
        Self {
            connection: Connection::new(stream, number, load),
            shared,
            load,
            seed: mix(load.seed ^ mix(number.into())),
            schedule: RefCell::new(None),
            slot: shared.pacer.slot(),
            begun: Cell::new(0),
            started: Cell::new(0),
            completed: Cell::new(0),
            free: Cell::default(),
            measured_from: Cell::new(None),
            messages: vec![Cell::new(none); load.pipeline].into_boxed_slice(),
        }
    }

    /// Ends when the server's FIN has answered ours, or with the first fault.
    async fn run(&self) -> Result<(), ConnectionError> {
        self.connection.introduce(self.load).await?;
        self.shared.go.pass().await;
        let start = self.shared.started.get() + self.load.ramp_of(self.connection.number);
        let ramp = self.connection.lane().sleep_until(start);
        either(pin!(ramp), pin!(self.shared.stop.pass())).await;
        self.schedule.replace(self.load.pace.map(|pace| {
            let connections = self.load.connections;
            Schedule::new(pace, self.connection.number, connections, start, self.seed)
        }));
        // The order matters: what was received lets more be sent, and knows best why it ended.
        match either(
            pin!(self.receive()),
            pin!(either(pin!(self.send()), pin!(self.overdue()))),
        )
        .await
        {
            Either::First(result) => result,
            Either::Second(Either::First(fault) | Either::Second(fault)) => Err(fault),
        }
    }

    /// Verifies what comes until the FIN.
    async fn receive(&self) -> Result<(), ConnectionError> {
        loop {
            let received = self.connection.stream.recv().await;
            let chain = received.map_err(|error| self.connection.broken(&error))?;
            if chain.is_empty() {
                return self.connection.ended();
            }
            let now = sys::now();
            self.connection.take(&chain)?;
            self.advance(chain.len() as u64, now);
        }
    }

    /// Counts bytes that are right, and the messages that they complete.
    fn advance(&self, bytes: u64, now: Time) {
        let answered = self.connection.answered.get();
        let window = self.shared.window.get();
        let mut tally = self.shared.tally.borrow_mut();
        tally.received(bytes, window.contains(now));
        if tally.first_reply.is_none() {
            tally.first_reply = self.connection.first_reply();
        }
        let (mut completed, started) = (self.completed.get(), self.started.get());
        let was_full = started - completed == self.messages.len() as u64;
        while completed < started {
            let message = self.message(completed).get();
            if message.end > answered {
                break;
            }
            let (counts, timed) = match self.load.length {
                Length::For(_) => (window.contains(now), window.contains(message.intended)),
                Length::Count(_) => {
                    let measured = self.measured(completed);
                    (measured, measured)
                }
            };
            tally.answer(Answer {
                counts,
                timed,
                intended: self
                    .load
                    .pace
                    .map(|_| (now.since(message.intended), message.late)),
                service: now.since(message.handed),
                now,
            });
            completed += 1;
        }
        if was_full && completed > self.completed.get() {
            self.free.set((now, self.message(completed - 1).get().late));
        }
        self.completed.set(completed);
    }

    /// Sends as long as there is something to send, then the FIN. Ends only with a fault.
    async fn send(&self) -> ConnectionError {
        // Woken by what is received: the same task, whose other half was polled before this one.
        while let Some(bytes) = poll_fn(|context| self.sendable(context)).await {
            let chain = self.connection.piece(bytes).await;
            let measured = self.shared.window.get().contains(sys::now());
            self.shared.tally.borrow_mut().sent(bytes, measured);
            if let Err(error) = self.connection.stream.send(chain).await {
                return self.connection.failed_to_send(&error).await;
            }
            if self.messages.len() > 1 {
                // Nor is there room while the server takes nothing in.
                let last = self.message(self.started.get() - 1).get();
                self.free.set((sys::now(), last.late));
            }
            if self.begun.get() > self.connection.sent.get() {
                // More of a large message: what has come back meanwhile is taken first.
                yield_now().await;
            }
        }
        if let Err(error) = self.connection.shutdown() {
            return self.connection.failed_to_send(&error).await;
        }
        self.connection.not_closed().await
    }

    /// How many bytes may be handed over now; `None` when no more ever will and all came back.
    fn sendable(&self, context: &Context<'_>) -> Poll<Option<u64>> {
        self.begin_messages(context);
        let sent = self.connection.sent.get();
        let waiting = self.begun.get() - sent;
        if waiting > 0 {
            return Poll::Ready(Some(waiting.min(self.connection.piece_max())));
        }
        let all_begun = self.shared.stop.is_open() || self.started.get() >= self.messages_max();
        match all_begun && self.connection.is_all_answered() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }

    /// Begins the messages whose moment has come and for which there is room.
    fn begin_messages(&self, context: &Context<'_>) {
        // What was begun is finished, lest the end look like a loss.
        let more = || {
            !self.shared.stop.is_open()
                && self.started.get() < self.messages_max()
                && self.started.get() - self.completed.get() < self.messages.len() as u64
                && self.begun.get() - self.connection.sent.get() < self.connection.piece_max()
        };
        let mut schedule = self.schedule.borrow_mut();
        while more() {
            let now = sys::now();
            let intended = match &mut *schedule {
                None => now,
                Some(schedule) if schedule.next() > now => {
                    let next = schedule.next();
                    self.shared.pacer.wake_at(self.slot, next, context.waker());
                    return;
                }
                Some(schedule) => schedule.take(),
            };
            self.begin(intended, now);
        }
    }

    fn begin(&self, intended: Time, now: Time) {
        let number = self.started.get();
        let end = self.begun.get() + self.load.sizes.of(self.seed, number);
        // Waiting for the connection is the server's doing, and in the latency; what comes on top
        // of it is ours.
        let (free, before) = self.free.get();
        let late = late(now, intended, free, before);
        self.message(number).set(Message {
            intended,
            handed: now,
            late,
            end,
        });
        self.begun.set(end);
        self.started.set(number + 1);
        let measured = match self.load.length {
            Length::For(_) => self.shared.window.get().contains(intended),
            Length::Count(_) => self.measured(number),
        };
        if self.load.pace.is_some() && measured {
            self.shared.tally.borrow_mut().late(late);
        }
    }

    /// How many messages this connection sends in all, the warm-up's included.
    fn messages_max(&self) -> u64 {
        let Length::Count(count) = self.load.length else {
            return u64::MAX;
        };
        if self.measured_from.get().is_none() {
            if self.connection.lane().now() < self.shared.window.get().start {
                return u64::MAX;
            }
            self.measured_from.set(Some(self.started.get()));
        }
        let share = self.load.share(count, self.connection.number);
        self.measured_from.get().map_or(u64::MAX, |n| n + share)
    }

    fn measured(&self, message: u64) -> bool {
        self.measured_from.get().is_some_and(|n| message >= n)
    }

    /// Ends with a fault when answers are outstanding too long.
    async fn overdue(&self) -> ConnectionError {
        either(pin!(self.shared.stop.pass()), pin!(self.silence())).await;
        if self.shared.stop.is_open() {
            self.connection.sleep(CLOSE_MAX).await;
        }
        if self.connection.fin_sent.get() {
            // From the FIN on `send` looks at the clock.
            return pending().await;
        }
        self.connection.unanswered()
    }

    /// Ends after a time in which nothing came, though something was to come.
    async fn silence(&self) {
        let Length::Count(_) = self.load.length else {
            return pending().await;
        };
        loop {
            let before = self.connection.received.get();
            self.connection.sleep(SILENCE_MAX).await;
            if self.connection.received.get() == before && !self.connection.is_all_answered() {
                return;
            }
        }
    }

    /// Counts the messages that were due and never left: their latencies are in no histogram.
    fn count_unsent(&self, ended_well: bool) {
        let window = self.shared.window.get();
        let mut schedule = self.schedule.borrow_mut();
        let Some(schedule) = schedule.as_mut().filter(|_| ended_well) else {
            return;
        };
        if let Length::For(_) = self.load.length {
            let mut tally = self.shared.tally.borrow_mut();
            while schedule.next() < window.end {
                tally.unsent += u64::from(window.contains(schedule.take()));
            }
        }
    }

    fn message(&self, number: u64) -> &Cell<Message> {
        let depth = self.messages.len() as u64;
        let slot = usize::try_from(number % depth).expect("less than the length of a slice");
        &self.messages[slot]
    }
}
