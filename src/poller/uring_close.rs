//! How the io_uring back end closes a socket whose file the kernel may still use, and how the back
//! end itself ends.
//!
//! Also reports finished lazy sends. A part of `uring`, which calls it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, IntoRawFd};
use std::process;
use std::thread;
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::{CancelBuilder, Fd};

use super::Closing;
use super::op::{Close, Completion, Event, OpKind, Socket};
use super::uring::Uring;
use super::uring_socket::State;
use crate::sys;

impl Uring {
    pub(super) fn close(&mut self, socket: Socket, how: Close) {
        let state = self.table.at(socket);
        assert!(state.closing.is_none(), "the socket is open");
        let sending = state.inflight & OpKind::Send.bit() != 0;
        let how = if sending { Close::Reset } else { how };
        state.closing = Some(how);
        self.closing.held += 1;
        self.closing.begun += 1;
        self.close_order.push_back(socket);
        state.starved = false;
        if state.inflight == 0 {
            self.finish_close(socket);
            return;
        }
        if how == Close::Fin {
            // The descriptor stays open until the ops end; the peer gets the FIN at once.
            drop(sys::shutdown_write(state.fd.as_fd()));
        }
        let fd = state.number();
        self.push_silent(opcode::AsyncCancel2::new(CancelBuilder::fd(fd).all()).build());
    }

    /// Closes the descriptor of a closing socket once no op of the socket is in flight.
    pub(super) fn finish_close(&mut self, socket: Socket) {
        let state = self.table.at(socket);
        if state.inflight != 0 {
            return;
        }
        let State { fd, closing, .. } = self.table.remove(socket).expect("found above");
        // The call fails only on a dead connection; closing is then all that is left to do.
        drop(match closing {
            Some(Close::Reset) => sys::reset_on_close(fd.as_fd()),
            _ => sys::fin_on_close(fd.as_fd()),
        });
        (self.closing.held, self.closing.queued) = (self.closing.held - 1, self.closing.queued + 1);
        // By a queued entry, which saves a system call.
        self.push_silent(opcode::Close::new(Fd(fd.into_raw_fd())).build());
    }

    /// The kernel has carried out all queued closes.
    pub(super) fn note_closed(&mut self) {
        self.closing.queued = 0;
        while let Some(&first) = self.close_order.front()
            && self.table.peek(first).is_none()
        {
            self.close_order.pop_front();
            self.closing.ended += 1;
        }
    }

    /// Reports the lazy sends that still have their mark as successes. The caller has seen the
    /// kernel consume all submissions and has read all completions; why no completion then means
    /// success: docs/decisions/0010-lazy-sends.md.
    pub(super) fn finish_lazy_sends(&mut self, to: &mut Vec<Completion>) {
        for at in 0..self.lazy.len() {
            let socket = self.lazy[at];
            let Some(state) = self.table.find(socket) else {
                continue;
            };
            if !mem::take(&mut state.lazy) {
                continue;
            }
            state.inflight &= !OpKind::Send.bit();
            state.cancelled &= !OpKind::Send.bit();
            let closing = state.closing.is_some();
            let sent = self.sends.remove(state.send);
            if closing {
                self.finish_close(socket);
            } else {
                let event = Event::SentLazily(sent);
                to.push(Completion { socket, event });
            }
        }
        self.lazy.clear();
    }

    pub(super) fn closing(&self) -> Closing {
        self.closing
    }

    /// Cancels everything and waits until no op is in flight.
    fn quiesce(&mut self) -> io::Result<()> {
        for socket in self.table.sockets() {
            if self.table.at(socket).closing.is_none() {
                self.close(socket, Close::Reset);
            }
        }
        self.push_silent(opcode::AsyncCancel2::new(CancelBuilder::any()).build());
        self.ring.enter(0, Some(Duration::ZERO))?;
        // Counts rounds without a completion: a round brings a few dozen completions at most, and
        // many thousands may be due.
        let mut idle = 0;
        while idle < 50 {
            idle += 1;
            while let Some(entry) = self.ring.next() {
                self.on_completion(&entry, &mut Vec::new());
                idle = 0;
            }
            if !self.ring.has_submissions() && self.ring.is_all_read() {
                self.finish_lazy_sends(&mut Vec::new());
            }
            if self.table.iter().next().is_none() && !self.notifier_armed {
                // This enter closes the last descriptors.
                return self.ring.enter(0, Some(Duration::ZERO));
            }
            self.ring.enter(1, Some(Duration::from_millis(100)))?;
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Waits briefly, so that the log's thread writes the last line.
#[expect(
    clippy::disallowed_methods,
    reason = "the lane serves no more: the process is about to abort"
)]
fn await_log() {
    thread::sleep(Duration::from_millis(100));
}

impl Drop for Uring {
    fn drop(&mut self) {
        if let Err(error) = self.quiesce() {
            // Continuing would free memory that the kernel may still write to.
            tracing::error!(%error, "io_uring operations do not end: aborting");
            await_log();
            process::abort();
        }
        self.buffers.reclaim(&self.pool);
    }
}
