//! The sockets of a lane, as its tasks use them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::handle::Handle;
use super::socket_table::Sent;
use super::splice::{Splice, Spliced};
use crate::buf::Chain;
use crate::poller::{Close, Event, Op, RecvEnd, Socket, Submitted};
use crate::sys::{self, Bug, ErrorCode, OsSocket, PeerAddress, SocketRef, seeded};

/// A socket of a lane, owned by one task. A drop resets the connection, unless
/// [`LaneSocket::close_by`] has chosen the close: an interrupted transfer must not look complete.
#[derive(Debug)]
pub struct LaneSocket {
    lane: Handle,
    socket: Socket,
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
        }
    }

    /// The lane of the socket.
    #[must_use]
    pub fn lane(&self) -> &Handle {
        &self.lane
    }

    /// Connects; resolves when the handshake is done.
    ///
    /// # Errors
    /// Those of `connect(2)`.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<()> {
        let connected = match self.start(Op::Connect(to)) {
            Some(connected) => connected,
            None => poll_fn(|context| self.poll_sent(context)).await,
        };
        self.end_connect(&connected.result);
        connected.result
    }

    /// Sends `first` with the SYN that the kernel has put off until there are bytes
    /// (`TCP_FASTOPEN_CONNECT`, tcp(7)). Resolves when the handshake is done.
    ///
    /// # Errors
    /// Those of `send(2)`, or the result of the SYN.
    pub async fn send_with_syn(&self, first: Chain) -> io::Result<()> {
        let mut connected = self.send(first).await.map(drop);
        if connected.is_ok() {
            // A FIN before that would undo the connect.
            if self.start(Op::WriteReady).is_none() {
                poll_fn(|context| self.poll_sent(context)).await;
            }
            connected = self.with_descriptor(sys::take_error);
        }
        self.end_connect(&connected);
        connected
    }

    /// Forgets the connecting task, which seldom is the task of the session, and keeps the error of
    /// a connection that is reset already. A broken pipe keeps the FIN before the reset readable
    /// (Linux, `tcp_reset`).
    fn end_connect(&self, connected: &io::Result<()>) {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        entry.forget_sender();
        if let Err(error) = connected
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            entry.sending.set_fault(ErrorCode::of(error));
        }
    }

    /// Takes a connection from a listener's queue.
    ///
    /// # Errors
    /// Out of descriptors or memory. The listener goes on.
    pub async fn accept(&self) -> io::Result<(OsSocket, PeerAddress)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// A connection that was accepted for a dropped future.
    pub fn take_accepted(&self) -> Option<(OsSocket, PeerAddress)> {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        sockets.accepting(self.socket).0.result.take()?.ok()
    }

    /// Whether a listener's queue has a connection, or a connection was accepted for a dropped
    /// future.
    #[must_use]
    pub fn has_connection(&self) -> bool {
        let accepted = {
            let mut sockets = self.lane.0.sockets.borrow_mut();
            let (accepting, _) = sockets.accepting(self.socket);
            matches!(accepting.result, Some(Ok(_)))
        };
        let is_readable = |socket: SocketRef<'_>| Ok(sys::is_readable(socket));
        accepted || self.with_descriptor(is_readable).unwrap_or(false)
    }

    /// All input that has arrived; waits if there is none. An empty chain is the peer's FIN.
    ///
    /// # Errors
    /// `ConnectionReset` and similar errors, after all input before the error.
    pub async fn recv(&self) -> io::Result<Chain> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// [`LaneSocket::recv`] as a poll.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chain>> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        let receiving = &mut entry.receiving;
        receiving.arm_when_empty(self.socket, &lane.poller);
        let ended_early = seeded(Bug::FinBeforeData) && !receiving.is_open();
        if !receiving.queue.is_empty() && !ended_early {
            let chain = std::mem::take(&mut receiving.queue);
            if receiving.is_open() {
                // The stream continues while the task works on the input.
                receiving.arm(self.socket, &mut lane.poller.borrow_mut());
            }
            return Poll::Ready(Ok(chain));
        }
        match entry.end() {
            Some(RecvEnd::Fin) => Poll::Ready(Ok(Chain::default())),
            Some(RecvEnd::Failed(error)) => Poll::Ready(Err(error.error())),
            None => {
                entry.await_input(context);
                Poll::Pending
            }
        }
    }

    /// Sends all of a chain. A dropped future has sent a part or all.
    ///
    /// # Errors
    /// `BrokenPipe`, `ConnectionReset` and similar errors.
    pub async fn send(&self, chain: Chain) -> io::Result<usize> {
        // The send of a dropped future may still be in flight. Two sends in flight would mix.
        poll_fn(|context| self.poll_idle(context)).await;
        let sent = match self.start_send(chain) {
            Some(sent) => sent,
            None => poll_fn(|context| self.poll_sent(context)).await,
        };
        sent.result.map(|()| sent.bytes)
    }

    /// Starts to send all of a chain. `None`: [`LaneSocket::poll_sent`] has the result later.
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub(crate) fn start_send(&self, chain: Chain) -> Option<Sent> {
        self.start(Op::Send(chain))
    }

    /// Starts to send all of a chain, for a caller without anything to do before the next event of
    /// the lane: the lane does not turn for the success alone.
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub(crate) fn start_send_lazily(&self, chain: Chain) -> Option<Sent> {
        self.start(Op::SendLazily(chain))
    }

    /// Whether the queue is empty and the receive stream continues.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        sockets.at(self.socket).receiving.is_drained()
    }

    /// Whether input or the peer's end waits in the kernel while the owner waits: the lane had no
    /// free buffer, or no completion yet. A system call.
    #[must_use]
    pub fn has_unseen_input(&self) -> bool {
        let awaits = {
            let mut sockets = self.lane.0.sockets.borrow_mut();
            sockets.at(self.socket).receiving.awaits_input()
        };
        if !awaits {
            return false;
        }
        let is_readable = self.with_descriptor(|socket| Ok(sys::is_readable(socket)));
        is_readable.unwrap_or(false)
    }

    /// Waits for the end of the send in flight.
    pub(crate) fn poll_sent(&self, context: &mut Context<'_>) -> Poll<Sent> {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        if let Some(sent) = entry.sending.take_result() {
            return Poll::Ready(sent);
        }
        entry.await_output(context);
        Poll::Pending
    }

    /// Bytes of the unfinished send that the kernel has accepted so far.
    #[must_use]
    pub fn sent_so_far(&self) -> usize {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        match sockets.at(self.socket).sending.result() {
            Some(sent) => sent.bytes,
            None => self.lane.0.poller.borrow_mut().sent_so_far(self.socket),
        }
    }

    /// Waits until the connection has failed; input queues up meanwhile. Pending for ever if the
    /// connection ends by FIN.
    pub fn poll_failed(&self, context: &mut Context<'_>) -> Poll<ErrorCode> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        let receiving = &mut entry.receiving;
        receiving.arm_when_empty(self.socket, &lane.poller);
        match entry.end() {
            Some(RecvEnd::Failed(error)) => return Poll::Ready(error),
            Some(RecvEnd::Fin) => {}
            None => entry.await_input(context),
        }
        Poll::Pending
    }

    /// Ends when input has arrived, or the stream has ended; the input queues up.
    pub async fn arrived(&self) {
        poll_fn(|context| self.poll_arrived(context)).await;
    }

    /// Waits until input has arrived, or the stream has ended. The input stays in the queue.
    fn poll_arrived(&self, context: &mut Context<'_>) -> Poll<()> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        let receiving = &mut entry.receiving;
        receiving.arm_when_empty(self.socket, &lane.poller);
        if !receiving.queue.is_empty() || !receiving.is_open() {
            return Poll::Ready(());
        }
        entry.await_input(context);
        Poll::Pending
    }

    /// A copy of the first bytes in the queue, at most one buffer; `None` if the queue is empty or
    /// no buffer is free.
    #[must_use]
    pub fn copy_arrived(&self) -> Option<Chain> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let first = sockets.at(self.socket).receiving.queue.parts().next()?;
        let mut copy = lane.pool.take()?;
        copy.space()[..first.len()].copy_from_slice(first);
        copy.fill(first.len());
        let mut chain = Chain::default();
        chain.push(copy);
        Some(chain)
    }

    /// Drops this number of bytes from the front of the queue.
    pub fn skip_arrived(&self, bytes: usize) {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        sockets.at(self.socket).receiving.queue.skip(bytes);
    }

    /// Ends the receive stream, for reads by hand: first returns the stream's last input, then
    /// `None`, or an empty chain for the peer's FIN.
    pub fn poll_recv_last(&self, context: &mut Context<'_>) -> Poll<io::Result<Option<Chain>>> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        let receiving = &mut entry.receiving;
        receiving.stop(self.socket, &mut lane.poller.borrow_mut());
        if !receiving.queue.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut receiving.queue))));
        }
        let is_armed = receiving.is_armed();
        match entry.end() {
            Some(RecvEnd::Fin) => Poll::Ready(Ok(Some(Chain::default()))),
            Some(RecvEnd::Failed(error)) => Poll::Ready(Err(error.error())),
            None if is_armed => {
                entry.await_input(context);
                Poll::Pending
            }
            None => Poll::Ready(Ok(None)),
        }
    }

    /// Ends the receive stream and drops all input: from now on the socket holds no buffer.
    pub fn discard_input(&self) {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let receiving = &mut sockets.at(self.socket).receiving;
        receiving.discard(self.socket, &mut lane.poller.borrow_mut());
    }

    /// Waits until a read would not block. Not while the receive stream runs.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        let receiving = &mut entry.receiving;
        if receiving.is_ready(self.socket, &mut lane.poller.borrow_mut()) {
            return Poll::Ready(());
        }
        entry.await_input(context);
        Poll::Pending
    }

    /// Moves at most `max` bytes from this socket's kernel buffer to the sink's; `None` when the
    /// lane has too few buffers for the bytes that the sink may refuse. Not while the receive
    /// stream runs or a send to `sink` is in flight.
    #[must_use]
    pub(crate) fn splice_to(&self, sink: &Self, max: usize) -> Option<Spliced> {
        let lane = &*self.lane.0;
        let poller = lane.poller.borrow();
        let (from, to) = (
            poller.descriptor(self.socket),
            poller.descriptor(sink.socket),
        );
        if !Splice::has_room(&lane.pool, max) {
            return None;
        }
        let moved = lane.splice.borrow_mut().run(from, to, max, &lane.pool);
        if let Some(error) = moved.sink_failure {
            let mut sockets = lane.sockets.borrow_mut();
            sockets.at(sink.socket).sending.set_fault(error);
        }
        lane.stats
            .received_bytes
            .add((moved.bytes + moved.rest.len()) as u64);
        lane.stats.sent_bytes.add(moved.bytes as u64);
        Some(moved)
    }

    /// Free space of the kernel's send buffer; `None` where the system does not report it.
    #[must_use]
    pub fn send_room(&self) -> Option<usize> {
        self.with_descriptor(sys::send_room).ok()
    }

    /// Starts to wait until the send buffer has plenty of space (on Linux a third of the buffer, or
    /// the limit of unsent bytes): an empty send, with an ordinary result.
    ///
    /// # Panics
    /// When a send is in flight.
    #[must_use]
    pub(crate) fn start_wait_for_room(&self) -> Option<Sent> {
        self.start(Op::WriteReady)
    }

    /// Sends a FIN behind all sent bytes; receiving continues.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn shutdown(&self) -> io::Result<()> {
        self.with_descriptor(sys::shutdown_write)
    }

    /// Chooses the close of the socket at its drop.
    pub fn close_by(&self, how: Close) {
        self.lane
            .0
            .sockets
            .borrow_mut()
            .at(self.socket)
            .sending
            .close = how;
    }

    /// Closes the socket.
    pub fn close(self, how: Close) {
        self.close_by(how);
    }

    /// Runs `f` on the descriptor, to read or set its options.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn with_descriptor<T>(
        &self,
        f: impl FnOnce(SocketRef<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        f(self.lane.0.poller.borrow().descriptor(self.socket))
    }

    /// Starts an op of the write side; returns the result of an immediate op.
    fn start(&self, op: Op) -> Option<Sent> {
        let lane = &*self.lane.0;
        let submitted = lane.poller.borrow_mut().submit(self.socket, op);
        let done = |bytes, result| {
            Some(Sent {
                bytes,
                result,
                at_once: true,
            })
        };
        match submitted {
            Submitted::Done(Event::Sent(bytes, result)) => {
                lane.stats.sent_bytes.add(bytes as u64);
                done(bytes, result)
            }
            Submitted::Done(Event::Connected(result)) => done(0, result),
            // A failed connection is ready, too: the next send reports the error.
            Submitted::Done(Event::WriteReady(_)) => done(0, Ok(())),
            Submitted::Done(other) => unreachable!("a send or connect got {other:?}"),
            Submitted::Pending => {
                let mut sockets = lane.sockets.borrow_mut();
                sockets.at(self.socket).sending.begin();
                None
            }
        }
    }

    fn poll_idle(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut sockets = self.lane.0.sockets.borrow_mut();
        let entry = sockets.at(self.socket);
        if !entry.sending.is_in_flight() {
            return Poll::Ready(());
        }
        entry.await_output(context);
        Poll::Pending
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(OsSocket, PeerAddress)>> {
        let lane = &*self.lane.0;
        let mut sockets = lane.sockets.borrow_mut();
        let (accepting, entry) = sockets.accepting(self.socket);
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
        entry.register(context);
        Poll::Pending
    }
}

impl Drop for LaneSocket {
    fn drop(&mut self) {
        if seeded(Bug::SlotLeaked) {
            return;
        }
        let (how, accepted) = self.lane.0.sockets.borrow_mut().remove(self.socket);
        self.lane.0.poller.borrow_mut().close(self.socket, how);
        if seeded(Bug::ClosedTwice) && !std::thread::panicking() {
            self.lane.0.poller.borrow_mut().close(self.socket, how);
        }
        if let Some(socket) = accepted {
            // Accepted for a dropped future. The client's connect has succeeded, so a FIN would be
            // an answer. A failed reset means a dead socket.
            drop(sys::reset_on_close(sys::borrow(&socket)));
        }
    }
}
