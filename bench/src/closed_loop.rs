//! One connection's life: wait for the start, send, verify, record, repeat, close; one task each.
//!
//! Sending and receiving are two futures of the one task, so that a message larger than all the
//! buffers on its way cannot lock up. Nothing is allocated per message: the bytes are made in
//! buffers of the lane's pool, and a message under way is one time stamp.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use corelane::buf::{Buf, Chain};
use corelane::net::Stream;
use corelane::runtime::{Close, Either, Handle, either, yield_now};
use corelane::sys::{self, Time};

use crate::fault::Fault;
use crate::lane::Shared;
use crate::pattern::Pattern;
use crate::plan::{Length, Load};

/// How long after the end the last answers, and then the server's FIN, are waited for.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent that has an answer to come, in a load that ends by itself.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the receiving side has to say why sending failed: it knows a FIN from a reset.
const REASON_MAX: Duration = Duration::from_secs(1);
/// Buffers handed over at once: as many as a lane takes in before it holds the peer back.
const PIECE_BUFFERS: u64 = 4;

/// Exchanges messages until told to stop or all are sent, and says what went wrong.
pub(crate) async fn closed_loop(stream: Stream, number: u32, lane: Rc<Shared>) {
    lane.go.pass().await;
    let exchange = Exchange::new(&stream, number, &lane);
    let result = exchange.run().await;
    match result {
        Ok(()) => stream.close(Close::Fin),
        // Dropping the stream resets it.
        Err(fault) => lane.tally.borrow_mut().faults.push(fault),
    }
}

/// A connection under load. Its futures share it; positions are in bytes of the stream.
struct Exchange<'a> {
    stream: &'a Stream,
    shared: &'a Shared,
    number: u32,
    pattern: Pattern,
    load: Load,
    /// Handed over to be sent.
    sent: Cell<u64>,
    /// Received and found right.
    received: Cell<u64>,
    fin_sent: Cell<bool>,
    /// Messages of which the first byte was handed over.
    started: Cell<u64>,
    /// Messages that came back whole.
    completed: Cell<u64>,
    /// The first message that is measured, if that is known.
    measured_from: Cell<Option<u64>>,
    /// When each message under way was handed over, by its number modulo the pipeline's depth.
    stamps: Box<[Cell<Time>]>,
}

impl<'a> Exchange<'a> {
    fn new(stream: &'a Stream, number: u32, shared: &'a Shared) -> Self {
        let load = shared.load;
        Self {
            stream,
            shared,
            number,
            pattern: Pattern::new(load.seed, number),
            load,
            sent: Cell::new(0),
            received: Cell::new(0),
            fin_sent: Cell::new(false),
            started: Cell::new(0),
            completed: Cell::new(0),
            measured_from: Cell::new(None),
            stamps: vec![Cell::new(Time::ZERO); load.pipeline].into_boxed_slice(),
        }
    }

