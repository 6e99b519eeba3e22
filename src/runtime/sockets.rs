//! What has arrived for a lane's sockets, and who waits for it; the state behind `io`.
//!
//! A receive stream is armed when a task first waits for bytes and stays armed, so that receiving
//! costs no op per message. What arrives while the task is busy queues up in buffers of the pool;
//! when there are as many as the lane's options allow, the stream is cancelled, and armed again
//! once they are taken: that is the back-pressure.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Waker};

use super::io::Sent;
use super::shared::Shared;
use crate::buf::{Buf, Chain};
use crate::poller::{Close, Completion, Event, Op, OpKind, Poller, RecvEnd, Socket, Submitted};
use crate::sys::{Bug, OsSocket, seeded};

/// The lane's sockets, by the poller's slots.
#[derive(Debug)]
pub(super) struct Sockets {
    entries: Vec<Entry>,
    /// Buffers that may queue up for one socket. A poller that is ahead of its cancel adds a few.
    queue_buffers: usize,
}

/// What is known of one socket.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Whose entry it is; answers to former tenants never reach the lane.
    #[cfg(debug_assertions)]
    socket: Option<Socket>,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    pub(super) accepting: Option<Box<Accepting>>,
}

/// The read side: a stream of received bytes, or waits until a read would not block.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) queue: Chain,
    pub(super) end: End,
    armed: bool,
    /// Nobody wants what still arrives.
    discarding: bool,
    /// Being cancelled, because the queue is full or the stream is to stop.
    pausing: bool,
    /// A wait for readiness is in flight.
    readying: bool,
    /// It has ended: a read would not block.
    readable: bool,
    pub(super) waiting: bool,
    pub(super) waker: Option<Waker>,
}

/// How the stream of received bytes has ended; stays so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum End {
    #[default]
    Open,
    Fin,
    Failed(i32),
}

/// The write side: connecting, then sending.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) in_flight: bool,
    /// How the socket is closed when its owner lets go.
    pub(super) close: Close,
    /// The result of what was in flight, for who waits.
    pub(super) result: Option<Outcome>,
    pub(super) waiting: bool,
    pub(super) waker: Option<Waker>,
}

/// The end of a send or a connect, small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    bytes: u32,
    /// An error's number; 0 is none.
    code: i32,
    at_once: bool,
}

impl Outcome {
    fn new(bytes: usize, result: &io::Result<()>, at_once: bool) -> Self {
        let bytes = u32::try_from(bytes).expect("a chain's length fits 32 bits");
        Self {
            bytes,
            code: result.as_ref().err().map_or(0, code),
            at_once,
        }
    }

    pub(super) fn sent(self) -> Sent {
        let result = if self.code == 0 {
            Ok(())
        } else {
            Err(error(self.code))
        };
        Sent {
            bytes: self.bytes as usize,
            result,
            at_once: self.at_once,
        }
    }
}

/// A listener's accept.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    pub(super) in_flight: bool,
    pub(super) result: Option<io::Result<(OsSocket, SocketAddr)>>,
    pub(super) waker: Option<Waker>,
}

impl Receiving {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    /// Whether the stream runs; it still may for a while after [`Receiving::stop`].
    pub(super) fn is_armed(&self) -> bool {
        self.armed
    }

    /// Whether all that has arrived is taken, and what still does will be told.
    pub(super) fn is_drained(&self) -> bool {
        self.armed && self.is_open() && self.queue.is_empty()
    }

    /// Ends the stream; what has arrived stays in the queue.
    pub(super) fn stop(&mut self, socket: Socket, poller: &mut Poller) {
        if self.armed && !self.pausing {
            self.pausing = true;
            poller.cancel(socket, OpKind::Recv);
        }
    }

    /// Ends the stream for good, and drops what has arrived and what still does.
    pub(super) fn discard(&mut self, socket: Socket, poller: &mut Poller) {
        self.discarding = true;
        self.queue = Chain::default();
        self.stop(socket, poller);
    }

