//! The IOCP poller: sockets, ops, and the wait.
#![expect(unsafe_code, reason = "takes completions")]

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

use super::super::op::{Close, Completion, Event, Op, OpKind, RecvEnd, Socket, Submitted};
use super::super::reading::feed_starved;
use super::super::slots::{Answer, Fault, Sending, Table, accept};
use super::super::{Closing, Notifier, PollerOptions, Wait};
use super::calls::{self, Port};
use super::ops::{Data, Flying, Operation, Started, abandon, ready, sending_of, take_accepted};
use crate::buf::Pool;
use crate::sys::{self, ErrorCode, OsSocket, SocketRef};

/// Completions taken in one call.
const ENTRIES: u32 = 256;
/// How long a dropped poller waits for its operations to complete; the memory of late operations
/// is leaked.
const FAREWELL: Duration = Duration::from_secs(5);

/// One completion port and the sockets that it watches.
pub(in crate::poller) struct Iocp {
    pub(super) port: Arc<Port>,
    pub(super) pool: Pool,
    pub(super) receive_budget: u32,
    pub(super) table: Table<State>,
    pub(super) entries: Vec<OVERLAPPED_ENTRY>,
    /// Sockets to read from in the next wait.
    pub(super) ready: VecDeque<Socket>,
    /// Sockets that found the pool empty, longest-starved first.
    pub(super) starved: VecDeque<Socket>,
    /// Final answers to cancelled ops without a call in the kernel.
    pub(super) answers: Vec<Answer>,
    /// Operations in the kernel, those of closed sockets included.
    pub(super) flying: usize,
}

impl fmt::Debug for Iocp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iocp")
            .field("port", &self.port)
            .field("flying", &self.flying)
            .finish_non_exhaustive()
    }
}

pub(super) struct State {
    pub(super) fd: Rc<OsSocket>,
    /// Immediately successful calls post no completion.
    pub(super) skips: bool,
    /// The error of the port's refusal to watch the socket; all ops fail with this error.
    refused: Option<i32>,
    /// One bit per kind of op that waits.
    pub(super) armed: u8,
    /// One bit per kind of op that was cancelled and whose answer is not delivered yet.
    pub(super) cancelled: u8,
    pub(super) fault: Fault,
    pub(super) readable: bool,
    /// In `ready` or `starved`.
    pub(super) queued: bool,
    /// Calls in the kernel, by kind. Waits for bytes or readiness may outlive the op.
    pub(super) flying: [Option<Flying>; OpKind::ALL.len()],
}

impl State {
    pub(super) fn waits(&self, kind: OpKind) -> bool {
        self.armed & kind.bit() != 0
    }

    fn is_unanswered(&self, kind: OpKind) -> bool {
        (self.armed | self.cancelled) & kind.bit() != 0
    }
}

impl Iocp {
    pub(in crate::poller) fn open(options: PollerOptions, pool: Pool) -> io::Result<Self> {
        Ok(Self {
            port: Arc::new(Port::open()?),
            pool,
            receive_budget: options.receive_budget,
            table: Table::new(),
            entries: Vec::new(),
            ready: VecDeque::new(),
            starved: VecDeque::new(),
            answers: Vec::new(),
            flying: 0,
        })
    }

    pub(in crate::poller) fn attach(&mut self, fd: OsSocket) -> Socket {
        sys::set_nonblocking(sys::borrow(&fd)).expect("an open socket has modes");
        let watched = self.port.watch(&fd);
        self.table.insert(State {
            skips: watched.as_ref().is_ok_and(|skips| *skips),
            refused: watched.err().and_then(|error| error.raw_os_error()),
            fd: Rc::new(fd),
            armed: 0,
            cancelled: 0,
            fault: Fault::default(),
            readable: false,
            queued: false,
            flying: [None; OpKind::ALL.len()],
        })
    }

