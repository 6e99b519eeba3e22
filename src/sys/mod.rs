//! The operating system: sockets, memory, clock, affinity, limits, as thin, safe wrappers over
//! system calls without state, logs or decisions; each returns an `io::Result`. Besides
//! `poller/mod.rs`, only this folder contains `cfg` of a platform.

#[cfg(unix)]
mod account;
#[cfg(all(unix, not(target_os = "linux")))]
mod bsd;
#[cfg_attr(
    feature = "sim",
    expect(unreachable_pub, reason = "behind the simulated one")
)]
mod clock;
mod error_code;
mod handle;
mod here;
#[cfg(unix)]
mod inherited;
#[cfg(target_os = "linux")]
mod journal;
#[cfg_attr(not(target_os = "linux"), path = "kernel_counts_absent.rs")]
pub(crate) mod kernel_counts;
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
mod kevent;
#[cfg(kqueue_emulated)]
mod kevent_emulated;
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
mod kqueue;
#[cfg(kqueue_emulated)]
mod kqueue_emulated;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod listener_filter;
#[cfg(target_os = "linux")]
mod listening;
pub(crate) mod local;
mod memory;
#[cfg(target_os = "linux")]
mod memory_linux;
#[cfg(not(target_os = "linux"))]
mod not_linux;
#[cfg(target_os = "linux")]
mod notify;
mod options;
#[cfg_attr(not(target_os = "linux"), path = "passed_absent.rs")]
pub(crate) mod passed;
mod peer_address;
mod platform;
pub(crate) mod program;
pub(crate) mod sandbox;
pub(crate) mod secret_file;
mod seeded_bugs;
#[cfg(unix)]
mod signals;
#[cfg(feature = "sim")]
pub mod sim;
mod socket;
#[cfg_attr(not(unix), path = "socket_file_absent.rs")]
pub(crate) mod socket_file;
#[cfg(unix)]
mod stderr;
mod sync;
#[cfg(unix)]
mod system_call;
mod tcp_info;
#[cfg(target_os = "linux")]
mod thread_call;
mod thread_stack;
#[cfg(unix)]
#[cfg_attr(
    feature = "sim",
    expect(dead_code, reason = "behind the simulated one")
)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
mod windows_process;