    /// Says whether a read would not block; if not, the waker is called when it may not.
    pub(super) fn is_ready(&mut self, socket: Socket, poller: &mut Poller) -> bool {
        if self.readying || std::mem::take(&mut self.readable) {
            return !self.readying;
        }
        match poller.submit(socket, Op::ReadReady) {
            // An error is there to be read, too.
            Submitted::Done(_) => true,
            Submitted::Pending => {
                self.readying = true;
                false
            }
        }
    }

    /// Starts the stream, unless it runs.
    pub(super) fn arm(&mut self, socket: Socket, poller: &mut Poller) {
        if self.armed {
            return;
        }
        match poller.submit(socket, Op::Recv) {
            Submitted::Pending => self.armed = true,
            Submitted::Done(Event::RecvEnded(end)) => self.on_end(end),
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
        (self.armed, self.pausing) = (false, false);
        match end {
            RecvEnd::Cancelled => {}
            RecvEnd::Fin => self.end = End::Fin,
            RecvEnd::Failed(error) => {
                self.end = End::Failed(code(&error));
                if seeded(Bug::BytesBeforeResetLost) {
                    self.queue = Chain::default();
                }
            }
        }
    }
}

impl Sockets {
    /// None yet; each may queue up `queue_buffers`.
    pub(super) fn new(queue_buffers: usize) -> Self {
        Self {
            entries: Vec::new(),
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

    pub(super) fn remove(&mut self, socket: Socket) -> Entry {
        std::mem::take(self.at(socket))
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

impl Shared {
    /// Hands a completion to its socket, and wakes who waits for it.
    pub(super) fn complete(&self, completion: Completion) {
        let Completion { socket, event } = completion;
        let mut sockets = self.sockets.borrow_mut();
        let limit = sockets.queue_buffers;
        let entry = sockets.at(socket);
        let (receiving, sending) = (&mut entry.receiving, &mut entry.sending);
        match event {
            Event::Received(buf) => {
                self.stats.received_bytes.add(buf.len() as u64);
                receiving.on_bytes(buf, limit, socket, &mut self.poller.borrow_mut());
                wake(&mut receiving.waiting, receiving.waker.as_ref());
            }
            Event::RecvEnded(end) => {
                receiving.on_end(end);
                if seeded(Bug::WakeLost) {
                    return;
                }
                wake(&mut receiving.waiting, receiving.waker.as_ref());
            }
            Event::Sent(bytes, result) => {
                self.stats.sent_bytes.add(bytes as u64);
                sending.finish(Outcome::new(bytes, &result, false));
            }
            Event::SentLazily(bytes) => {
                self.stats.sent_bytes.add(bytes as u64);
                sending.finish(Outcome::new(bytes, &Ok(()), true));
            }
            Event::Connected(result) => sending.finish(Outcome::new(0, &result, false)),
            Event::Accepted(result) => {
                let accepting = entry.accepting.get_or_insert_default();
                (accepting.in_flight, accepting.result) = (false, Some(result));
                wake(&mut true, accepting.waker.as_ref());
            }
            Event::ReadReady(_) => {
                (receiving.readying, receiving.readable) = (false, true);
                wake(&mut receiving.waiting, receiving.waker.as_ref());
            }
            Event::WriteReady(_) => sending.finish(Outcome::new(0, &Ok(()), false)),
        }
    }
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            in_flight: false,
            close: Close::Reset,
            result: None,
            waiting: false,
            waker: None,
        }
    }
}

impl Sending {
    fn finish(&mut self, outcome: Outcome) {
        self.in_flight = false;
        self.result = Some(outcome);
        wake(&mut self.waiting, self.waker.as_ref());
    }
}

/// Keeps the waker of who waits; it is the same one nearly always, and then costs nothing.
pub(super) fn register(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        None => *place = Some(context.waker().clone()),
    }
}

fn wake(waiting: &mut bool, waker: Option<&Waker>) {
    if std::mem::take(waiting) {
        waker.into_iter().for_each(Waker::wake_by_ref);
    }
}

/// The number of an error that has none of its own.
const NAMELESS: i32 = -1;

/// Errors are kept by number, so that they can be given more than once.
fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(NAMELESS)
}

/// The error of that number.
pub(super) fn error(code: i32) -> io::Error {
    match code {
        NAMELESS => io::ErrorKind::Other.into(),
        code => io::Error::from_raw_os_error(code),
    }
}
