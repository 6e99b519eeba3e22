//! Received bytes of a lane's sockets, and the waiting tasks; the state behind `socket`.
//!
//! A receive stream is armed when a task first waits for bytes and stays armed, so that receiving
//! costs no op per message. Bytes that arrive while the task is busy queue up in buffers of the
//! pool. With the maximum of queued buffers the stream is cancelled, and armed again once the task
//! has taken the queue: backpressure.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::task::Context;

use super::remote::Task;
use super::scheduler::schedule;
use crate::buf::{Buf, Chain};
use crate::poller::{Close, Completion, Event, Op, OpKind, Poller, RecvEnd, Socket, Submitted};
use crate::stats::LaneStats;
use crate::sys::{Bug, ErrorCode, OsSocket, PeerAddress, seeded};

/// The end of a send: the bytes that the kernel took, and the error that prevented the rest.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Accepted bytes.
    pub bytes: usize,
    /// `Ok` if all bytes were taken.
    pub result: io::Result<()>,
    /// The send ended in its submission, not in a later completion.
    pub at_once: bool,
}

/// The lane's sockets, by the poller's slots.
#[derive(Debug)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
    /// The accepted connections of listeners, by the listener's slot.
    accepting: BTreeMap<usize, Accepting>,
    /// Buffers that may queue up for one socket. A poller ahead of a cancel adds a few.
    queue_buffers: usize,
}

/// The state of a socket. Kept small, since a connection has one or two sockets; the size is
/// asserted below.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// The entry's socket. Completions for earlier sockets of the slot never reach the lane.
    #[cfg(debug_assertions)]
    socket: Option<Socket>,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// The task that owns the socket, once the task has waited: one task for both sides.
    owner: Option<Task>,
}

#[cfg(all(target_pointer_width = "64", not(debug_assertions)))]
const _: () = assert!(size_of::<Entry>() <= 56);

/// The read side: a stream of received bytes, or waits until a read would not block.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) queue: Chain,
    /// The final end of the stream.
    end: Option<RecvEnd>,
    stream: Armed,
    /// Bytes that still arrive are dropped.
    discarding: bool,
    readiness: Readiness,
    /// The owner waits.
    waiting: bool,
}

/// Whether a socket's receive stream runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Armed {
    #[default]
    No,
    Yes,
    /// Being cancelled, because the queue is full or the stream is to stop.
    Pausing,
}

/// Whether a read would block, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Readiness {
    #[default]
    Unknown,
    /// A wait for readability is in flight.
    Asked,
    /// The wait has ended: a read would not block.
    Readable,
}

/// The write side: connecting, then sending.
#[derive(Debug)]
pub(super) struct Sending {
    /// The result of the op in flight, for the waiting task.
    result: Option<Outcome>,
    in_flight: bool,
    /// How to close the socket when its owner drops it.
    pub(super) close: Close,
    /// The owner waits.
    waiting: bool,
    /// The error of a failed connection, from a connect or a splice. The kernel reports an error
    /// once, and a later read looks like a FIN.
    fault: Option<ErrorCode>,
}

/// The end of a send or a connect, in compact form.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    bytes: u32,
    failure: Option<ErrorCode>,
    at_once: bool,
}

impl Outcome {
    fn new(bytes: usize, result: &io::Result<()>, at_once: bool) -> Self {
        let bytes = u32::try_from(bytes).expect("a chain's length fits 32 bits");
        let failure = result.as_ref().err().map(ErrorCode::of);
        Self {
            bytes,
            failure,
            at_once,
        }
    }

    fn sent(self) -> Sent {
        Sent {
            bytes: self.bytes as usize,
            result: (self.failure).map_or(Ok(()), |failure| Err(failure.error())),
            at_once: self.at_once,
        }
    }
}

/// A listener's accept.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    pub(super) in_flight: bool,
    pub(super) result: Option<io::Result<(OsSocket, PeerAddress)>>,
}

impl Receiving {
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the stream runs; it may run for a while after [`Receiving::stop`].
    pub(super) fn is_armed(&self) -> bool {
        self.stream != Armed::No
    }

    /// Whether the queue is empty and further input will wake the task.
    pub(super) fn is_drained(&self) -> bool {
        self.is_armed() && self.is_open() && self.queue.is_empty()
    }

