//! A lane's sockets as its tasks see them: what has arrived and who waits for it.
//!
//! A receive stream is armed when a task first waits for bytes and stays armed, so that receiving
//! costs no op per message. What arrives while the task is busy queues up in buffers of the pool;
//! when there are [`QUEUE_BUFFERS`] of them the stream is cancelled, and armed again once they are
//! taken: that is the back-pressure.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, Waker};

use super::lane::{Handle, Shared};
use crate::buf::{Buf, Chain};
use crate::poller::{Close, Completion, Event, Op, OpKind, Poller, RecvEnd, Socket, Submitted};
use crate::sys::{self, OsSocket};

/// Buffers that may queue up for one socket. A poller that is ahead of its cancel adds a few.
pub const QUEUE_BUFFERS: usize = 4;

/// The lane's sockets, by the poller's slots.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Whose entry it is; answers to former tenants never reach the lane.
    socket: Option<Socket>,
    receiving: Receiving,
    sending: Sending,
    accepting: Option<Box<Accepting>>,
}

#[derive(Debug, Default)]
struct Receiving {
    queue: Chain,
    end: End,
    armed: bool,
    /// Being cancelled, because the queue is full.
    pausing: bool,
    waiting: bool,
    waker: Option<Waker>,
}

/// How the stream of received bytes has ended; stays so.
#[derive(Clone, Copy, Debug, Default)]
enum End {
    #[default]
    Open,
    Fin,
    Failed(i32),
}

/// The write side: connecting, then sending.
#[derive(Debug, Default)]
struct Sending {
    in_flight: bool,
    /// The result of what was in flight, for who waits.
    result: Option<(usize, Result<(), i32>)>,
    waiting: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Accepting {
    in_flight: bool,
    result: Option<io::Result<(OsSocket, SocketAddr)>>,
    waker: Option<Waker>,
}

/// The end of a send: how many bytes the kernel took, and the error that kept it from the rest.
#[derive(Debug)]
pub struct Sent {
    /// Bytes taken.
    pub bytes: usize,
    /// Whether that was all.
    pub result: io::Result<()>,
}

/// A socket of a lane, owned by one task. Dropping it resets the connection, unless
/// [`LaneSocket::close`] was called: who leaves in the middle must not look as if all were done.
#[derive(Debug)]
pub struct LaneSocket {
    lane: Handle,
    socket: Socket,
    open: bool,
}

impl LaneSocket {
    /// Hands a socket to the lane's poller.
    #[must_use]
    pub fn attach(lane: &Handle, socket: OsSocket) -> Self {
        let socket = lane.0.poller.borrow_mut().attach(socket);
        lane.0.sockets.borrow_mut().insert(socket);
        Self {
            lane: lane.clone(),
            socket,
            open: true,
        }
    }

    /// The lane that it belongs to.
    #[must_use]
    pub fn lane(&self) -> &Handle {
        &self.lane
    }

    /// Connects; resolves when the handshake is done.
    ///
    /// # Errors
    /// What `connect(2)` says.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<()> {
        match self.start(Op::Connect(to)) {
            Some(connected) => connected.result,
            None => poll_fn(|context| self.poll_sent(context)).await.result,
        }
    }

