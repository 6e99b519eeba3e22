//! The exchange of messages on one connection: wait for the start, send, verify, record, repeat,
//! close. One task a connection.
//!
//! Sending and receiving are two futures of one task, so a message larger than all buffers on the
//! path cannot deadlock. A message allocates no memory: the bytes are made in buffers of the lane's
//! pool, and a message in flight is a few time stamps and the position of its end.
//!
//! In an open loop the schedule sets a message's due time. On a busy connection the message leaves
//! later, and its latency still counts from the due time.

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

/// Exchanges messages until the stop signal or the last message, and records any error.
pub(crate) async fn exchange(stream: Stream, number: u32, lane: Rc<LaneContext>) {
    let exchange = Exchange::new(&stream, number, &lane);
    let result = exchange.run().await;
    exchange.count_unsent(result.is_ok());
    let mut recorder = lane.recorder.borrow_mut();
    recorder.open -= 1;
    match result {
        Ok(()) => stream.close(Close::Fin),
        // Dropping the stream resets the connection.
        Err(error) => recorder.error(error),
    }
}

/// A message in flight.
#[derive(Clone, Copy)]
struct Message {
    /// The due time; in a closed loop the time of the send.
    intended: Time,
    handed: Time,
    /// The send lateness: the delay that this client added.
    late: Duration,
    /// The end of the message in the sent stream.
    end: u64,
}

/// A connection under load. Shared by the two futures.
struct Exchange<'a> {
    connection: Connection<'a>,
    shared: &'a LaneContext,
    load: &'a Load,
    /// The seed of the message sizes.
    seed: u64,
    schedule: RefCell<Option<Schedule>>,
    /// The connection's slot in the lane's pacer.
    slot: u32,
    /// The end of the last started message in the sent stream.
    begun: Cell<u64>,
    /// Started messages, and messages with a complete reply.
    started: Cell<u64>,
    completed: Cell<u64>,
    /// The last time when the connection became free for a message, after a full pipeline or a
    /// blocked send; and the lateness of the message that had blocked it.
    free: Cell<(Time, Duration)>,
    /// The number of the first measured message, once known.
    measured_from: Cell<Option<u64>>,
    /// The messages in flight, by message number modulo the pipeline depth.
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

    /// Ends after the server's FIN in answer to ours, or with the first error.
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
        // Receive first: a reply makes room to send, and a receive knows best why the connection
        // ended.
        match either(
            pin!(self.receive()),
            pin!(either(pin!(self.send()), pin!(self.overdue()))),
        )
        .await
        {
            Either::First(result) => result,
            Either::Second(Either::First(error) | Either::Second(error)) => Err(error),
        }
    }

    /// Verifies received bytes until the FIN.
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

    /// Counts verified bytes and the messages that they complete.
    fn advance(&self, bytes: u64, now: Time) {
        let answered = self.connection.answered.get();
        let window = self.shared.window.get();
        let mut recorder = self.shared.recorder.borrow_mut();
        recorder.received(bytes, window.contains(now));
        if recorder.first_reply.is_none() {
            recorder.first_reply = self.connection.first_reply();
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
            recorder.answer(Answer {
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

    /// Sends all messages, then the FIN. Ends only with an error.
    async fn send(&self) -> ConnectionError {
        // A received reply wakes this task, and the receiving half was polled first.
        while let Some(bytes) = poll_fn(|context| self.sendable(context)).await {
            let chain = self.connection.piece(bytes).await;
            let measured = self.shared.window.get().contains(sys::now());
            self.shared.recorder.borrow_mut().sent(bytes, measured);
            if let Err(error) = self.connection.stream.send(chain).await {
                return self.connection.failed_to_send(&error).await;
            }
            if self.messages.len() > 1 {
                // The connection was not free either while the send was blocked.
                let last = self.message(self.started.get() - 1).get();
                self.free.set((sys::now(), last.late));
            }
            if self.begun.get() > self.connection.sent.get() {
                // More of a large message: first receive the part that has come back.
                yield_now().await;
            }
        }
        if let Err(error) = self.connection.shutdown() {
            return self.connection.failed_to_send(&error).await;
        }
        self.connection.not_closed().await
    }

    /// How many bytes to send now; `None` after the last reply.
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

    /// Starts the messages that are due, as far as the pipeline has room.
    fn begin_messages(&self, context: &Context<'_>) {
        // A started message is sent to its end, or the server would see a truncated message.
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
                Some(schedule) => schedule.advance(),
            };
            self.begin(intended, now);
        }
    }

    fn begin(&self, intended: Time, now: Time) {
        let number = self.started.get();
        let end = self.begun.get() + self.load.sizes.of(self.seed, number);
        // The wait for a busy connection is the server's delay and part of the latency. Only the
        // rest is this client's lateness.
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
            self.shared.recorder.borrow_mut().late(late);
        }
    }

    /// The number of messages of this connection, the warm-up included.
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

    /// Ends with an error when replies are overdue.
    async fn overdue(&self) -> ConnectionError {
        either(pin!(self.shared.stop.pass()), pin!(self.silence())).await;
        if self.shared.stop.is_open() {
            self.connection.sleep(CLOSE_MAX).await;
        }
        if self.connection.fin_sent.get() {
            // After the FIN, `send` watches the time.
            return pending().await;
        }
        self.connection.unanswered()
    }

    /// Ends after a silence while a reply was outstanding.
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

    /// Counts the due messages that never left. Their latencies are in no histogram.
    fn count_unsent(&self, ended_well: bool) {
        let window = self.shared.window.get();
        let mut schedule = self.schedule.borrow_mut();
        let Some(schedule) = schedule.as_mut().filter(|_| ended_well) else {
            return;
        };
        if let Length::For(_) = self.load.length {
            let mut recorder = self.shared.recorder.borrow_mut();
            while schedule.next() < window.end {
                recorder.unsent += u64::from(window.contains(schedule.advance()));
            }
        }
    }

    fn message(&self, number: u64) -> &Cell<Message> {
        let depth = self.messages.len() as u64;
        let slot = usize::try_from(number % depth).expect("less than the length of a slice");
        &self.messages[slot]
    }
}
