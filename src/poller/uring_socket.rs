//! The io_uring back end's state of a socket.

use std::os::fd::AsRawFd;

use io_uring::types::Fd;

use super::op::{Close, OpKind};
use super::slots::Fault;
use crate::sys::OsSocket;

/// Kept small: a connection has one or two.
#[derive(Debug)]
pub(super) struct State {
    pub(super) fd: OsSocket,
    /// One bit per kind of op in flight.
    pub(super) inflight: u8,
    /// One bit per kind of op that is being cancelled.
    pub(super) cancelled: u8,
    /// The send in flight is lazy: a success has no completion.
    pub(super) lazy: bool,
    /// A receive waits for a buffer.
    pub(super) starved: bool,
    /// The socket is in `Uring::starved`, perhaps without starving any more.
    pub(super) queued: bool,
    /// The wait that last brought bytes, by the low bits of its number. A wrong match, once in
    /// 65,536 times, queues a starved socket behind the rest.
    pub(super) served_in: u16,
    pub(super) closing: Option<Close>,
    pub(super) fault: Fault,
    /// Index in `sends` while a send is in flight.
    pub(super) send: u32,
    /// Index in `connects` while a connect is in flight.
    pub(super) connect: u32,
}

const _: () = assert!(size_of::<State>() <= 24);

impl State {
    pub(super) fn new(fd: OsSocket) -> Self {
        Self {
            fd,
            inflight: 0,
            cancelled: 0,
            lazy: false,
            starved: false,
            queued: false,
            served_in: 0,
            closing: None,
            fault: Fault::default(),
            send: 0,
            connect: 0,
        }
    }

    /// The descriptor for submission entries.
    pub(super) fn number(&self) -> Fd {
        Fd(self.fd.as_raw_fd())
    }

    pub(super) fn is_unanswered(&self, kind: OpKind) -> bool {
        (self.inflight | self.cancelled) & kind.bit() != 0 || kind == OpKind::Recv && self.starved
    }
}
