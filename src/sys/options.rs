//! Options of TCP sockets on every system, a function each; see tcp(7) and socket(7).

use std::io;
use std::time::Duration;

use socket2::SockRef;
#[cfg(not(target_os = "openbsd"))]
use socket2::TcpKeepalive;

use super::handle::SocketRef;

/// `TCP_NODELAY`.
pub(crate) fn set_nodelay(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_nodelay(true)
}

/// `SO_KEEPALIVE` with `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT`; whole seconds.
#[cfg(not(target_os = "openbsd"))]
pub(crate) fn set_keepalive(
    socket: SocketRef<'_>,
    idle: Duration,
    interval: Duration,
    count: u32,
) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(count);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)
}

/// `SO_KEEPALIVE`. OpenBSD configures the times for all sockets alike: `sysctl
/// net.inet.tcp.keepidle` and similar.
#[cfg(target_os = "openbsd")]
pub(crate) fn set_keepalive(
    socket: SocketRef<'_>,
    _idle: Duration,
    _interval: Duration,
    _count: u32,
) -> io::Result<()> {
    SockRef::from(&socket).set_keepalive(true)
}

/// `SO_SNDBUF`.
pub(crate) fn set_send_buffer(socket: SocketRef<'_>, bytes: usize) -> io::Result<()> {
    SockRef::from(&socket).set_send_buffer_size(bytes)
}

/// `SO_RCVBUF`; must precede listen or connect, because the handshake fixes the window scale.
pub(crate) fn set_receive_buffer(socket: SocketRef<'_>, bytes: usize) -> io::Result<()> {
    SockRef::from(&socket).set_recv_buffer_size(bytes)
}
