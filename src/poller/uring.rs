//! The io_uring back end (Linux 6.1): one ring per lane, one kernel entry per wait.
//!
//! Receiving is multishot into a shared ring of buffers; a chain leaves in one `sendmsg`; accepting
//! and waiting for readiness are polls. A socket's slot, generation and op kind make up the user
//! data, so there is no table of ops: at most one op of each kind is in flight per socket.
//!
//! One thread creates and uses the ring (`SINGLE_ISSUER`, `DEFER_TASKRUN`): the kernel writes to
//! memory inside `enter` only.
#![expect(unsafe_code, reason = "submission of pointers that the poller owns")]

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Arc;

use io_uring::squeue::Entry;
use io_uring::types::Fd;
use io_uring::{cqueue, opcode};
use socket2::SockAddr;

use super::op::{Completion, Event, Op, OpKind, Socket, Submitted};
use super::slots::{Answer, Slab, Table, accept};
use super::uring_buffers::{Buffers, GROUP};
use super::uring_ring::{IGNORED, from_user_data, silent, user_data};
use super::uring_send::{PARTS, Sends};
use super::uring_socket::State;
use super::{Closing, Notifier, PollerOptions, Ring, Wait};
use crate::buf::Pool;
use crate::sys::{self, Bug, EventFd, OsSocket, seeded};

/// Completions handled in one wait, so that timers and other lanes get their turn.
const BATCH: usize = 1024;
/// User data of the notifier's read.
const NOTIFIER: u64 = u64::MAX;
/// User data of the receives that return buffers.
const RETURNED: u64 = u64::MAX - 3;

#[derive(Debug)]
pub(super) struct Uring {
    /// First, so that the ring is closed before the memory registered with the ring is freed.
    pub(super) ring: Ring,
    pub(super) buffers: Buffers,
    pub(super) pool: Pool,
    pub(super) table: Table<State>,
    pub(super) sends: Sends,
    /// Addresses of connects in flight; the kernel may read them until the completion.
    connects: Slab<Box<SockAddr>>,
    /// Sockets whose receive found no buffer, longest-starved first.
    starved: VecDeque<Socket>,
    /// Starved sockets that received bytes in the present wait; they queue behind `starved`.
    served: Vec<Socket>,
    /// Sockets with a lazy send that the kernel may not have consumed yet.
    pub(super) lazy: Vec<Socket>,
    /// The last wait left lazy sends undecided, so the next wait does not sleep.
    behind: bool,
    waits: u16,
    pub(super) closing: Closing,
    /// The sockets of the orders to close from `closing.ended` on.
    pub(super) close_order: VecDeque<Socket>,
    /// Final answers to ops that were cancelled before the kernel had them.
    answers: Vec<Answer>,
    notifier: Arc<EventFd>,
    /// Memory that the notifier's read writes to.
    notified: Box<u64>,
    pub(super) notifier_armed: bool,
}

impl Uring {
    pub(super) fn open(options: PollerOptions, pool: Pool) -> io::Result<Self> {
        let restricted = options.restricted;
        let ring = Ring::open(options.submissions, options.completions, restricted)?;
        let buffers = Buffers::register(&ring, options.receive_buffers)?;
        if restricted {
            ring.restrict()?;
        }
        Ok(Self {
            ring,
            buffers,
            pool,
            table: Table::new(),
            sends: Sends::new(),
            connects: Slab::new(),
            starved: VecDeque::new(),
            served: Vec::new(),
            lazy: Vec::new(),
            behind: false,
            waits: 0,
            closing: Closing::default(),
            close_order: VecDeque::new(),
            answers: Vec::new(),
            notifier: Arc::new(EventFd::open()?),
            notified: Box::new(0),
            notifier_armed: false,
        })
    }

    pub(super) fn attach(&mut self, fd: OsSocket) -> Socket {
        debug_assert!(
            sys::is_nonblocking(sys::borrow(&fd)),
            "a blocking socket would block the lane"
        );
        self.table.insert(State::new(fd))
    }

