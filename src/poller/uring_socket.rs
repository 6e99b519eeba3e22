//! What the io_uring back end knows of a socket.

use std::os::fd::AsRawFd;

use io_uring::squeue::Flags;
use io_uring::types::Fd;

use super::inflight::Fault;
use super::op::{Close, OpKind};
use crate::sys::OsSocket;

/// Where the kernel finds a socket.
#[derive(Debug)]
pub(super) enum File {
    /// Among the process's descriptors.
    Open(OsSocket),
    /// In this slot of the ring's table, and nowhere else.
    Parked(u32),
}

/// How an entry names a socket: by a number, which these flags say the meaning of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) number: Fd,
    pub(super) flags: Flags,
}

impl File {
    pub(super) fn target(&self) -> Target {
        let (number, flags) = match self {
            Self::Open(fd) => (fd.as_raw_fd(), Flags::empty()),
            Self::Parked(slot) => (slot.cast_signed(), Flags::FIXED_FILE),
        };
        Target {
            number: Fd(number),
            flags,
        }
    }

    /// The descriptor of a socket that the caller knows to have one.
    pub(super) fn descriptor(&self) -> &OsSocket {
        match self {
            Self::Open(fd) => fd,
            Self::Parked(_) => panic!("a parked socket has no descriptor"),
        }
    }
}

/// Every connection has one or two, so it is kept small.
#[derive(Debug)]
pub(super) struct State {
    pub(super) file: File,
    /// It may be put into the ring's table when it is first received from.
    pub(super) may_park: bool,
    /// One bit per kind of op that the kernel has.
    pub(super) inflight: u8,
    /// One bit per kind of op that is being cancelled.
    pub(super) cancelled: u8,
    /// One bit per kind of op in whose place the kernel has a poll: the socket is non-blocking, so
    /// the op itself would not wait.
    pub(super) polled: u8,
    /// The send in flight is a lazy one, of whose success the kernel says nothing.
    pub(super) lazy: bool,
    /// A receive waits for a buffer.
    pub(super) starved: bool,
    /// It is in the queue of the starved; maybe only since it was.
    pub(super) queued: bool,
    /// The wait that brought it bytes last, by the last digits of its number: who is taken for
    /// served and was not stands behind others, once in 65,536 times.
    pub(super) served_in: u16,
    pub(super) closing: Option<Close>,
    pub(super) fault: Fault,
    /// Index in `sends` while a send is in flight.
    pub(super) send: u32,
    /// Index in `connects` while a connect is in flight.
    pub(super) connect: u32,
}

const _: () = assert!(size_of::<State>() == 28);

impl State {
    pub(super) fn new(fd: OsSocket) -> Self {
        Self {
            file: File::Open(fd),
            may_park: true,
            inflight: 0,
            cancelled: 0,
            polled: 0,
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

    /// Whether this completion was that of a poll in the op's place.
    pub(super) fn take_polled(&mut self, kind: OpKind) -> bool {
        let polled = self.polled & kind.bit() != 0;
        self.polled &= !kind.bit();
        polled
    }

    pub(super) fn is_unanswered(&self, kind: OpKind) -> bool {
        (self.inflight | self.cancelled) & kind.bit() != 0 || kind == OpKind::Recv && self.starved
    }
}