#[cfg(unix)]
pub(crate) use account::{
    Account, NoAccount, is_file_at, is_symbolic_link, new_file, open_to_append,
};
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use bsd::{cpus, is_closed, pin_to, send_room, set_congestion, unacknowledged};
pub use clock::Time;
#[cfg(not(feature = "sim"))]
pub use clock::now;
pub use error_code::ErrorCode;
#[cfg(not(feature = "sim"))]
pub(crate) use handle::OsSocket;
pub(crate) use handle::SocketRef;
pub(crate) use here::{
    OwnAddresses, backlog_max, congestion_controls, granted_buffers, has_interface, has_ipv6,
    listeners_open_fast, ports_for_connections, way,
};
#[cfg(unix)]
pub(crate) use inherited::{file_size_limit, keep_descriptors, niceness, oom_score_adjustment};
#[cfg(target_os = "linux")]
pub(crate) use journal::JournalSocket;
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
pub(crate) use kevent::{Event as KEvent, Filter};
#[cfg(any(kqueue_emulated, all(unix, not(target_os = "linux"))))]
pub(crate) use kqueue::Kqueue;
#[cfg(all(target_os = "linux", not(feature = "sim")))]
pub(crate) use linux::{
    EventFd, Pipe, acknowledged_total, is_closed, is_connecting, prefer_listeners_from, send_room,
    set_congestion, set_fast_open, set_fast_open_connect, set_largest_segment, set_notsent_lowat,
    set_user_timeout, stop_listening, trim_heap, turn_away, unacknowledged,
};
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    ThreadProgress, TimerFd, cpus, io_uring_disabled, is_without_splice, monotonic_micros, pin_to,
    set_freebind, thread_call, thread_id, thread_progress, timespec,
};
#[cfg(target_os = "linux")]
pub(crate) use listening::{holder_of, is_listened_on, is_unix_listened_on};
pub(crate) use memory::{ByteLimit, MemoryLimits};
#[cfg(target_os = "linux")]
pub(crate) use memory_linux::{limit_arenas, memory_limits};
#[cfg(not(target_os = "linux"))]
pub(crate) use not_linux::{
    JournalSocket, NotifySocket, Pipe, ThreadProgress, acknowledged_total, holder_of,
    is_connecting, is_listened_on, is_unix_listened_on, is_without_splice, limit_arenas,
    memory_limits, monotonic_micros, prefer_listeners_from, set_fast_open, set_fast_open_connect,
    set_freebind, set_largest_segment, set_notsent_lowat, set_user_timeout, stop_listening,
    thread_call, thread_id, thread_progress, trim_heap, turn_away,
};
#[cfg(target_os = "linux")]
pub(crate) use notify::NotifySocket;
#[cfg(not(feature = "sim"))]
pub(crate) use options::{set_keepalive, set_nodelay, set_receive_buffer, set_send_buffer};
pub use peer_address::PeerAddress;
pub(crate) use platform::{CLOSES_BY_FIN, EPOLL, KQUEUE};
pub(crate) use seeded_bugs::{Bug, seeded};
#[cfg(unix)]
pub(crate) use signals::{ParentSignals, Request, requests, take_signals};
#[cfg(feature = "sim")]
pub use sim::now;
#[cfg(feature = "sim")]
pub(crate) use sim::{
    EventFd, OsSocket, Pipe, accept, acknowledged_total, bind_shared, bind_source, borrow, connect,
    fin_on_close, is_closed, is_connecting, is_nonblocking, is_readable, is_writable, listen,
    local_address, port_is_taken, prefer_listeners_from, recv, reset_on_close, send, send_room,
    set_congestion, set_fast_open, set_fast_open_connect, set_keepalive, set_largest_segment,
    set_nodelay, set_notsent_lowat, set_receive_buffer, set_send_buffer, set_user_timeout,
    shutdown_write, stop_listening, stream_socket, take_error, trim_heap, turn_away,
    unacknowledged, unread,
};
#[cfg(all(unix, not(feature = "sim")))]
pub(crate) use socket::fin_on_close;
#[cfg(windows)]
pub(crate) use socket::set_nonblocking;
#[cfg(not(feature = "sim"))]
pub(crate) use socket::{listen, local_address, reset_on_close, shutdown_write, take_error};
#[cfg(unix)]
pub(crate) use stderr::{await_room, await_stderr, write_to_stderr};
pub(crate) use sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence};
pub(crate) use tcp_info::{TcpInfo, tcp_info};
pub(crate) use thread_stack::{StackReader, stack_end};
#[cfg(unix)]
pub use unix::file_limit;
#[cfg(all(test, unix, not(feature = "sim")))]
pub(crate) use unix::is_inherited;
#[cfg(all(unix, not(feature = "sim")))]
pub(crate) use unix::stream_socket;
#[cfg(unix)]
pub(crate) use unix::{
    ConnectStart, Region, SPREADS_LISTENERS, is_out_of_resources, shortage_remedy,
};
#[cfg(all(unix, not(feature = "sim")))]
pub(crate) use unix::{
    accept, bind_shared, bind_source, borrow, connect, is_nonblocking, is_readable, is_writable,
    port_is_taken, recv, send,
};
#[cfg(windows)]
pub use windows::file_limit;
#[cfg(windows)]
pub(crate) use windows::{
    Region, SPREADS_LISTENERS, accept, bind_shared, bind_source, borrow, cpus, is_closed,
    is_out_of_resources, is_readable, is_writable, pin_to, port_is_taken, recv, send, send_room,
    set_congestion, shortage_remedy, stream_socket, unacknowledged,
};
#[cfg(all(test, windows))]
pub(crate) use windows::{connect, is_inherited};
#[cfg(windows)]
pub(crate) use windows_process::{
    Account, NoAccount, ParentSignals, Request, await_room, await_stderr, file_size_limit,
    is_file_at, is_symbolic_link, keep_descriptors, new_file, niceness, oom_score_adjustment,
    open_to_append, requests, take_signals, write_to_stderr,
};

/// For the scripts, which run on a real kernel.
#[cfg(all(test, unix, not(target_os = "linux")))]
pub(crate) use bsd::unread;
#[cfg(all(test, target_os = "linux", not(feature = "sim")))]
pub(crate) use linux::unread;
#[cfg(all(test, windows))]
pub(crate) use windows::unread;
