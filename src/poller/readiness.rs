//! Turns the readiness of an event queue (epoll, kqueue) into completions.
//!
//! An op tries its system call first and waits only when the call would block. A descriptor is
//! registered once, edge-triggered, when its first op waits. An edge announces a possible change
//! of state, so `readable` and `ended` are kept here until a call refutes them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::time::Duration;

use super::op::{Close, Completion, Event, Op, OpKind, RecvEnd, Socket, Submitted};
use super::reading::{Read, feed_starved, read};
use super::slots::{Answer, Fault, Sending, Slab, Table, accept};
use super::{Closing, Notifier, PollerOptions, Wait};
use crate::buf::{Chain, Pool};
use crate::sys::{self, Bug, ConnectStart, ErrorCode, OsSocket, SocketRef, seeded};

/// Parts handed to one `sendmsg`.
const PARTS: usize = 16;
/// Sockets received from in one wait. Their bytes are sent on before the next sockets' turn, while
/// the kernel's data of these sockets is still in the processor's cache: 0.85 of the CPU a message
/// with 1,000 busy connections.
const SERVED: usize = 16;
/// Sockets received from between two polls of the event queue, of the sockets ready at the first.
const LOOK_AGAIN: usize = 256;

/// The interface of the operating system's event queue.
pub(super) trait EventQueue {
    /// Whether urgent data sets `Ready::ended`. A read stops short before an urgent byte, and no
    /// edge announces the remaining bytes. A queue that does not report urgent data needs one more
    /// read each time.
    const REPORTS_URGENT_DATA: bool;

    /// Watches a descriptor for edges of both directions; the present state is the first edge.
    fn register(&mut self, fd: SocketRef<'_>, token: u64) -> io::Result<()>;
    /// Ends the watch before a close that leaves the socket open in another process. Only epoll
    /// would watch on.
    fn unregister(&mut self, _fd: SocketRef<'_>) {}
    /// Appends the ready descriptors; sleeps at most `timeout` (`None`: for ever). Returns whether
    /// the notifier ended the wait, once per notification.
    fn wait(&mut self, timeout: Option<Duration>, to: &mut Vec<Ready>) -> io::Result<bool>;
    /// Ends a wait from another thread.
    fn notifier(&self) -> Notifier;
}

/// One event: the new state of a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) token: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// FIN, reset, error or urgent data has arrived: read on until a read returns the end.
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Readiness<Q> {
    queue: Q,
    pool: Pool,
    receive_budget: u32,
    table: Table<State>,
    sends: Slab<Sending>,
    events: Vec<Ready>,
    /// Sockets to read from in the next wait.
    ready: VecDeque<Socket>,
    /// Sockets of `ready` still to read from before the next poll of the event queue.
    due: usize,
    /// Sockets that found the pool empty, longest-starved first.
    starved: VecDeque<Socket>,
    /// Final answers to cancelled ops.
    answers: Vec<Answer>,
}

/// Kept small: a connection has one or two.
#[derive(Debug)]
struct State {
    fd: OsSocket,
    /// One bit per kind of op that waits.
    armed: u8,
    /// One bit per kind of op that was cancelled and whose answer is not delivered yet.
    cancelled: u8,
    fault: Fault,
    registered: bool,
    readable: bool,
    ended: bool,
    /// In `ready` or `starved`.
    queued: bool,
    /// Index in `sends` while a send waits.
    send: u32,
}

const _: () = assert!(size_of::<State>() <= 16);

impl State {
    fn waits(&self, kind: OpKind) -> bool {
        self.armed & kind.bit() != 0
    }

    fn is_unanswered(&self, kind: OpKind) -> bool {
        (self.armed | self.cancelled) & kind.bit() != 0
    }
}

impl<Q: EventQueue> Readiness<Q> {
    pub(super) fn over(queue: Q, options: PollerOptions, pool: &Pool) -> Box<Self> {
        Box::new(Self {
            queue,
            pool: pool.clone(),
            receive_budget: options.receive_budget,
            table: Table::new(),
            sends: Slab::new(),
            events: Vec::new(),
            ready: VecDeque::new(),
            due: 0,
            starved: VecDeque::new(),
            answers: Vec::new(),
        })
    }

    pub(super) fn attach(&mut self, fd: OsSocket) -> Socket {
        debug_assert!(
            sys::is_nonblocking(sys::borrow(&fd)),
            "a blocking socket would block the lane"
        );
        self.table.insert(State {
            fd,
            armed: 0,
            cancelled: 0,
            fault: Fault::default(),
            registered: false,
            readable: false,
            ended: false,
            queued: false,
            send: 0,
        })
    }

    pub(super) fn descriptor(&self, socket: Socket) -> SocketRef<'_> {
        sys::borrow(&self.table.peek(socket).expect("the socket is open").fd)
    }

    pub(super) fn submit(&mut self, socket: Socket, op: Op) -> Submitted {
        let kind = op.kind();
        let state = self.table.at(socket);
        assert!(!state.is_unanswered(kind), "one {kind:?} at a time");
        let done = match op {
            Op::Accept => accept(&state.fd),
            Op::Connect(to) => match sys::connect(sys::borrow(&state.fd), to) {
                Ok(ConnectStart::Done) => Some(Event::Connected(Ok(()))),
                Ok(ConnectStart::InProgress) => None,
                Err(e) => Some(Event::Connected(Err(e))),
            },
            Op::Recv => None,
            Op::Send(chain) | Op::SendLazily(chain) => self.start_send(socket, chain),
            Op::ReadReady => {
                sys::is_readable(sys::borrow(&state.fd)).then_some(Event::ReadReady(Ok(())))
            }
            Op::WriteReady => {
                sys::is_writable(sys::borrow(&state.fd)).then_some(Event::WriteReady(Ok(())))
            }
        };
        if let Some(event) = done {
            return Submitted::Done(event);
        }
        match self.arm(socket, kind) {
            Ok(()) => Submitted::Pending,
            Err(e) => Submitted::Done(self.refuse(socket, kind, e)),
        }
    }

    pub(super) fn cancel(&mut self, socket: Socket, kind: OpKind) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        if !state.waits(kind) {
            return;
        }
        state.armed &= !kind.bit();
        state.cancelled |= kind.bit();
        let sent = match kind {
            OpKind::Send => self.sends.remove(state.send).sent,
            _ => 0,
        };
        self.answers.push(Answer { socket, kind, sent });
    }