    /// Whether the kernel will report the next input, by the stream or by a wait.
    pub(super) fn awaits_input(&self) -> bool {
        let asks = self.is_armed() || self.readiness == Readiness::Asked;
        asks && self.is_open() && self.queue.is_empty()
    }

    /// Ends the stream; received bytes stay in the queue.
    pub(super) fn stop(&mut self, socket: Socket, poller: &mut Poller) {
        if self.stream == Armed::Yes {
            self.stream = Armed::Pausing;
            poller.cancel(socket, OpKind::Recv);
        }
    }

    /// Ends the stream for good, and drops queued and later bytes.
    pub(super) fn discard(&mut self, socket: Socket, poller: &mut Poller) {
        self.discarding = true;
        self.queue = Chain::default();
        self.stop(socket, poller);
    }

    /// Whether a read would not block; if it would, input wakes the owner.
    pub(super) fn is_ready(&mut self, socket: Socket, poller: &mut Poller) -> bool {
        match std::mem::take(&mut self.readiness) {
            Readiness::Readable => return true,
            Readiness::Asked => {
                self.readiness = Readiness::Asked;
                return false;
            }
            Readiness::Unknown => {}
        }
        match poller.submit(socket, Op::ReadReady) {
            // An error, too, is readable.
            Submitted::Done(_) => true,
            Submitted::Pending => {
                self.readiness = Readiness::Asked;
                false
            }
        }
    }

    /// Starts the stream if the queue is empty and the stream has not ended.
    pub(super) fn arm_when_empty(&mut self, socket: Socket, poller: &RefCell<Poller>) {
        if self.queue.is_empty() && self.is_open() {
            self.arm(socket, &mut poller.borrow_mut());
        }
    }

    /// Starts the stream, unless running.
    pub(super) fn arm(&mut self, socket: Socket, poller: &mut Poller) {
        if self.is_armed() {
            return;
        }
        match poller.submit(socket, Op::Recv) {
            Submitted::Pending => self.stream = Armed::Yes,
            Submitted::Done(Event::RecvEnded(end)) => self.on_end(end),
            Submitted::Done(Event::RecvCancelled) => self.stream = Armed::No,
            Submitted::Done(other) => unreachable!("a receive got {other:?}"),
        }
    }

    fn on_bytes(&mut self, buf: Buf, limit: usize, socket: Socket, poller: &mut Poller) {
        if self.discarding {
            return;
        }
        self.queue.push(buf);
        if self.queue.buffers() >= limit && !seeded(Bug::BackPressureIgnored) {
            self.stop(socket, poller);
        }
    }

    fn on_end(&mut self, end: RecvEnd) {
        (self.stream, self.end) = (Armed::No, Some(end));
        if matches!(end, RecvEnd::Failed(_)) && seeded(Bug::BytesBeforeResetLost) {
            self.queue = Chain::default();
        }
    }
}

impl Sockets {
    /// An empty table; each socket may queue up `queue_buffers`.
    pub(super) fn new(queue_buffers: usize) -> Self {
        Self {
            entries: Vec::new(),
            accepting: BTreeMap::new(),
            queue_buffers,
        }
    }

    pub(super) fn insert(&mut self, socket: Socket) {
        if self.entries.len() <= socket.slot() {
            self.entries.resize_with(socket.slot() + 1, Entry::default);
        }
        #[cfg(debug_assertions)]
        (self.entries[socket.slot()].socket = Some(socket));
    }

    /// Removes a socket; returns how to close it, and an accepted connection without a taker.
    pub(super) fn remove(&mut self, socket: Socket) -> (Close, Option<OsSocket>) {
        let how = std::mem::take(self.at(socket)).sending.close;
        let accepting = self.accepting.remove(&socket.slot());
        let accepted = accepting.and_then(|accepting| accepting.result?.ok());
        (how, accepted.map(|(accepted, _)| accepted))
    }

    /// A listener's accept, and its entry.
    pub(super) fn accepting(&mut self, listener: Socket) -> (&mut Accepting, &mut Entry) {
        self.at(listener);
        let accepting = self.accepting.entry(listener.slot()).or_default();
        (accepting, &mut self.entries[listener.slot()])
    }

