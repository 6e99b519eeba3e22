//! Facts of the operating system: sockets, memory, clock, affinity, limits.
//!
//! Thin, safe wrappers over system calls, each answering with `io::Result`. Nothing here keeps
//! state, logs, or decides. The one folder, with `poller/mod.rs`, that may ask which platform it
//! runs on.

mod clock;
#[cfg(target_os = "linux")]
mod linux;
mod sync;
#[cfg(unix)]
mod unix;

pub use clock::{Time, now};
#[cfg(target_os = "linux")]
pub(crate) use linux::EventFd;
#[cfg(target_os = "linux")]
pub use linux::{cpus, io_uring_disabled, pin_to};
pub(crate) use sync::{AtomicPtr, AtomicU8, AtomicUsize, fence};
#[cfg(unix)]
pub(crate) use unix::{
    ConnectStart, Region, accept, connect, is_connected_to_itself, is_out_of_descriptors,
    is_readable, is_writable, local_address, recv, reset_on_close, send, send_at_once,
    shutdown_write, take_error,
};
#[cfg(unix)]
pub use unix::{OsSocket, file_limit, listen, peer_address, port_is_taken, stream_socket};
