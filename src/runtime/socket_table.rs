//! What has arrived for a lane's sockets, and who waits for it; the state behind `io`.
//!
//! A receive stream is armed when a task first waits for bytes and stays armed, so that receiving
//! costs no op per message. What arrives while the task is busy queues up in buffers of the pool;
//! when there are as many as the lane's options allow, the stream is cancelled, and armed again
//! once they are taken: that is the back-pressure.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::task::Context;

use super::remote::Task;
use super::scheduler::schedule;
use crate::buf::{Buf, Chain};
use crate::poller::{Close, Completion, Event, Op, OpKind, Poller, RecvEnd, Socket, Submitted};
use crate::stats::LaneStats;
use crate::sys::{Bug, ErrorCode, OsSocket, seeded};

/// The end of a send: how many bytes the kernel took, and the error that kept it from the rest.
#[derive(Debug)]
pub struct Sent {
    /// Bytes taken.
    pub bytes: usize,
    /// Whether that was all.
    pub result: io::Result<()>,
    /// It was over when it had been started, and not only now.
    pub at_once: bool,
}

/// The lane's sockets, by the poller's slots.
#[derive(Debug)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
    /// Of the listeners, by their slots: what they have accepted.
    accepting: BTreeMap<usize, Accepting>,
    /// Buffers that may queue up for one socket. A poller that is ahead of its cancel adds a few.
    queue_buffers: usize,
}

/// What is known of one socket. Every connection has one or two, so it is kept small; the size is
/// asserted below.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Whose entry it is; answers to former tenants never reach the lane.
    #[cfg(debug_assertions)]
    socket: Option<Socket>,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    /// The task that owns the socket, once it has waited: one for both sides.
    owner: Option<Task>,
}

#[cfg(all(target_pointer_width = "64", not(debug_assertions)))]
const _: () = assert!(size_of::<Entry>() <= 56);

/// The read side: a stream of received bytes, or waits until a read would not block.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) queue: Chain,
    /// How the stream has ended, for good.
    end: Option<RecvEnd>,
    stream: Armed,
    /// Nobody wants what still arrives.
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

/// What is known of whether a read would block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Readiness {
    #[default]
    Unknown,
    /// A wait for it is in flight.
    Asked,
    /// It has ended: a read would not block.
    Readable,
}

/// The write side: connecting, then sending.
#[derive(Debug)]
pub(super) struct Sending {
    /// The result of what was in flight, for who waits.
    result: Option<Outcome>,
    in_flight: bool,
    /// How the socket is closed when its owner lets go.
    pub(super) close: Close,
    /// The owner waits.
    waiting: bool,
    /// The error of a connection that failed, from a connect or a splice. The kernel reports an
    /// error once, and a read behind that looks like a FIN.
    fault: Option<ErrorCode>,
}

/// The end of a send or a connect, small.
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
    pub(super) result: Option<io::Result<(OsSocket, SocketAddr)>>,
}

impl Receiving {
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the stream runs; it still may for a while after [`Receiving::stop`].
    pub(super) fn is_armed(&self) -> bool {
        self.stream != Armed::No
    }

    /// Whether all that has arrived is taken, and what still does will be told.
    pub(super) fn is_drained(&self) -> bool {
        self.is_armed() && self.is_open() && self.queue.is_empty()
    }

    /// Whether the kernel is to tell of the next input, by the stream or by a wait for it.
    pub(super) fn awaits_input(&self) -> bool {
        let asks = self.is_armed() || self.readiness == Readiness::Asked;
        asks && self.is_open() && self.queue.is_empty()
    }

    /// Ends the stream; what has arrived stays in the queue.
    pub(super) fn stop(&mut self, socket: Socket, poller: &mut Poller) {
        if self.stream == Armed::Yes {
            self.stream = Armed::Pausing;
            poller.cancel(socket, OpKind::Recv);
        }
    }

    /// Ends the stream for good, and drops what has arrived and what still does.
    pub(super) fn discard(&mut self, socket: Socket, poller: &mut Poller) {
        self.discarding = true;
        self.queue = Chain::default();
        self.stop(socket, poller);
    }

    /// Says whether a read would not block; if not, its owner is woken when it may not.
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
            // An error is there to be read, too.
            Submitted::Done(_) => true,
            Submitted::Pending => {
                self.readiness = Readiness::Asked;
                false
            }
        }
    }

    /// Starts the stream if all that it has brought is taken and it has not ended.
    pub(super) fn arm_when_empty(&mut self, socket: Socket, poller: &RefCell<Poller>) {
        if self.queue.is_empty() && self.is_open() {
            self.arm(socket, &mut poller.borrow_mut());
        }
    }

    /// Starts the stream, unless it runs.
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
    /// None yet; each may queue up `queue_buffers`.
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

    /// Forgets a socket, and gives how it is to be closed and the connection that nobody came for.
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

    /// Hands a completion to its socket, and wakes the task that waits for it.
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
    /// How the connection's incoming bytes have ended. A connection that failed sends no FIN.
    pub(super) fn end(&self) -> Option<RecvEnd> {
        match (self.receiving.end, self.sending.fault) {
            (Some(RecvEnd::Fin), Some(fault)) => Some(RecvEnd::Failed(fault)),
            (end, _) => end,
        }
    }

    /// Has the task of this context woken by what the read side brings.
    pub(super) fn await_input(&mut self, context: &Context<'_>) {
        self.receiving.waiting = true;
        self.register(context);
    }

    /// Has the task of this context woken by what becomes of the write side.
    pub(super) fn await_output(&mut self, context: &Context<'_>) {
        self.sending.waiting = true;
        self.register(context);
    }

    /// Keeps the task that waits; it is the same one nearly always, and then that costs nothing.
    pub(super) fn register(&mut self, context: &Context<'_>) {
        if !(self.owner.as_ref()).is_some_and(|owner| owner.is_polled_with(context)) {
            self.owner = Some(Task::polled_with(context));
        }
    }

    /// Forgets the task that waited for the write side alone: a task's memory lives as long as its
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
    /// An op of this side has been begun, and its result is not there.
    pub(super) fn begin(&mut self) {
        (self.in_flight, self.result) = (true, None);
    }

    /// Keeps the error of a connection that failed; the first counts.
    pub(super) fn set_fault(&mut self, error: ErrorCode) {
        self.fault.get_or_insert(error);
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The result of what was begun, if nobody has been told.
    pub(super) fn result(&self) -> Option<Sent> {
        self.result.map(Outcome::sent)
    }

    /// The same, to be told.
    pub(super) fn take_result(&mut self) -> Option<Sent> {
        self.result.take().map(Outcome::sent)
    }
}
