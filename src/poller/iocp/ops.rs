//! The memory of calls that go on in the kernel: one [`Operation`] each, on the heap, untouched
//! until its completion is taken.
//!
//! The kernel is given the address of the block at its front, and that is what a completion brings
//! back. An operation keeps its socket open: the number of a socket that was closed is not used
//! again before the last completion is here.
#![expect(unsafe_code, reason = "turns what the kernel brings back into boxes")]

use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use windows_sys::Win32::Networking::WinSock::WSABUF;
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::super::op::{Event, OpKind, Socket};
use super::super::slots::Sending;
use super::calls::{self, ADDRESS_BYTES, Begun, Poll};
use crate::sys::{self, OsSocket};

/// Parts handed to one `WSASend`.
const PARTS: usize = 16;

/// One call, and all that it may touch.
#[repr(C)]
pub(super) struct Operation {
    block: OVERLAPPED,
    pub(super) fd: Rc<OsSocket>,
    pub(super) socket: Socket,
    pub(super) kind: OpKind,
    pub(super) data: Data,
}

/// What a kind of call needs besides.
pub(super) enum Data {
    Nothing,
    Accept {
        accepted: OsSocket,
        addresses: [u8; 2 * ADDRESS_BYTES],
    },
    Send(Sending),
    Poll(Poll),
}

/// An operation in the kernel, by its address. Whoever holds one may name it, not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flying(NonNull<Operation>);

/// What became of a start.
pub(super) enum Started {
    Flying(Flying),
    Done(Box<Operation>, usize),
    Failed(Box<Operation>, io::Error),
}

impl Operation {
    pub(super) fn new(fd: &Rc<OsSocket>, socket: Socket, kind: OpKind, data: Data) -> Box<Self> {
        Box::new(Self {
            block: calls::fresh(),
            fd: Rc::clone(fd),
            socket,
            kind,
            data,
        })
    }

    /// Hands the operation to the kernel. `skips` says whether the socket's calls that are done at
    /// once post no completion; where they do, that completion is waited for.
    pub(super) fn start(
        self: Box<Self>,
        skips: bool,
        call: impl FnOnce(&OsSocket, *mut Data, *mut OVERLAPPED) -> io::Result<Begun>,
    ) -> Started {
        let fd = Rc::clone(&self.fd);
        let operation = Box::into_raw(self);
        // SAFETY: the pointer is the box's own; no reference to it exists.
        let block = unsafe { &raw mut (*operation).block };
        // SAFETY: as above.
        let data = unsafe { &raw mut (*operation).data };
        // SAFETY: as above.
        unsafe { *block = calls::fresh() };
        let begun = call(&fd, data, block);
        if matches!(begun, Ok(Begun::Pending)) || !skips && begun.is_ok() {
            return Started::Flying(Flying(NonNull::new(operation).expect("a box")));
        }
        // SAFETY: the kernel has no part in it: the call was done or refused, and posts nothing.
        let operation = unsafe { Box::from_raw(operation) };
        match begun {
            Ok(Begun::Done(bytes)) => Started::Done(operation, bytes),
            Ok(Begun::Pending) => unreachable!("it is flying"),
            Err(error) => Started::Failed(operation, error),
        }
    }

    /// Sends what is left of the chain.
    pub(super) fn send(self: Box<Self>, skips: bool) -> Started {
        self.start(skips, |fd, data, block| {
            // SAFETY: the operation is ours until the call, and is not moved by it.
            let Data::Send(sending) = (unsafe { &*data }) else {
                unreachable!("a send has a chain")
            };
            let mut slices = [io::IoSlice::new(&[]); PARTS];
            let count = sending.chain.gather(&mut slices);
            let parts = slices.map(|slice| WSABUF {
                len: u32::try_from(slice.len()).expect("a buffer of the pool"),
                buf: slice.as_ptr().cast_mut(),
            });
            // SAFETY: the chain's buffers live in the operation, which is left alone.
            unsafe { calls::send(fd, &parts[..count], block) }
        })
    }

    /// Waits for a connection, to be taken by a socket that is made here.
    pub(super) fn accept(
        listener: &Rc<OsSocket>,
        socket: Socket,
        skips: bool,
    ) -> io::Result<Started> {
        let like = sys::local_address(sys::borrow(listener))?;
        let data = Data::Accept {
            accepted: sys::stream_socket(like)?,
            addresses: [0; 2 * ADDRESS_BYTES],
        };
        let operation = Self::new(listener, socket, OpKind::Accept, data);
        Ok(operation.start(skips, |fd, data, block| {
            // SAFETY: the operation is ours until the call, and is not moved by it.
            let data = unsafe { &mut *data };
            let Data::Accept {
                accepted,
                addresses,
            } = data
            else {
                unreachable!("an accept has a socket")
            };
            let into = addresses.as_mut_ptr();
            // SAFETY: all three live in the operation, which is left alone.
            unsafe { calls::accept(fd, accepted, into, block) }
        }))
    }