    /// Ends when the server's FIN has answered ours, or with the first fault.
    async fn run(&self) -> Result<(), Fault> {
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
    async fn receive(&self) -> Result<(), Fault> {
        loop {
            let received = self.stream.recv().await;
            let chain = received.map_err(|error| self.broken(&error))?;
            if chain.is_empty() {
                return self.on_fin();
            }
            let now = sys::now();
            self.check(&chain)?;
            self.advance(chain.len() as u64, now);
        }
    }

    fn on_fin(&self) -> Result<(), Fault> {
        if self.fin_sent.get() {
            return Ok(());
        }
        let (position, outstanding) = (self.received.get(), self.outstanding());
        Err(Fault::closed_early(self.number, position, outstanding))
    }

    fn check(&self, chain: &Chain) -> Result<(), Fault> {
        let mut position = self.received.get();
        for part in chain.parts() {
            let room = self.sent.get() - position;
            let expected = &part[..usize::try_from(room).unwrap_or(usize::MAX).min(part.len())];
            if self.load.verify
                && let Some(mismatch) = self.pattern.mismatch(position, expected)
            {
                return Err(Fault::corrupted(self.number, mismatch));
            }
            position += expected.len() as u64;
            if expected.len() < part.len() {
                let more = self.received.get() + chain.len() as u64 - position;
                return Err(Fault::too_much(self.number, position, more));
            }
        }
        Ok(())
    }

    /// Counts bytes that are right, and the messages that they complete.
    fn advance(&self, bytes: u64, now: Time) {
        let received = self.received.get() + bytes;
        self.received.set(received);
        let mut tally = self.shared.tally.borrow_mut();
        let in_window = self.shared.window.get().contains(now);
        if in_window {
            tally.received_bytes += bytes;
        }
        let mut completed = self.completed.get();
        while (completed + 1) * self.load.size <= received {
            let stamp = self.stamp(completed).get();
            let (counts, timed) = match self.load.length {
                Length::For(_) => (in_window, self.shared.window.get().contains(stamp)),
                Length::Count(_) => {
                    let measured = self.measured_from.get().is_some_and(|n| completed >= n);
                    (measured, measured)
                }
            };
            if counts {
                tally.messages += 1;
                tally.last = now;
            }
            if timed {
                tally.record(now.since(stamp));
            }
            completed += 1;
        }
        self.completed.set(completed);
    }

    /// Sends as long as there is something to send, then the FIN. Ends only with a fault.
    async fn send(&self) -> Fault {
        // Woken by what is received: the same task, whose other half was polled before this one.
        while let Some(bytes) = poll_fn(|_| self.sendable()).await {
            let chain = self.piece(bytes).await;
            self.hand_over(bytes);
            if let Err(error) = self.stream.send(chain).await {
                return self.failed_to_send(&error).await;
            }
        }
        self.fin_sent.set(true);
        if let Err(error) = self.stream.shutdown() {
            return self.failed_to_send(&error).await;
        }
        self.sleep(CLOSE_MAX).await;
        Fault::not_closed(self.number, self.received.get(), CLOSE_MAX)
    }

    /// How many bytes may be handed over now; `None` when no more ever will and all came back.
    fn sendable(&self) -> Poll<Option<u64>> {
        let (sent, started) = (self.sent.get(), self.started.get());
        let stopped = self.shared.stop.is_open();
        let messages_max = match stopped {
            // What was begun is finished, lest the end look like a loss.
            true => started,
            false => self.messages_max(),
        };
        let window = self.completed.get() + self.load.pipeline as u64;
        let target = messages_max.min(window).saturating_mul(self.load.size);
        if sent < target {
            let piece = PIECE_BUFFERS * self.handle().pool().buffer_bytes() as u64;
            return Poll::Ready(Some(piece.min(target - sent)));
        }
        if started == messages_max && self.received.get() == sent {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// How many messages this connection sends in all, the warm-up's included.
    fn messages_max(&self) -> u64 {
        let Length::Count(count) = self.load.length else {
            return u64::MAX;
        };
        if self.measured_from.get().is_none() {
            if self.handle().now() < self.shared.window.get().start {
                return u64::MAX;
            }
            self.measured_from.set(Some(self.started.get()));
        }
        let share = self.load.share(count, self.number);
        self.measured_from.get().map_or(u64::MAX, |n| n + share)
    }

    /// The next `bytes` of the stream.
    async fn piece(&self, bytes: u64) -> Chain {
        let pool = self.handle().pool();
        let (mut position, end) = (self.sent.get(), self.sent.get() + bytes);
        let mut chain = Chain::default();
        while position < end {
            let Some(mut buf) = pool.take() else {
                // The pool has room for what all connections may hold, but for a moment.
                yield_now().await;
                continue;
            };
            position += self.fill(&mut buf, position, end);
            chain.push(buf);
        }
        chain
    }

    /// Fills a buffer with the stream from `position`, and says how far.
    fn fill(&self, buf: &mut Buf, position: u64, end: u64) -> u64 {
        let space = buf.space();
        let bytes = usize::try_from(end - position).unwrap_or(usize::MAX);
        let bytes = bytes.min(space.len());
        match self.load.verify {
            true => self.pattern.fill(position, &mut space[..bytes]),
            false => space[..bytes].fill(0),
        }
        buf.fill(bytes);
        bytes as u64
    }

    /// Stamps the messages that begin in the next `bytes`.
    fn hand_over(&self, bytes: u64) {
        let now = sys::now();
        let sent = self.sent.get() + bytes;
        self.sent.set(sent);
        let mut started = self.started.get();
        while started * self.load.size < sent {
            self.stamp(started).set(now);
            started += 1;
        }
        self.started.set(started);
        if self.shared.window.get().contains(now) {
            self.shared.tally.borrow_mut().sent_bytes += bytes;
        }
    }

    /// Ends with a fault when answers are outstanding too long.
    async fn overdue(&self) -> Fault {
        either(pin!(self.shared.stop.pass()), pin!(self.silence())).await;
        if self.shared.stop.is_open() {
            self.sleep(CLOSE_MAX).await;
        }
        if self.fin_sent.get() {
            // From the FIN on `send` looks at the clock.
            return pending().await;
        }
        let (position, outstanding) = (self.received.get(), self.outstanding());
        Fault::unanswered(self.number, position, outstanding)
    }

    /// Ends after a time in which nothing came, though something was to come.
    async fn silence(&self) {
        let Length::Count(_) = self.load.length else {
            return pending().await;
        };
        loop {
            let before = self.received.get();
            self.sleep(SILENCE_MAX).await;
            if self.received.get() == before && self.outstanding() > 0 {
                return;
            }
        }
    }

    async fn failed_to_send(&self, error: &io::Error) -> Fault {
        self.sleep(REASON_MAX).await;
        self.broken(error)
    }

    fn broken(&self, error: &io::Error) -> Fault {
        Fault::broken(self.number, self.received.get(), error)
    }

    fn outstanding(&self) -> u64 {
        self.sent.get() - self.received.get()
    }

    fn stamp(&self, message: u64) -> &Cell<Time> {
        let depth = self.stamps.len() as u64;
        let slot = usize::try_from(message % depth).expect("less than the length of a slice");
        &self.stamps[slot]
    }

    async fn sleep(&self, time: Duration) {
        let end = self.handle().now() + time;
        self.handle().sleep_until(end).await;
    }

    fn handle(&self) -> &Handle {
        self.stream.lane()
    }
}
