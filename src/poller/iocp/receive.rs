//! Receiving: a receive of no bytes that waits in the kernel, then reads by hand into buffers of
//! the pool, within the budget.

use std::io;

use super::super::op::{Completion, Event, OpKind, RecvEnd, Socket};
use super::ops::{Operation, Started};
use super::port::Iocp;
use crate::sys;

impl Iocp {
    /// Lets a receive of no bytes wait, if none does. An end is given only if that cannot be done.
    pub(super) fn probe(&mut self, socket: Socket) -> Option<RecvEnd> {
        let state = self.table.at(socket);
        if state.readable || state.flying[OpKind::Recv as usize].is_some() {
            return None;
        }
        match Operation::probe(&state.fd, socket, state.skips) {
            Started::Flying(flying) => self.fly(socket, OpKind::Recv, flying),
            Started::Done(..) => state.readable = true,
            Started::Failed(_, error) if sys::is_out_of_resources(&error) => {
                return Some(RecvEnd::Failed(error));
            }
            Started::Failed(_, error) => {
                // What came before it is read first; then it is told.
                state.fault.tell(error);
                state.readable = true;
            }
        }
        None
    }

    pub(super) fn queue_if_readable(&mut self, socket: Socket) {
        let state = self.table.at(socket);
        if state.readable && state.waits(OpKind::Recv) && !state.queued {
            state.queued = true;
            self.ready.push_back(socket);
        }
    }

    /// Reads a socket up to its budget of buffers.
    pub(super) fn receive(&mut self, socket: Socket, budget: u32, to: &mut Vec<Completion>) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        state.queued = false;
        for _ in 0..budget {
            if !state.waits(OpKind::Recv) || !state.readable {
                break;
            }
            let Some(mut buf) = self.pool.take() else {
                state.queued = true;
                self.starved.push_back(socket);
                return;
            };
            let event = match sys::recv(sys::borrow(&state.fd), buf.space()) {
                Ok(0) => Event::RecvEnded(state.fault.end()),
                Ok(bytes) => {
                    buf.fill(bytes);
                    // A short read has emptied the socket: the next probe says what else there is.
                    state.readable = bytes == self.pool.buffer_bytes();
                    Event::Received(buf)
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    state.readable = false;
                    break;
                }
                Err(e) => Event::RecvEnded(RecvEnd::Failed(state.fault.tell(e))),
            };
            if matches!(event, Event::RecvEnded(_)) {
                state.armed &= !OpKind::Recv.bit();
            }
            to.push(Completion { socket, event });
        }
        if !state.waits(OpKind::Recv) {
            return;
        }
        if let Some(end) = self.probe(socket) {
            self.table.at(socket).armed &= !OpKind::Recv.bit();
            let event = Event::RecvEnded(end);
            to.push(Completion { socket, event });
        }
        self.queue_if_readable(socket);
    }

    /// Lets as many starved sockets read as there are buffers, the longest-starved first and all
    /// of them before the others.
    pub(super) fn feed_starved(&mut self) {
        let free = self.pool.buffers_max() - self.pool.in_use();
        let fed = free.min(self.starved.len());
        for socket in self.starved.drain(..fed).rev() {
            self.ready.push_front(socket);
        }
    }
}