    /// Takes one connection from a listener's queue.
    ///
    /// # Errors
    /// Out of descriptors or memory. The listener goes on.
    pub async fn accept(&self) -> io::Result<(OsSocket, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// Everything that has arrived, waiting if that is nothing; an empty chain is the peer's FIN.
    ///
    /// # Errors
    /// `ConnectionReset` and its kin, after what arrived before it was taken.
    pub async fn recv(&self) -> io::Result<Chain> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`LaneSocket::recv`] as a poll.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chain>> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let receiving = &mut sockets.at(self.socket).receiving;
        if receiving.queue.is_empty() && receiving.is_open() {
            receiving.arm(self.socket, &mut lane.poller.borrow_mut());
        }
        if !receiving.queue.is_empty() {
            let chain = std::mem::take(&mut receiving.queue);
            if receiving.is_open() {
                // The stream goes on while the task works on what it got.
                receiving.arm(self.socket, &mut lane.poller.borrow_mut());
            }
            return Poll::Ready(Ok(chain));
        }
        match receiving.end {
            End::Fin => Poll::Ready(Ok(Chain::default())),
            End::Failed(code) => Poll::Ready(Err(error(code))),
            End::Open => {
                receiving.waiting = true;
                register(&mut receiving.waker, context);
                Poll::Pending
            }
        }
    }

    /// Sends all of a chain. A future that is dropped has sent some of it or all.
    ///
    /// # Errors
    /// `BrokenPipe`, `ConnectionReset` and their kin.
    pub async fn send(&self, chain: Chain) -> io::Result<usize> {
        // A send whose future was dropped may still be in flight: one at a time, or they mix.
        poll_fn(|context| self.poll_idle(context)).await;
        let sent = match self.start_send(chain) {
            Some(sent) => sent,
            None => poll_fn(|context| self.poll_sent(context)).await,
        };
        sent.result.map(|()| sent.bytes)
    }

    /// Starts to send all of a chain. `None`: [`LaneSocket::poll_sent`] will say how it went.
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub fn start_send(&self, chain: Chain) -> Option<Sent> {
        self.start(Op::Send(chain))
    }

    /// Waits for the end of the send in flight.
    pub fn poll_sent(&self, context: &mut Context<'_>) -> Poll<Sent> {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        let sending = &mut sockets.at(self.socket).sending;
        if let Some((bytes, result)) = sending.result.take() {
            return Poll::Ready(Sent {
                bytes,
                result: result.map_err(error),
            });
        }
        sending.waiting = true;
        register(&mut sending.waker, context);
        Poll::Pending
    }

    /// Waits until the connection has failed; what arrives queues up. Pending for ever if it ends
    /// well.
    pub fn poll_failed(&self, context: &mut Context<'_>) -> Poll<()> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let receiving = &mut sockets.at(self.socket).receiving;
        if receiving.is_open() && receiving.queue.is_empty() {
            receiving.arm(self.socket, &mut lane.poller.borrow_mut());
        }
        match receiving.end {
            End::Failed(_) => return Poll::Ready(()),
            End::Fin => {}
            End::Open => {
                receiving.waiting = true;
                register(&mut receiving.waker, context);
            }
        }
        Poll::Pending
    }

    /// Sends a FIN behind all that was sent; receiving goes on.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn shutdown(&self) -> io::Result<()> {
        sys::shutdown_write(self.lane.0.poller.borrow().descriptor(self.socket))
    }

    /// Closes the socket.
    pub fn close(mut self, how: Close) {
        self.finish(how);
    }

    /// Runs `f` on the descriptor, to read or set its options.
    pub fn with_descriptor<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        f(self.lane.0.poller.borrow().descriptor(self.socket))
    }

    fn finish(&mut self, how: Close) {
        if std::mem::take(&mut self.open) {
            let entry = self.lane.0.sockets.borrow_mut().remove(self.socket);
            self.lane.0.poller.borrow_mut().close(self.socket, how);
            drop(entry);
        }
    }

    /// Starts an op of the write side; gives the result if it is there at once.
    fn start(&self, op: Op) -> Option<Sent> {
        let lane = &*self.lane.0;
        let submitted = lane.poller.borrow_mut().submit(self.socket, op);
        match submitted {
            Submitted::Done(Event::Sent(bytes, result)) => {
                lane.stats.sent_bytes.add(bytes as u64);
                Some(Sent { bytes, result })
            }
            Submitted::Done(Event::Connected(result)) => Some(Sent { bytes: 0, result }),
            Submitted::Done(other) => unreachable!("a send or connect got {other:?}"),
            Submitted::Pending => {
                let mut sockets = lane.sockets.borrow_mut();
                let sending = &mut sockets.at(self.socket).sending;
                (sending.in_flight, sending.result) = (true, None);
                None
            }
        }
    }

    fn poll_idle(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        let sending = &mut sockets.at(self.socket).sending;
        if !sending.in_flight {
            return Poll::Ready(());
        }
        sending.waiting = true;
        register(&mut sending.waker, context);
        Poll::Pending
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(OsSocket, SocketAddr)>> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let accepting = sockets.at(self.socket).accepting.get_or_insert_default();
        if let Some(result) = accepting.result.take() {
            return Poll::Ready(result);
        }
        if !accepting.in_flight {
            match lane.poller.borrow_mut().submit(self.socket, Op::Accept) {
                Submitted::Done(Event::Accepted(result)) => return Poll::Ready(result),
                Submitted::Done(other) => unreachable!("an accept got {other:?}"),
                Submitted::Pending => accepting.in_flight = true,
            }
        }
        register(&mut accepting.waker, context);
        Poll::Pending
    }
}

