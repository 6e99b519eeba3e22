//! Facts of the operating system: sockets, memory, clock, affinity, limits.
//!
//! Thin, safe wrappers over system calls, each answering with `io::Result`. Nothing here keeps
//! state, logs, or decides. The one folder, with `poller/mod.rs`, that may ask which platform it
//! runs on.

mod clock;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod options;
mod sync;
#[cfg(unix)]
mod unix;

pub use clock::{Time, now};
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    EventFd, Pipe, ThreadProgress, acknowledged_total, is_closed, is_without_splice, send_room,
    set_fast_open, set_fast_open_connect, thread_id, thread_progress, unacknowledged, unread,
};
#[cfg(target_os = "linux")]
pub use linux::{cpus, io_uring_disabled, pin_to};
#[cfg(unix)]
pub(crate) use options::{
    set_congestion, set_keepalive, set_nodelay, set_notsent_lowat, set_receive_buffer,
    set_send_buffer, set_user_timeout,
};
pub(crate) use sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, fence};
#[cfg(unix)]
pub(crate) use unix::{
    ConnectStart, Region, accept, bind_shared, bind_source, borrow, connect,
    is_connected_to_itself, is_out_of_resources, is_readable, is_writable, listen, local_address,
    recv, reset_on_close, send, set_nonblocking, shutdown_write, take_error,
};
#[cfg(unix)]
pub use unix::{OsSocket, SocketRef, file_limit, peer_address, port_is_taken, stream_socket};