    pub(super) fn sent_so_far(&mut self, socket: Socket) -> usize {
        let state = self.table.find(socket).expect("the socket is open");
        if !state.waits(OpKind::Send) {
            return 0;
        }
        self.sends.at(state.send).sent
    }

    pub(super) fn close(&mut self, socket: Socket, how: Close) {
        let state = self.table.remove(socket).expect("the socket is open");
        if state.waits(OpKind::Send) {
            drop(self.sends.remove(state.send));
        }
        let fd = sys::borrow(&state.fd);
        if how == Close::Shared {
            self.queue.unregister(fd);
        }
        // The call fails only on a dead connection; closing is then all that is left to do.
        drop(
            if state.is_unanswered(OpKind::Send) || how == Close::Reset {
                sys::reset_on_close(fd)
            } else {
                sys::fin_on_close(fd)
            },
        );
    }

    pub(super) fn wait(&mut self, wait: Wait, to: &mut Vec<Completion>) -> io::Result<()> {
        let budget = if self.starved.is_empty() {
            self.receive_budget
        } else {
            // Buffers are scarce: one per socket, so that every socket gets bytes.
            1
        };
        let fed = feed_starved(&self.pool, &mut self.starved, &mut self.ready);
        let asks = self.due == 0;
        if asks {
            let has_more = !self.ready.is_empty() || !self.answers.is_empty();
            if wait.is_zero() || has_more {
                self.queue.wait(Some(Duration::ZERO), &mut self.events)?;
            } else {
                self.sleep(wait)?;
            }
        }
        self.take_events(to);
        // Sockets with more to read are queued again for the next wait.
        if asks {
            self.due = self.ready.len().min(LOOK_AGAIN);
        }
        // A zero wait means a busy lane: read from more sockets, so that none waits two turns.
        let most = if wait.is_zero() { LOOK_AGAIN } else { SERVED };
        let serve = self.due.min(most).max(fed);
        self.due = self.due.saturating_sub(serve);
        self.serve(serve, budget, to);
        Ok(())
    }