    pub(in crate::poller) fn descriptor(&self, socket: Socket) -> SocketRef<'_> {
        sys::borrow(&self.table.peek(socket).expect("the socket is open").fd)
    }

    pub(in crate::poller) fn submit(&mut self, socket: Socket, op: Op) -> Submitted {
        let kind = op.kind();
        let state = self.table.at(socket);
        assert!(!state.is_unanswered(kind), "one {kind:?} at a time");
        if let Some(code) = state.refused {
            let error = io::Error::from_raw_os_error(code);
            return Submitted::Done(failed(kind, error));
        }
        let done = match op {
            Op::Accept => self.accept(socket),
            Op::Connect(to) => self.connect(socket, to),
            Op::Recv => self.probe(socket).map(Event::RecvEnded),
            Op::Send(chain) | Op::SendLazily(chain) => self.send(socket, Sending::new(chain)),
            Op::ReadReady | Op::WriteReady => self.wait_ready(socket, kind),
        };
        if let Some(event) = done {
            return Submitted::Done(event);
        }
        self.table.at(socket).armed |= kind.bit();
        if kind == OpKind::Recv {
            self.queue_if_readable(socket);
        }
        Submitted::Pending
    }

    fn accept(&mut self, listener: Socket) -> Option<Event> {
        loop {
            let state = self.table.at(listener);
            if let Some(event) = accept(&state.fd) {
                return Some(event);
            }
            let (fd, skips) = (Rc::clone(&state.fd), state.skips);
            match Operation::accept(&fd, listener, skips) {
                Ok(Started::Flying(flying)) => {
                    self.fly(listener, OpKind::Accept, flying);
                    return None;
                }
                Ok(Started::Done(operation, _)) => {
                    if let Some(event) = take_accepted(*operation) {
                        return Some(event);
                    }
                }
                // The peer closed before the accept.
                Ok(Started::Failed(_, e)) if e.kind() == io::ErrorKind::ConnectionReset => {}
                Ok(Started::Failed(_, e)) | Err(e) => return Some(Event::Accepted(Err(e))),
            }
        }
    }

    fn connect(&mut self, socket: Socket, to: SocketAddr) -> Option<Event> {
        let state = self.table.at(socket);
        let result = match Operation::connect(&state.fd, socket, to, state.skips) {
            Ok(Started::Flying(flying)) => {
                self.fly(socket, OpKind::Connect, flying);
                return None;
            }
            Ok(Started::Done(operation, _)) => calls::connected(&operation.fd),
            Ok(Started::Failed(_, e)) | Err(e) => Err(e),
        };
        Some(Event::Connected(result))
    }

    fn send(&mut self, socket: Socket, sending: Sending) -> Option<Event> {
        let state = self.table.at(socket);
        if sending.chain.is_empty() {
            return Some(Event::Sent(sending.sent, Ok(())));
        }
        let data = Data::Send(sending);
        let mut operation = Operation::new(&state.fd, socket, OpKind::Send, data);
        loop {
            match operation.send(state.skips) {
                Started::Flying(flying) => {
                    self.fly(socket, OpKind::Send, flying);
                    return None;
                }
                Started::Done(mut landed, bytes) => {
                    let sending = sending_of(&mut landed);
                    if bytes == 0 {
                        let error = io::ErrorKind::WriteZero.into();
                        return Some(Event::Sent(sending.sent, Err(error)));
                    }
                    if sending.advance(bytes) {
                        return Some(Event::Sent(sending.sent, Ok(())));
                    }
                    operation = landed;
                }
                Started::Failed(mut landed, error) => {
                    let sent = sending_of(&mut landed).sent;
                    return Some(Event::Sent(sent, Err(state.fault.record(error))));
                }
            }
        }
    }

    fn wait_ready(&mut self, socket: Socket, kind: OpKind) -> Option<Event> {
        let state = self.table.at(socket);
        let fd = sys::borrow(&state.fd);
        let is_ready = if kind == OpKind::ReadReady {
            sys::is_readable(fd)
        } else {
            sys::is_writable(fd)
        };
        if is_ready {
            return Some(ready(kind, Ok(())));
        }
        if state.flying[kind as usize].is_some() {
            return None;
        }
        match Operation::poll(&state.fd, socket, kind, state.skips) {
            Started::Flying(flying) => {
                self.fly(socket, kind, flying);
                None
            }
            Started::Done(..) => Some(ready(kind, Ok(()))),
            Started::Failed(_, error) => Some(ready(kind, Err(error))),
        }
    }

    pub(super) fn fly(&mut self, socket: Socket, kind: OpKind, flying: Flying) {
        self.table.at(socket).flying[kind as usize] = Some(flying);
        self.flying += 1;
    }

    pub(in crate::poller) fn cancel(&mut self, socket: Socket, kind: OpKind) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        if !state.waits(kind) {
            return;
        }
        match (kind, state.flying[kind as usize]) {
            // The call is in the kernel: its completion is the answer.
            (OpKind::Accept | OpKind::Connect | OpKind::Send, Some(flying)) => {
                state.cancelled |= kind.bit();
                flying.cancel(&state.fd);
            }
            _ => {
                state.armed &= !kind.bit();
                state.cancelled |= kind.bit();
                let sent = 0;
                self.answers.push(Answer { socket, kind, sent });
            }
        }
    }

    pub(in crate::poller) fn sent_so_far(&mut self, socket: Socket) -> usize {
        let state = self.table.find(socket).expect("the socket is open");
        let flying = state.flying[OpKind::Send as usize];
        flying.map_or(0, Flying::sent_before)
    }

    pub(in crate::poller) fn close(&mut self, socket: Socket, how: Close) {
        let state = self.table.remove(socket).expect("the socket is open");
        let fd = sys::borrow(&state.fd);
        if state.is_unanswered(OpKind::Send) || how == Close::Reset {
            // The call fails only on a dead connection; closing is then all that is left to do.
            drop(sys::reset_on_close(fd));
        } else {
            // Before the cancels, which would turn the FIN into a reset. A listener has no FIN.
            drop(sys::shutdown_write(fd));
        }
        // The last of these operations closes the descriptor; see `Operation`.
        if state.flying.iter().any(Option::is_some) {
            calls::cancel(&state.fd, std::ptr::null());
        }
    }

    pub(in crate::poller) fn wait(
        &mut self,
        wait: Wait,
        to: &mut Vec<Completion>,
    ) -> io::Result<()> {
        let budget = if self.starved.is_empty() {
            self.receive_budget
        } else {
            // Buffers are scarce: one per socket, so that every socket gets bytes.
            1
        };
        feed_starved(&self.pool, &mut self.starved, &mut self.ready);
        if wait.is_zero() || !self.ready.is_empty() || !self.answers.is_empty() {
            self.port
                .wait(Some(Duration::ZERO), &mut self.entries, ENTRIES)?;
        } else {
            self.sleep(wait)?;
        }
        let mut entries = mem::take(&mut self.entries);
        for entry in entries.drain(..) {
            self.flying -= 1;
            // SAFETY: the entry has just come out of the port and is no notifier's.
            let (operation, bytes, result) = unsafe { Flying::land(entry.lpOverlapped) };
            self.on_landing(*operation, bytes, result, to);
        }
        self.entries = entries;
        // Sockets with more to read are queued again for the next wait.
        for _ in 0..self.ready.len() {
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
        Ok(())
    }

    pub(in crate::poller) fn look(&mut self, to: &mut Vec<Completion>) -> io::Result<()> {
        // One call takes a limited number of completions, while busy peers add more.
        for _ in 0..=self.table.len() / 64 {
            let before = to.len();
            self.wait(Wait::NOT, to)?;
            if to.len() == before {
                break;
            }
        }
        Ok(())
    }

    pub(in crate::poller) fn notifier(&self) -> Notifier {
        Notifier(Arc::<Port>::clone(&self.port))
    }

    /// No memory is held ready here.
    pub(in crate::poller) fn rest(&self) {}

    /// A socket closes at once or with the last of its operations. Without a limit on handles, the
    /// close is not awaited.
    pub(in crate::poller) fn closing(&self) -> Closing {
        Closing::default()
    }

    #[cfg(test)]
    pub(in crate::poller) fn stale(&self) -> u64 {
        self.table.stale()
    }

    fn sleep(&mut self, wait: Wait) -> io::Result<()> {
        if !wait.spin.is_zero() {
            let until = sys::now() + wait.spin;
            while sys::now() < until {
                let notified = self
                    .port
                    .wait(Some(Duration::ZERO), &mut self.entries, ENTRIES)?;
                if notified || !self.entries.is_empty() {
                    return Ok(());
                }
            }
        }
        self.port.wait(wait.timeout, &mut self.entries, ENTRIES)?;
        Ok(())
    }

    fn on_landing(
        &mut self,
        mut operation: Operation,
        bytes: usize,
        result: io::Result<()>,
        to: &mut Vec<Completion>,
    ) {
        let (socket, kind) = (operation.socket, operation.kind);
        let Some(state) = self.table.find(socket) else {
            abandon(&operation);
            return;
        };
        state.flying[kind as usize] = None;
        // A cancelled call may have succeeded, but is not started again.
        let again = state.cancelled & kind.bit() == 0;
        let cancelled = result.as_ref().is_err_and(calls::is_cancelled);
        let event = match kind {
            OpKind::Recv => {
                state.readable = true;
                if let Err(error) = result {
                    // Bytes before the error are read first; the fault then reports the error.
                    state.fault.record(error);
                }
                self.queue_if_readable(socket);
                return;
            }
            OpKind::Send => {
                let sending = mem::take(sending_of(&mut operation));
                self.on_sent(socket, sending, bytes, result, again)
            }
            _ if cancelled => Some(Event::cancelled(kind, 0)),
            OpKind::Accept => match result {
                Ok(()) => take_accepted(operation).or_else(|| self.accept_again(socket, again)),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    self.accept_again(socket, again)
                }
                Err(e) => Some(Event::Accepted(Err(e))),
            },
            OpKind::Connect => {
                let result = result.and_then(|()| calls::connected(&operation.fd));
                Some(Event::Connected(result))
            }
            // A poll that outlived its op.
            OpKind::ReadReady | OpKind::WriteReady if !state.waits(kind) => None,
            OpKind::ReadReady | OpKind::WriteReady => Some(ready(kind, result)),
        };
        if let Some(event) = event {
            let state = self.table.at(socket);
            state.armed &= !kind.bit();
            state.cancelled &= !kind.bit();
            to.push(Completion { socket, event });
        }
    }

    fn accept_again(&mut self, listener: Socket, again: bool) -> Option<Event> {
        if again {
            return self.accept(listener);
        }
        Some(Event::cancelled(OpKind::Accept, 0))
    }

    fn on_sent(
        &mut self,
        socket: Socket,
        mut sending: Sending,
        bytes: usize,
        result: io::Result<()>,
        again: bool,
    ) -> Option<Event> {
        let all = sending.advance(bytes.min(sending.chain.len()));
        match result {
            Ok(()) if all => Some(Event::Sent(sending.sent, Ok(()))),
            Ok(()) if again => self.send(socket, sending),
            Ok(()) => Some(Event::cancelled(OpKind::Send, sending.sent)),
            Err(e) if calls::is_cancelled(&e) => Some(Event::cancelled(OpKind::Send, sending.sent)),
            Err(e) => {
                let error = self.table.at(socket).fault.record(e);
                Some(Event::Sent(sending.sent, Err(error)))
            }
        }
    }
}

/// The answer to an op that failed before its start.
fn failed(kind: OpKind, error: io::Error) -> Event {
    match kind {
        OpKind::Accept => Event::Accepted(Err(error)),
        OpKind::Connect => Event::Connected(Err(error)),
        OpKind::Recv => Event::RecvEnded(RecvEnd::Failed(ErrorCode::of(&error))),
        OpKind::Send => Event::Sent(0, Err(error)),
        OpKind::ReadReady => Event::ReadReady(Err(error)),
        OpKind::WriteReady => Event::WriteReady(Err(error)),
    }
}

impl Drop for Iocp {
    fn drop(&mut self) {
        for socket in self.table.sockets() {
            self.close(socket, Close::Reset);
        }
        let end = sys::now() + FAREWELL;
        while self.flying > 0 && sys::now() < end {
            let left = end.since(sys::now());
            if self
                .port
                .wait(Some(left), &mut self.entries, ENTRIES)
                .is_err()
            {
                return;
            }
            for entry in self.entries.drain(..) {
                self.flying -= 1;
                // SAFETY: the entry has just come out of the port and is no notifier's.
                abandon(&unsafe { Flying::land(entry.lpOverlapped) }.0);
            }
        }
    }
}
