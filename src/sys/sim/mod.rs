//! The simulated kernel: sockets, TCP, descriptors, io_uring, event queues, pipes and a clock, in a
//! single thread, where a seed decides every order and every fault.
//!
//! Built into `corelane-sim` only (`feature = "sim"`). `calls` replaces the real system calls
//! there. A descriptor's number tells the kernel, so the same build runs on both kernels, and tests
//! compare the simulated kernel with the real kernel.

mod calls;
mod cancel;
mod descriptor;
mod enter;
mod fault;
mod files;
mod handshake;
mod kernel;
mod network;
mod outside;
mod poll;
mod polling;
mod ring;
mod socket;
mod trace;

use std::cell::RefCell;

pub(crate) use self::calls::{
    EventFd, Pipe, accept, acknowledged_total, bind_shared, bind_source, borrow, connect,
    fin_on_close, is_closed, is_connecting, is_nonblocking, is_readable, is_writable, listen,
    local_address, port_is_taken, prefer_listeners_from, recv, reset_on_close, send, send_room,
    set_congestion, set_fast_open, set_fast_open_connect, set_keepalive, set_largest_segment,
    set_nodelay, set_notsent_lowat, set_receive_buffer, set_send_buffer, set_user_timeout,
    shutdown_write, stop_listening, take_error, trim_heap, turn_away, unacknowledged, unread,
};
pub use self::calls::{OsSocket, RealSocket, now, stream_socket};
pub use self::fault::{Fault, Faults, Mark, Marks, Random};
pub(crate) use self::kernel::{Closed, Kernel, Limits, MICRO, MILLI, SECOND};
pub(crate) use self::outside::Got;
pub(crate) use self::polling::{Edge, Sleep};
pub(crate) use self::ring::{Ask, Buffers, Entry, Memory};
pub(crate) use self::socket::SockRef;

thread_local! {
    /// The kernel of this thread's world.
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// Installs `kernel` on this thread.
pub(crate) fn install(kernel: Kernel) {
    KERNEL.set(Some(kernel));
}

/// Removes this thread's kernel: from now on system calls go to the real kernel.
pub(crate) fn uninstall() -> Option<Kernel> {
    KERNEL.take()
}

/// Whether this thread is in a simulated world.
pub(crate) fn is_installed() -> bool {
    KERNEL.with_borrow(Option::is_some)
}

/// Runs `f` on this thread's kernel.
///
/// # Panics
/// When there is none.
pub(crate) fn with<T>(f: impl FnOnce(&mut Kernel) -> T) -> T {
    KERNEL.with_borrow_mut(|kernel| f(kernel.as_mut().expect("a world runs on this thread")))
}