    pub(super) fn look(&mut self, to: &mut Vec<Completion>) -> io::Result<()> {
        feed_starved(&self.pool, &mut self.starved, &mut self.ready);
        // One call returns a limited number of events, while busy peers add more. After this many
        // calls every socket has had its event.
        for _ in 0..=self.table.len() / LOOK_AGAIN {
            let before = self.events.len();
            self.queue.wait(Some(Duration::ZERO), &mut self.events)?;
            if self.events.len() == before {
                break;
            }
        }
        self.take_events(to);
        self.due = 0;
        self.serve(self.ready.len(), 1, to);
        Ok(())
    }

    fn take_events(&mut self, to: &mut Vec<Completion>) {
        let mut events = mem::take(&mut self.events);
        for event in events.drain(..) {
            self.on_event(event, to);
        }
        self.events = events;
    }

    /// Reads from the first `count` ready sockets and delivers the pending answers.
    fn serve(&mut self, count: usize, budget: u32, to: &mut Vec<Completion>) {
        for _ in 0..count {
            let Some(socket) = self.ready.pop_front() else {
                break;
            };
            self.receive(socket, budget, to);
        }
        for answer in self.answers.drain(..) {
            if let Some(state) = self.table.find(answer.socket) {
                state.cancelled &= !answer.kind.bit();
                to.push(answer.completion());
            }
        }
    }

    pub(super) fn notifier(&self) -> Notifier {
        self.queue.notifier()
    }

    /// No memory is held ready here.
    pub(super) fn rest(&self) {}

    /// Sockets close at once here.
    pub(super) fn closing(&self) -> Closing {
        Closing::default()
    }

    #[cfg(all(test, not(feature = "sim")))]
    pub(super) fn stale(&self) -> u64 {
        self.table.stale()
    }

    fn sleep(&mut self, wait: Wait) -> io::Result<()> {
        if !wait.spin.is_zero() {
            let until = sys::now() + wait.spin;
            while sys::now() < until {
                let notified = self.queue.wait(Some(Duration::ZERO), &mut self.events)?;
                if notified || !self.events.is_empty() {
                    return Ok(());
                }
            }
        }
        self.queue.wait(wait.timeout, &mut self.events)?;
        Ok(())
    }

    /// Makes an op wait for an edge.
    fn arm(&mut self, socket: Socket, kind: OpKind) -> io::Result<()> {
        let state = self.table.at(socket);
        if !state.registered {
            self.queue.register(sys::borrow(&state.fd), token(socket))?;
            state.registered = true;
        }
        state.armed |= kind.bit();
        if kind == OpKind::Recv && state.readable && !state.queued {
            state.queued = true;
            self.ready.push_back(socket);
        }
        Ok(())
    }

    /// The answer to an op that could not be armed: the kernel has no memory for the registration.
    fn refuse(&mut self, socket: Socket, kind: OpKind, error: io::Error) -> Event {
        match kind {
            OpKind::Accept => Event::Accepted(Err(error)),
            OpKind::Connect => Event::Connected(Err(error)),
            OpKind::Recv => Event::RecvEnded(RecvEnd::Failed(ErrorCode::of(&error))),
            OpKind::Send => {
                let send = self.table.at(socket).send;
                Event::Sent(self.sends.remove(send).sent, Err(error))
            }
            OpKind::ReadReady => Event::ReadReady(Err(error)),
            OpKind::WriteReady => Event::WriteReady(Err(error)),
        }
    }