    pub(super) fn descriptor(&self, socket: Socket) -> BorrowedFd<'_> {
        let state = self.table.peek(socket);
        let open = state.filter(|state| state.closing.is_none());
        open.expect("the socket is open").fd.as_fd()
    }

    pub(super) fn submit(&mut self, socket: Socket, op: Op) -> Submitted {
        let (kind, lazily) = (op.kind(), matches!(op, Op::SendLazily(_)));
        let state = self.table.at(socket);
        assert!(state.closing.is_none(), "the socket is open");
        assert!(!state.is_unanswered(kind), "one {kind:?} at a time");
        match op {
            Op::Accept => {
                if let Some(event) = accept(&state.fd) {
                    return Submitted::Done(event);
                }
                self.arm_poll(socket, kind, libc::POLLIN);
            }
            Op::Connect(to) => {
                let address = Box::new(SockAddr::from(to));
                let fd = state.number();
                let entry = opcode::Connect::new(fd, address.as_ptr().cast(), address.len());
                state.connect = self.connects.insert(address);
                self.start(socket, kind, entry.build());
            }
            Op::Recv => self.start_recv(socket),
            Op::Send(chain) | Op::SendLazily(chain) => {
                if chain.is_empty() {
                    return Submitted::Done(Event::Sent(0, Ok(())));
                }
                // Not lazy while receives starve: this chain may hold the buffers that they need.
                state.lazy = lazily && self.starved.is_empty() && chain.buffers() <= PARTS;
                state.send = self.sends.insert(chain);
                self.start_send(socket);
            }
            Op::ReadReady => self.arm_poll(socket, kind, libc::POLLIN | libc::POLLRDHUP),
            Op::WriteReady => self.arm_poll(socket, kind, libc::POLLOUT),
        }
        Submitted::Pending
    }

    pub(super) fn cancel(&mut self, socket: Socket, kind: OpKind) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        if !state.is_unanswered(kind) || state.cancelled & kind.bit() != 0 {
            return;
        }
        state.cancelled |= kind.bit();
        if kind == OpKind::Recv && mem::take(&mut state.starved) {
            let sent = 0;
            self.answers.push(Answer { socket, kind, sent });
            return;
        }
        self.push_silent(opcode::AsyncCancel::new(user_data(socket, kind)).build());
    }

    pub(super) fn sent_so_far(&mut self, socket: Socket) -> usize {
        let state = self.table.find(socket).expect("the socket is open");
        if state.inflight & OpKind::Send.bit() == 0 {
            return 0;
        }
        self.sends.advance(state.send, 0).0
    }

    pub(super) fn wait(&mut self, wait: Wait, to: &mut Vec<Completion>) -> io::Result<()> {
        self.waits = self.waits.wrapping_add(1);
        self.arm_notifier();
        self.buffers.refill(&self.pool);
        self.feed_starved();
        let more_to_feed = !self.starved.is_empty() && self.buffers.held() > 0;
        let stay = more_to_feed || self.behind || !self.answers.is_empty();
        self.ring.wait(if stay { Wait::NOT } else { wait })?;
        // Checked before handling completions queues further submissions.
        let all_taken = !self.ring.has_submissions();
        if all_taken {
            self.note_closed();
        }
        let (mut taken, mut ran_out) = (0, false);
        for _ in 0..BATCH {
            let Some(entry) = self.ring.next() else { break };
            if entry.user_data() != RETURNED {
                taken += usize::from(cqueue::buffer_select(entry.flags()).is_some());
                ran_out |= entry.result() == -libc::ENOBUFS;
            }
            self.on_completion(&entry, to);
        }
        if all_taken && self.ring.is_all_read() {
            self.finish_lazy_sends(to);
        }
        self.behind = !self.lazy.is_empty();
        self.starved.extend(self.served.drain(..));
        self.buffers.adapt(taken, ran_out);
        for answer in self.answers.drain(..) {
            let state = self.table.find(answer.socket);
            if let Some(state) = state.filter(|state| state.closing.is_none()) {
                state.cancelled &= !answer.kind.bit();
                to.push(answer.completion());
            }
        }
        Ok(())
    }

    pub(super) fn look(&mut self, to: &mut Vec<Completion>) -> io::Result<()> {
        // One enter runs the deferred work of some 20 ops, while busy peers add more.
        for _ in 0..=self.table.len() / 16 {
            self.wait(Wait::NOT, to)?;
            if self.ring.is_all_seen() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn notifier(&self) -> Notifier {
        Notifier(Arc::<EventFd>::clone(&self.notifier))
    }

    /// Makes the kernel return buffers above the minimum; they are provided again on demand.
    /// After a burst of 64 KB on each of 4,000 connections the memory (PSS) is 1.15 of the memory
    /// before, and 2.30 without this (docs/decisions/0012).
    pub(super) fn rest(&mut self) {
        self.sends.rest();
        let excess = self.buffers.rest();
        if excess > 0
            && let Err(error) = self.ring.take_buffers(excess, GROUP, RETURNED)
        {
            // The buffers stay provided; the next call tries again.
            tracing::debug!(%error, "io_uring keeps its buffers");
        }
    }

    #[cfg(all(test, not(feature = "sim")))]
    pub(super) fn stale(&self) -> u64 {
        self.table.stale()
    }

    fn arm_notifier(&mut self) {
        if !mem::replace(&mut self.notifier_armed, true) {
            let fd = Fd(self.notifier.as_fd().as_raw_fd());
            let entry = opcode::Read::new(fd, ptr::from_mut(&mut *self.notified).cast(), 8)
                .build()
                .user_data(NOTIFIER);
            // SAFETY: `notified` is boxed, written by this read alone and freed after the ring.
            unsafe { self.ring.push(&entry) };
        }
    }

    /// Queues an op of a socket.
    fn start(&mut self, socket: Socket, kind: OpKind, entry: Entry) {
        self.table.at(socket).inflight |= kind.bit();
        // SAFETY: an entry points to nothing, or to what `sends` and `connects` keep until this
        // op's final completion; the buffers of a receive are those of `buffers`.
        unsafe { self.ring.push(&entry.user_data(user_data(socket, kind))) };
    }

    fn start_recv(&mut self, socket: Socket) {
        let from = self.table.at(socket).number();
        let entry = opcode::RecvMulti::new(from, GROUP).build();
        self.start(socket, OpKind::Recv, entry);
    }

    pub(super) fn push_silent(&mut self, entry: Entry) {
        // SAFETY: entries of cancels and closes contain no pointers.
        unsafe { self.ring.push(&silent(entry)) };
    }

    fn arm_poll(&mut self, socket: Socket, kind: OpKind, events: libc::c_short) {
        let of = self.table.at(socket).number();
        let events = u32::from(events.cast_unsigned());
        let entry = opcode::PollAdd::new(of, events).build();
        self.start(socket, kind, entry);
    }

    /// Queues the send of a chain's remaining bytes.
    fn start_send(&mut self, socket: Socket) {
        let state = self.table.at(socket);
        let (send, lazy) = (state.send, state.lazy);
        let entry = self.sends.entry(send, state.number(), lazy);
        self.start(socket, OpKind::Send, entry);
        if lazy {
            self.lazy.push(socket);
        }
        if seeded(Bug::BufferFreedEarly) {
            self.sends.free_early(send, &self.pool);
        }
    }

    /// Restarts starved receives, the longest-starved first, and at most as many as there are
    /// buffers: the first receive may use them all, and then queues behind the rest.
    fn feed_starved(&mut self) {
        let mut left = self.buffers.held();
        while left > 0 {
            let Some(socket) = self.starved.pop_front() else {
                break;
            };
            let Some(state) = self.table.find(socket) else {
                continue;
            };
            state.queued = false;
            // A cancel or close in the meantime clears the flag.
            if mem::take(&mut state.starved) {
                self.start_recv(socket);
                left -= 1;
            }
        }
    }

    pub(super) fn on_completion(&mut self, entry: &cqueue::Entry, to: &mut Vec<Completion>) {
        match entry.user_data() {
            NOTIFIER => self.notifier_armed = false,
            IGNORED => {}
            RETURNED => {
                if let Some(id) = cqueue::buffer_select(entry.flags()) {
                    drop(self.buffers.take_back(id, 0, &self.pool));
                }
            }
            data => {
                let (socket, kind) = from_user_data(data);
                if kind == OpKind::Recv {
                    self.on_recv(socket, entry, to);
                } else if let Some(event) = self.on_single(socket, kind, entry.result()) {
                    to.push(Completion { socket, event });
                }
            }
        }
    }

    fn on_recv(&mut self, socket: Socket, entry: &cqueue::Entry, to: &mut Vec<Completion>) {
        let more = cqueue::more(entry.flags());
        let result = usize::try_from(entry.result());
        let buf = cqueue::buffer_select(entry.flags())
            .map(|id| self.buffers.take_back(id, result.unwrap_or(0), &self.pool));
        let Some(state) = self.table.find_or_count(socket) else {
            return;
        };
        if !more {
            state.inflight &= !OpKind::Recv.bit();
        }
        if state.closing.is_some() {
            self.finish_close(socket);
            return;
        }
        let cancelled = state.cancelled & OpKind::Recv.bit() != 0;
        let mut push = |event| to.push(Completion { socket, event });
        let end = match (result, buf) {
            (Ok(0), _) => Some(state.fault.end()),
            (Ok(1..), None) => unreachable!("received bytes are in a buffer"),
            (Ok(_), Some(buf)) => {
                state.served_in = self.waits;
                push(Event::Received(buf));
                if more {
                    return;
                }
                None
            }
            (Err(_), _) => match -entry.result() {
                libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS => None,
                code => Some(state.fault.failed(io::Error::from_raw_os_error(code))),
            },
        };
        debug_assert!(!more, "a multishot receive ends once");
        if end.is_none() && !cancelled {
            // The kernel ended the multishot receive without a cancel: start again.
            if entry.result() == -libc::ENOBUFS {
                state.starved = true;
                if !mem::replace(&mut state.queued, true) {
                    if state.served_in == self.waits {
                        self.served.push(socket);
                    } else {
                        self.starved.push_back(socket);
                    }
                }
            } else if !seeded(Bug::RearmForgotten) {
                self.start_recv(socket);
            }
            return;
        }
        state.cancelled &= !OpKind::Recv.bit();
        push(end.map_or(Event::RecvCancelled, Event::RecvEnded));
    }

    /// The final answer of an op that is no receive; `None` when the op continues or its socket is
    /// closing.
    fn on_single(&mut self, socket: Socket, kind: OpKind, result: i32) -> Option<Event> {
        let state = self.table.find_or_count(socket)?;
        state.inflight &= !kind.bit();
        let cancelled = state.cancelled & kind.bit() != 0;
        state.cancelled &= !kind.bit();
        if kind == OpKind::Send {
            // A lazy send with a completion was not all sent: the rest is an ordinary send.
            state.lazy = false;
        }
        let closing = state.closing.is_some();
        let (send, connect) = (state.send, state.connect);
        let event = if closing {
            None
        } else {
            self.answer(socket, kind, result, cancelled)
        };
        let is_over = event.is_some() || closing;
        if kind == OpKind::Connect && is_over {
            drop(self.connects.remove(connect));
        }
        if kind == OpKind::Send && is_over {
            let _ = self.sends.remove(send);
        }
        if closing {
            self.finish_close(socket);
        }
        event
    }

    /// The event for a result; `None` when the op was started again.
    fn answer(
        &mut self,
        socket: Socket,
        kind: OpKind,
        result: i32,
        cancelled: bool,
    ) -> Option<Event> {
        let outcome = match result {
            0.. => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        };
        let stopped = cancelled && matches!(-result, libc::ECANCELED | libc::EINTR);
        match kind {
            OpKind::Send => self.answer_send(socket, result, cancelled),
            _ if stopped => Some(Event::cancelled(kind, 0)),
            OpKind::Accept => {
                let state = self.table.at(socket);
                let event = match outcome {
                    Ok(()) => accept(&state.fd),
                    Err(e) => Some(Event::Accepted(Err(e))),
                };
                if event.is_none() && !cancelled {
                    self.arm_poll(socket, kind, libc::POLLIN);
                    return None;
                }
                Some(event.unwrap_or_else(|| Event::cancelled(kind, 0)))
            }
            OpKind::Connect => Some(Event::Connected(outcome)),
            OpKind::ReadReady => Some(Event::ReadReady(outcome)),
            OpKind::WriteReady => Some(Event::WriteReady(outcome)),
            OpKind::Recv => unreachable!("`on_recv` answers receives"),
        }
    }

    fn answer_send(&mut self, socket: Socket, result: i32, cancelled: bool) -> Option<Event> {
        let state = self.table.at(socket);
        let bytes = usize::try_from(result).unwrap_or(0);
        let (sent, all) = self.sends.advance(state.send, bytes);
        let event = match -result {
            0 => Event::Sent(sent, Err(io::ErrorKind::WriteZero.into())),
            ..0 if all => Event::Sent(sent, Ok(())),
            ..0 | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {
                if !cancelled {
                    // A partial send, a chain of more parts than one message takes, or a lazy send
                    // that found no room. This attempt is not lazy: the kernel waits for room.
                    self.start_send(socket);
                    return None;
                }
                Event::cancelled(OpKind::Send, sent)
            }
            code => Event::Sent(
                sent,
                Err(state.fault.record(io::Error::from_raw_os_error(code))),
            ),
        };
        Some(event)
    }
}
