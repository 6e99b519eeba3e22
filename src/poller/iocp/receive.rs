//! Receiving: a receive of no bytes waits in the kernel; after its completion the socket is read
//! into buffers of the pool, within the budget.

use super::super::op::{Completion, Event, OpKind, RecvEnd, Socket};
use super::super::reading::{Read, read};
use super::ops::{Operation, Started};
use super::port::Iocp;
use crate::sys::{self, ErrorCode};

impl Iocp {
    /// Starts a receive of no bytes unless one waits. Returns an end when the call is impossible.
    pub(super) fn probe(&mut self, socket: Socket) -> Option<RecvEnd> {
        let state = self.table.at(socket);
        if state.readable || state.flying[OpKind::Recv as usize].is_some() {
            return None;
        }
        match Operation::probe(&state.fd, socket, state.skips) {
            Started::Flying(flying) => self.fly(socket, OpKind::Recv, flying),
            Started::Done(..) => state.readable = true,
            Started::Failed(_, error) if sys::is_out_of_resources(&error) => {
                return Some(RecvEnd::Failed(ErrorCode::of(&error)));
            }
            Started::Failed(_, error) => {
                // Bytes before the error are read first; the fault then reports the error.
                state.fault.record(error);
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

    /// Reads from a socket up to its budget of buffers.
    pub(super) fn receive(&mut self, socket: Socket, budget: u32, to: &mut Vec<Completion>) {
        let Some(state) = self.table.find(socket) else {
            return;
        };
        state.queued = false;
        for _ in 0..budget {
            if !state.waits(OpKind::Recv) || !state.readable {
                break;
            }
            let event = match read(&state.fd, &mut state.fault, &self.pool) {
                Read::NoBuffer => {
                    state.queued = true;
                    self.starved.push_back(socket);
                    return;
                }
                Read::Nothing => {
                    state.readable = false;
                    break;
                }
                Read::Bytes(buf, full) => {
                    // After a short read the next probe reports further bytes.
                    state.readable = full;
                    Event::Received(buf)
                }
                Read::End(end) => {
                    state.armed &= !OpKind::Recv.bit();
                    Event::RecvEnded(end)
                }
            };
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
}
