//! The seam between a lane and the operating system: operations in, completions out.
//!
//! **The law:** every submitted op ends in exactly one final answer, cancelled or not. Until then
//! all memory that the kernel may touch belongs to the poller, so dropping or leaking a future
//! that waits for an op is always safe. The poller knows no future and no task.

/// Calls one method of the back end in use.
macro_rules! forward {
    ($inner:expr, $poller:ident => $call:expr) => {
        match $inner {
            #[cfg(target_os = "linux")]
            Inner::Uring($poller) => $call,
            #[cfg(target_os = "linux")]
            Inner::Epoll($poller) => $call,
            #[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
            Inner::Kqueue($poller) => $call,
            #[cfg(windows)]
            Inner::Iocp($poller) => $call,
        }
    };
}

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(test)]
#[cfg(not(feature = "sim"))] // the same pollers: once is enough for what takes long
mod conformance;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(windows)]
mod iocp;
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
mod kqueue;
mod op;
mod options;
#[cfg(any(test, feature = "sim"))]
mod pattern;
#[cfg(unix)]
mod readiness;
mod reading;
mod refusal;
#[cfg(test)]
pub(crate) mod require_io_uring;
#[cfg(any(test, feature = "sim"))]
pub mod script;
#[cfg(feature = "sim")]
mod sim;
mod slots;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(target_os = "linux")]
mod uring_buffers;
#[cfg(target_os = "linux")]
mod uring_close;
#[cfg(target_os = "linux")]
mod uring_ring;
#[cfg(target_os = "linux")]
mod uring_send;
#[cfg(target_os = "linux")]
mod uring_socket;
#[cfg_attr(not(target_os = "linux"), path = "no_uring.rs")]
mod uring_test;

use std::io;

#[cfg(all(target_os = "linux", not(feature = "sim")))]
use self::epoll::Epoll;
#[cfg(windows)]
use self::iocp::Iocp;
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
use self::kqueue::Kqueue;
pub use self::op::Close;
pub(crate) use self::op::{Completion, Event, Op, OpKind, RecvEnd, Socket, Submitted};
pub use self::options::{BackEnd, PollerOptions, Refusal};
pub(crate) use self::options::{Closing, Notifier, Wait};
#[cfg(unix)]
use self::readiness::Readiness;
#[cfg(feature = "sim")]
use self::sim::{Queue as Epoll, Ring};
#[cfg(target_os = "linux")]
use self::uring::Uring;
#[cfg(all(target_os = "linux", not(feature = "sim")))]
use self::uring_ring::Ring;
pub use self::uring_test::io_uring_refusal;
use crate::buf::Pool;
use crate::sys::{OsSocket, SocketRef};

/// A lane's poller. Dropping the poller resets its open sockets and returns all buffers.
#[derive(Debug)]
pub(crate) struct Poller {
    back_end: BackEnd,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    #[cfg(target_os = "linux")]
    Uring(Box<Uring>),
    #[cfg(target_os = "linux")]
    Epoll(Box<Readiness<Epoll>>),
    #[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
    Kqueue(Box<Readiness<Kqueue>>),
    #[cfg(windows)]
    Iocp(Box<Iocp>),
}

impl Poller {
    /// Opens a poller for the calling thread; no other thread may use the poller. Received bytes
    /// go into buffers of `pool`.
    ///
    /// # Errors
    /// Errors of the kernel; for io_uring see [`io_uring_refusal`].
    pub(crate) fn open(back_end: BackEnd, options: PollerOptions, pool: &Pool) -> io::Result<Self> {
        let inner = match back_end {
            #[cfg(target_os = "linux")]
            BackEnd::IoUring => Inner::Uring(Box::new(Uring::open(options, pool.clone())?)),
            #[cfg(target_os = "linux")]
            BackEnd::Epoll => Inner::Epoll(Readiness::over(Epoll::open()?, options, pool)),
            #[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
            BackEnd::Kqueue => Inner::Kqueue(Readiness::over(Kqueue::open()?, options, pool)),
            #[cfg(windows)]
            BackEnd::Iocp => Inner::Iocp(Box::new(Iocp::open(options, pool.clone())?)),
            _ => return Err(io::ErrorKind::Unsupported.into()), // see `BackEnd::refusal`
        };
        Ok(Self { back_end, inner })
    }

    /// The back end in use.
    pub(crate) fn back_end(&self) -> BackEnd {
        self.back_end
    }

    /// Takes over a non-blocking socket made or accepted by [`crate::sys`].
    pub(crate) fn attach(&mut self, socket: OsSocket) -> Socket {
        forward!(&mut self.inner, poller => poller.attach(socket))
    }

    /// An open socket's descriptor, to read or set options; panics when the socket was closed.
    pub(crate) fn descriptor(&self, socket: Socket) -> SocketRef<'_> {
        forward!(&self.inner, poller => poller.descriptor(socket))
    }

    /// Starts an op. The op ends in the returned answer or in exactly one final completion. Panics
    /// when the socket was closed or has an op of this kind in flight.
    pub(crate) fn submit(&mut self, socket: Socket, op: Op) -> Submitted {
        forward!(&mut self.inner, poller => poller.submit(socket, op))
    }

    /// Requests the end of an op; does nothing when no such op is in flight. The op stays in flight
    /// until its final completion, which may still be a success.
    pub(crate) fn cancel(&mut self, socket: Socket, kind: OpKind) {
        forward!(&mut self.inner, poller => poller.cancel(socket, kind));
    }

    /// Bytes of an open socket's send in flight that the kernel has taken; 0 without a send.
    pub(crate) fn sent_so_far(&mut self, socket: Socket) -> usize {
        forward!(&mut self.inner, poller => poller.sent_so_far(socket))
    }

    /// Closes a socket and cancels its ops; no completion follows for them. The descriptor is
    /// closed once the kernel uses none of the ops' memory. Panics when the socket was closed.
    pub(crate) fn close(&mut self, socket: Socket, how: Close) {
        forward!(&mut self.inner, poller => poller.close(socket, how));
    }

    /// Appends completions to `to` and waits if there are none. May rarely return without any.
    ///
    /// # Errors
    /// Only when the poller itself is broken.
    pub(crate) fn wait(&mut self, wait: Wait, to: &mut Vec<Completion>) -> io::Result<()> {
        forward!(&mut self.inner, poller => poller.wait(wait, to))
    }

    /// Appends completions of everything that had arrived before this call, without waiting and
    /// without budgets. Bytes for which no buffer is free stay in the kernel.
    pub(crate) fn look(&mut self, to: &mut Vec<Completion>) -> io::Result<()> {
        forward!(&mut self.inner, poller => poller.look(to))
    }

    /// A handle that ends this poller's wait from any thread.
    pub(crate) fn notifier(&self) -> Notifier {
        forward!(&self.inner, poller => poller.notifier())
    }

    /// Returns memory held ready beyond the present traffic.
    pub(crate) fn rest(&mut self) {
        forward!(&mut self.inner, poller => poller.rest());
    }

    /// Counts the closed sockets whose descriptors are still open.
    pub(crate) fn closing(&self) -> Closing {
        forward!(&self.inner, poller => poller.closing())
    }

    /// Counts the kernel's completions for closed sockets.
    #[cfg(all(test, not(feature = "sim")))]
    pub(crate) fn stale(&self) -> u64 {
        forward!(&self.inner, poller => poller.stale())
    }
}