    fn on_event(&mut self, event: Ready, to: &mut Vec<Completion>) {
        let socket = from_token(event.token);
        let Some(state) = self.table.find_or_count(socket) else {
            return;
        };
        state.readable |= event.readable;
        state.ended |= event.ended;
        let mut answer = |state: &mut State, kind: OpKind, event: Event| {
            state.armed &= !kind.bit();
            to.push(Completion { socket, event });
        };
        if event.readable
            && state.waits(OpKind::Accept)
            && let Some(event) = accept(&state.fd)
        {
            answer(state, OpKind::Accept, event);
        }
        if event.writable && state.waits(OpKind::Connect) {
            let result = sys::take_error(sys::borrow(&state.fd));
            answer(state, OpKind::Connect, Event::Connected(result));
        }
        if event.readable && state.waits(OpKind::ReadReady) {
            answer(state, OpKind::ReadReady, Event::ReadReady(Ok(())));
        }
        if event.writable && state.waits(OpKind::WriteReady) {
            answer(state, OpKind::WriteReady, Event::WriteReady(Ok(())));
        }
        if state.readable && state.waits(OpKind::Recv) && !state.queued {
            state.queued = true;
            self.ready.push_back(socket);
        }
        if event.writable && state.waits(OpKind::Send) {
            let sending = self.sends.at(state.send);
            if let Some(result) = push(&state.fd, sending, &mut state.fault) {
                let sent = self.sends.remove(state.send).sent;
                answer(state, OpKind::Send, Event::Sent(sent, result));
            }
        }
    }

    fn start_send(&mut self, socket: Socket, chain: Chain) -> Option<Event> {
        let state = self.table.at(socket);
        let mut sending = Sending::new(chain);
        let Some(result) = push(&state.fd, &mut sending, &mut state.fault) else {
            state.send = self.sends.insert(sending);
            return None;
        };
        Some(Event::Sent(sending.sent, result))
    }

    /// Reads from a socket up to its budget of buffers.
    fn receive(&mut self, socket: Socket, budget: u32, to: &mut Vec<Completion>) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        state.queued = false;
        for _ in 0..budget {
            if !state.waits(OpKind::Recv) || !state.readable {
                return;
            }
            let event = match read(&state.fd, &mut state.fault, &self.pool) {
                Read::NoBuffer => {
                    state.queued = true;
                    self.starved.push_back(socket);
                    return;
                }
                Read::Nothing => {
                    state.readable = false;
                    return;
                }
                Read::Bytes(buf, full) => {
                    // Bytes after a short read raise a new edge; an end that is already announced
                    // raises none.
                    state.readable = state.ended || full || !Q::REPORTS_URGENT_DATA;
                    Event::Received(buf)
                }
                Read::End(end) => {
                    state.armed &= !OpKind::Recv.bit();
                    Event::RecvEnded(end)
                }
            };
            to.push(Completion { socket, event });
        }
        if state.readable && state.waits(OpKind::Recv) {
            state.queued = true;
            self.ready.push_back(socket);
        }
    }
}

impl<Q> Drop for Readiness<Q> {
    fn drop(&mut self) {
        for state in self.table.iter() {
            // See `close`.
            drop(sys::reset_on_close(sys::borrow(&state.fd)));
        }
    }
}

/// Sends until the chain is empty, or the call would block (`None`) or fails.
fn push(fd: &OsSocket, sending: &mut Sending, fault: &mut Fault) -> Option<io::Result<()>> {
    while !sending.chain.is_empty() {
        let sent = match sending.chain.only() {
            Some(part) => sys::send(sys::borrow(fd), &[IoSlice::new(part)]),
            None => send_parts(fd, &sending.chain),
        };
        match sent {
            Ok(0) => return Some(Err(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => sending.advance(bytes),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
            Err(e) => return Some(Err(fault.record(e))),
        };
    }
    Some(Ok(()))
}

#[inline(never)] // rare: inlined, its stack frame would burden every send
fn send_parts(fd: &OsSocket, chain: &Chain) -> io::Result<usize> {
    let mut parts = [IoSlice::new(&[]); PARTS];
    let count = chain.gather(&mut parts);
    if seeded(Bug::SendReordered) {
        parts[..count].reverse();
    }
    sys::send(sys::borrow(fd), &parts[..count])
}

fn token(socket: Socket) -> u64 {
    u64::from(socket.generation) << 32 | u64::from(socket.slot)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of the token")]
fn from_token(token: u64) -> Socket {
    Socket {
        slot: token as u32,
        generation: (token >> 32) as u32,
    }
}
