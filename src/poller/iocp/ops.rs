//! The memory of calls in the kernel: one [`Operation`] per call, on the heap, unchanged until its
//! completion is taken.
//!
//! A call passes the kernel the address of the operation's first field, and a completion returns
//! this address. An operation keeps its socket open, so the number of a closed socket is not reused
//! before the last completion.
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

/// Parts passed to one `WSASend`.
const PARTS: usize = 16;

/// One call and all memory that the call may touch.
#[repr(C)]
pub(super) struct Operation {
    block: OVERLAPPED,
    pub(super) fd: Rc<OsSocket>,
    pub(super) socket: Socket,
    pub(super) kind: OpKind,
    pub(super) data: Data,
}

/// Additional data of a kind of call.
pub(super) enum Data {
    Nothing,
    Accept {
        accepted: OsSocket,
        addresses: [u8; 2 * ADDRESS_BYTES],
    },
    Send(Sending),
    Poll(Poll),
}

/// The address of an operation in the kernel, for use as a name; the operation must not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flying(NonNull<Operation>);

/// The outcome of starting a call.
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

    /// Passes the operation to the kernel. `skips`: the socket's immediately successful calls post
    /// no completion; without it the completion is awaited.
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
        // SAFETY: the call was done or refused and posts nothing, so the kernel has no pointer.
        let operation = unsafe { Box::from_raw(operation) };
        match begun {
            Ok(Begun::Done(bytes)) => Started::Done(operation, bytes),
            Ok(Begun::Pending) => unreachable!("it is flying"),
            Err(error) => Started::Failed(operation, error),
        }
    }

    /// Sends the remaining chain.
    pub(super) fn send(self: Box<Self>, skips: bool) -> Started {
        self.start(skips, |fd, data, block| {
            // SAFETY: the kernel has no pointer before the call, and the call does not move it.
            let Data::Send(sending) = (unsafe { &*data }) else {
                unreachable!("a send has a chain")
            };
            let mut slices = [io::IoSlice::new(&[]); PARTS];
            let count = sending.chain.gather(&mut slices);
            let parts = slices.map(|slice| WSABUF {
                len: u32::try_from(slice.len()).expect("a buffer of the pool"),
                buf: slice.as_ptr().cast_mut(),
            });
            // SAFETY: the operation owns the chain's buffers and stays untouched.
            unsafe { calls::send(fd, &parts[..count], block) }
        })
    }

    /// Waits for a connection, to be accepted by a socket made here.
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
            // SAFETY: the kernel has no pointer before the call, and the call does not move it.
            let data = unsafe { &mut *data };
            let Data::Accept {
                accepted,
                addresses,
            } = data
            else {
                unreachable!("an accept has a socket")
            };
            let into = addresses.as_mut_ptr();
            // SAFETY: the operation owns all three and stays untouched.
            unsafe { calls::accept(fd, accepted, into, block) }
        }))
    }

    /// Waits for readiness.
    pub(super) fn poll(fd: &Rc<OsSocket>, socket: Socket, kind: OpKind, skips: bool) -> Started {
        let data = Data::Poll(Poll::of(fd, kind == OpKind::WriteReady));
        Self::new(fd, socket, kind, data).start(skips, |fd, data, block| {
            // SAFETY: the kernel has no pointer before the call, and the call does not move it.
            let Data::Poll(poll) = (unsafe { &mut *data }) else {
                unreachable!("a poll has its question")
            };
            let poll = &raw mut *poll;
            // SAFETY: the operation owns both and stays untouched.
            unsafe { calls::poll(fd, poll, block) }
        })
    }

    /// Waits for bytes or the end, without a buffer.
    pub(super) fn probe(fd: &Rc<OsSocket>, socket: Socket, skips: bool) -> Started {
        let operation = Self::new(fd, socket, OpKind::Recv, Data::Nothing);
        operation.start(skips, |fd, _, block| {
            // SAFETY: the operation owns the block and stays untouched.
            unsafe { calls::probe(fd, block) }
        })
    }

    /// Connects; binds a socket without an address first, as `ConnectEx` requires.
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
            // SAFETY: the operation owns the block and stays untouched.
            unsafe { calls::connect(fd, to, block) }
        }))
    }
}

impl Flying {
    /// Requests the call's end; the completion still comes.
    pub(super) fn cancel(self, fd: &OsSocket) {
        calls::cancel(fd, self.0.as_ptr().cast());
    }

    /// Bytes of the chain sent before this call began.
    pub(super) fn sent_before(self) -> usize {
        // SAFETY: the kernel writes to the block and reads the buffers, but does not touch the
        // count; no reference to the operation exists.
        let data = unsafe { &raw const (*self.0.as_ptr()).data };
        // SAFETY: as above.
        match unsafe { &*data } {
            Data::Send(sending) => sending.sent,
            _ => 0,
        }
    }

    /// The operation of a completion, with its bytes and its error.
    ///
    /// # Safety
    /// `block` came out of the port, which returns each operation's block once.
    pub(super) unsafe fn land(block: *mut OVERLAPPED) -> (Box<Operation>, usize, io::Result<()>) {
        // SAFETY: the address of a box that was passed to the kernel, which is done with the box.
        let operation = unsafe { Box::from_raw(block.cast::<Operation>()) };
        // SAFETY: the call has completed.
        let (bytes, result) = unsafe { calls::result(&operation.fd, &raw const operation.block) };
        (operation, bytes, result)
    }
}

/// The accepted connection; `None` when the peer closed before the accept.
pub(super) fn take_accepted(operation: Operation) -> Option<Event> {
    let Data::Accept {
        accepted,
        addresses,
    } = operation.data
    else {
        unreachable!("an accept has a socket")
    };
    match calls::accepted(&operation.fd, &accepted, &addresses) {
        Ok(peer) => Some(Event::Accepted(Ok((accepted, peer.into())))),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => None,
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => None,
        Err(e) => Some(Event::Accepted(Err(e))),
    }
}

/// Ends an operation of a closed socket. An accepted connection is reset, as in the backlog of a
/// closed listener.
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