    /// Waits for readiness.
    pub(super) fn poll(fd: &Rc<OsSocket>, socket: Socket, kind: OpKind, skips: bool) -> Started {
        let data = Data::Poll(Poll::of(fd, kind == OpKind::WriteReady));
        Self::new(fd, socket, kind, data).start(skips, |fd, data, block| {
            // SAFETY: the operation is ours until the call, and is not moved by it.
            let Data::Poll(poll) = (unsafe { &mut *data }) else {
                unreachable!("a poll has its question")
            };
            let poll = &raw mut *poll;
            // SAFETY: both live in the operation, which is left alone.
            unsafe { calls::poll(fd, poll, block) }
        })
    }

    /// Waits for bytes or the end, without a buffer.
    pub(super) fn probe(fd: &Rc<OsSocket>, socket: Socket, skips: bool) -> Started {
        let operation = Self::new(fd, socket, OpKind::Recv, Data::Nothing);
        operation.start(skips, |fd, _, block| {
            // SAFETY: the block lives in the operation, which is left alone.
            unsafe { calls::probe(fd, block) }
        })
    }

    /// Connects; a socket without an address gets one first, since the call wants it.
    pub(super) fn connect(
        fd: &Rc<OsSocket>,
        socket: Socket,
        to: std::net::SocketAddr,
        skips: bool,
    ) -> io::Result<Started> {
        if sys::local_address(sys::borrow(fd)).is_err() {
            let any: std::net::IpAddr = if to.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            sys::bind_source(sys::borrow(fd), any)?;
        }
        let operation = Self::new(fd, socket, OpKind::Connect, Data::Nothing);
        Ok(operation.start(skips, |fd, _, block| {
            // SAFETY: the block lives in the operation, which is left alone.
            unsafe { calls::connect(fd, to, block) }
        }))
    }
}

impl Flying {
    /// Asks for its end; its completion comes all the same.
    pub(super) fn cancel(self, fd: &OsSocket) {
        calls::cancel(fd, self.0.as_ptr().cast());
    }

    /// How much of the chain had been sent when this call began.
    pub(super) fn sent_before(self) -> usize {
        // SAFETY: the kernel writes to the block and reads the buffers; the count is neither, and
        // nobody else holds a reference.
        let data = unsafe { &raw const (*self.0.as_ptr()).data };
        // SAFETY: as above.
        match unsafe { &*data } {
            Data::Send(sending) => sending.sent,
            _ => 0,
        }
    }

    /// The operation whose completion has come, with its bytes and its error.
    ///
    /// # Safety
    /// `block` came out of the port, where each operation's comes once.
    pub(super) unsafe fn land(block: *mut OVERLAPPED) -> (Box<Operation>, usize, io::Result<()>) {
        // SAFETY: it is the address of a box that was handed to the kernel, which has let go.
        let operation = unsafe { Box::from_raw(block.cast::<Operation>()) };
        // SAFETY: the call has completed.
        let (bytes, result) = unsafe { calls::result(&operation.fd, &raw const operation.block) };
        (operation, bytes, result)
    }
}

/// The accepted connection; `None` when it was gone before it could be taken.
pub(super) fn take_accepted(operation: Operation) -> Option<Event> {
    let Data::Accept {
        accepted,
        addresses,
    } = operation.data
    else {
        unreachable!("an accept has a socket")
    };
    match calls::accepted(&operation.fd, &accepted, &addresses) {
        Ok(peer) => Some(Event::Accepted(Ok((accepted, peer)))),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => None,
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => None,
        Err(e) => Some(Event::Accepted(Err(e))),
    }
}

/// Lets go of an operation whose socket was closed. Who had been accepted hears of it as if still
/// in the backlog.
pub(super) fn abandon(operation: &Operation) {
    if let Data::Accept { accepted, .. } = &operation.data {
        drop(sys::reset_on_close(sys::borrow(accepted)));
    }
}

pub(super) fn sending_of(operation: &mut Operation) -> &mut Sending {
    match &mut operation.data {
        Data::Send(sending) => sending,
        _ => unreachable!("a send has a chain"),
    }
}

pub(super) fn ready(kind: OpKind, result: io::Result<()>) -> Event {
    if kind == OpKind::ReadReady {
        Event::ReadReady(result)
    } else {
        Event::WriteReady(result)
    }
}