    /// Passes a completion to its socket, and wakes the waiting task.
    pub(super) fn complete(
        &mut self,
        completion: Completion,
        poller: &RefCell<Poller>,
        stats: &LaneStats,
    ) {
        let Completion { socket, event } = completion;
        let limit = self.queue_buffers;
        let entry = self.at(socket);
        match event {
            Event::Received(buf) => {
                stats.received_bytes.add(buf.len() as u64);
                let poller = &mut poller.borrow_mut();
                entry.receiving.on_bytes(buf, limit, socket, poller);
                entry.wake_reader();
            }
            Event::RecvEnded(end) => {
                entry.receiving.on_end(end);
                if !seeded(Bug::WakeLost) {
                    entry.wake_reader();
                }
            }
            Event::RecvCancelled => {
                entry.receiving.stream = Armed::No;
                entry.wake_reader();
            }
            Event::Sent(bytes, result) => {
                stats.sent_bytes.add(bytes as u64);
                entry.finish(Outcome::new(bytes, &result, false));
            }
            Event::SentLazily(bytes) => {
                stats.sent_bytes.add(bytes as u64);
                entry.finish(Outcome::new(bytes, &Ok(()), true));
            }
            Event::Connected(result) => entry.finish(Outcome::new(0, &result, false)),
            Event::Accepted(result) => {
                let (accepting, entry) = self.accepting(socket);
                (accepting.in_flight, accepting.result) = (false, Some(result));
                entry.wake();
            }
            Event::ReadReady(_) => {
                entry.receiving.readiness = Readiness::Readable;
                entry.wake_reader();
            }
            Event::WriteReady(_) => entry.finish(Outcome::new(0, &Ok(()), false)),
        }
    }

    pub(super) fn at(&mut self, socket: Socket) -> &mut Entry {
        let entry = &mut self.entries[socket.slot()];
        #[cfg(debug_assertions)]
        assert_eq!(
            entry.socket,
            Some(socket),
            "a socket's entry lives as long as it"
        );
        entry
    }
}

impl Entry {
    /// The end of the incoming bytes. A failed connection has no FIN.
    pub(super) fn end(&self) -> Option<RecvEnd> {
        match (self.receiving.end, self.sending.fault) {
            (Some(RecvEnd::Fin), Some(fault)) => Some(RecvEnd::Failed(fault)),
            (end, _) => end,
        }
    }

    /// Registers the context's task for input.
    pub(super) fn await_input(&mut self, context: &Context<'_>) {
        self.receiving.waiting = true;
        self.register(context);
    }

    /// Registers the context's task for the end of an op of the write side.
    pub(super) fn await_output(&mut self, context: &Context<'_>) {
        self.sending.waiting = true;
        self.register(context);
    }

    /// Stores the waiting task; the same task again costs nothing.
    pub(super) fn register(&mut self, context: &Context<'_>) {
        if !(self.owner.as_ref()).is_some_and(|owner| owner.is_polled_with(context)) {
            self.owner = Some(Task::polled_with(context));
        }
    }

    /// Forgets a task that waits for the write side only: a task's memory lives as long as its
    /// references.
    pub(super) fn forget_sender(&mut self) {
        if !self.receiving.waiting {
            self.owner = None;
        }
    }

    fn wake(&self) {
        self.owner.iter().for_each(schedule);
    }

    fn wake_reader(&mut self) {
        if std::mem::take(&mut self.receiving.waiting) {
            self.wake();
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.sending.in_flight = false;
        self.sending.result = Some(outcome);
        if std::mem::take(&mut self.sending.waiting) {
            self.wake();
        }
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            result: None,
            in_flight: false,
            close: Close::Reset,
            waiting: false,
            fault: None,
        }
    }
}

impl Sending {
    /// An op of this side has begun, without a result so far.
    pub(super) fn begin(&mut self) {
        (self.in_flight, self.result) = (true, None);
    }

    /// Stores the error of a failed connection; the first error counts.
    pub(super) fn set_fault(&mut self, error: ErrorCode) {
        self.fault.get_or_insert(error);
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The result of the op, if not yet reported.
    pub(super) fn result(&self) -> Option<Sent> {
        self.result.map(Outcome::sent)
    }

    /// Takes the result of the op, to report it.
    pub(super) fn take_result(&mut self) -> Option<Sent> {
        self.result.take().map(Outcome::sent)
    }
}