impl Drop for LaneSocket {
    fn drop(&mut self) {
        self.finish(Close::Reset);
    }
}

impl Receiving {
    fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    /// Starts the stream, unless it runs.
    fn arm(&mut self, socket: Socket, poller: &mut Poller) {
        if self.armed {
            return;
        }
        match poller.submit(socket, Op::Recv) {
            Submitted::Pending => self.armed = true,
            Submitted::Done(Event::RecvEnded(end)) => self.on_end(end),
            Submitted::Done(other) => unreachable!("a receive got {other:?}"),
        }
    }

    fn on_bytes(&mut self, buf: Buf, socket: Socket, poller: &mut Poller) {
        self.queue.push(buf);
        if self.queue.buffers() >= QUEUE_BUFFERS && !self.pausing {
            self.pausing = true;
            poller.cancel(socket, OpKind::Recv);
        }
    }

    fn on_end(&mut self, end: RecvEnd) {
        (self.armed, self.pausing) = (false, false);
        match end {
            RecvEnd::Cancelled => {}
            RecvEnd::Fin => self.end = End::Fin,
            RecvEnd::Failed(error) => self.end = End::Failed(code(&error)),
        }
    }
}

impl Sockets {
    fn insert(&mut self, socket: Socket) {
        if self.0.len() <= socket.slot() {
            self.0.resize_with(socket.slot() + 1, Entry::default);
        }
        self.0[socket.slot()].socket = Some(socket);
    }

    fn remove(&mut self, socket: Socket) -> Entry {
        std::mem::take(self.at(socket))
    }

    fn at(&mut self, socket: Socket) -> &mut Entry {
        let entry = &mut self.0[socket.slot()];
        debug_assert_eq!(
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
        let entry = sockets.at(socket);
        let (receiving, sending) = (&mut entry.receiving, &mut entry.sending);
        match event {
            Event::Received(buf) => {
                self.stats.received_bytes.add(buf.len() as u64);
                receiving.on_bytes(buf, socket, &mut self.poller.borrow_mut());
                wake(&mut receiving.waiting, receiving.waker.as_ref());
            }
            Event::RecvEnded(end) => {
                receiving.on_end(end);
                wake(&mut receiving.waiting, receiving.waker.as_ref());
            }
            Event::Sent(bytes, result) => {
                self.stats.sent_bytes.add(bytes as u64);
                sending.finish(bytes, result);
            }
            Event::Connected(result) => sending.finish(0, result),
            Event::Accepted(result) => {
                let accepting = entry.accepting.get_or_insert_default();
                (accepting.in_flight, accepting.result) = (false, Some(result));
                wake(&mut true, accepting.waker.as_ref());
            }
            Event::ReadReady(_) | Event::WriteReady(_) => {
                unreachable!("nobody asks for readiness")
            }
        }
    }
}

impl Sending {
    fn finish(&mut self, bytes: usize, result: io::Result<()>) {
        self.in_flight = false;
        self.result = Some((bytes, result.map_err(|error| code(&error))));
        wake(&mut self.waiting, self.waker.as_ref());
    }
}

/// Keeps the waker of who waits; it is the same one nearly always, and then costs nothing.
fn register(place: &mut Option<Waker>, context: &Context<'_>) {
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

/// Errors are kept by number, so that they can be given more than once; 0 is one without.
fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

fn error(code: i32) -> io::Error {
    match code {
        0 => io::ErrorKind::Other.into(),
        code => io::Error::from_raw_os_error(code),
    }
}
