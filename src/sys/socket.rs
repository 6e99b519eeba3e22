//! Calls on sockets on every system, a function each.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::handle::SocketRef;

/// A new non-blocking TCP socket of the address's family, not inherited by child processes. Urgent
/// data stays in the stream.
pub(super) fn tcp_socket(of: SocketAddr) -> io::Result<Socket> {
    // Two system calls fewer, where a socket can be made so.
    #[cfg(not(any(target_vendor = "apple", windows)))]
    let kind = Type::STREAM.nonblocking();
    #[cfg(any(target_vendor = "apple", windows))]
    let kind = Type::STREAM;
    let socket = Socket::new(Domain::for_address(of), kind, Some(Protocol::TCP))?;
    #[cfg(any(target_vendor = "apple", windows))]
    socket.set_nonblocking(true)?;
    socket.set_out_of_band_inline(true)?;
    Ok(socket)
}

/// Binds a socket to an address. An IPv6 socket accepts IPv6 only.
pub(super) fn bind_to(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

/// Makes the socket's close a reset (`SO_LINGER` with zero, RFC 9293 §3.10.5). Accepted sockets
/// inherit the option.
pub(crate) fn reset_on_close(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))
}

/// Makes the socket's close a FIN after all sent bytes; the close does not wait.
pub(crate) fn fin_on_close(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_linger(None)
}

/// Makes the socket non-blocking. Only sockets that Windows accepts need this call.
#[cfg(windows)]
pub(crate) fn set_nonblocking(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_nonblocking(true)
}

/// Sends a FIN after all sent bytes (`shutdown(2)` of the write side).
pub(crate) fn shutdown_write(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).shutdown(Shutdown::Write)
}

/// The peer's address; not on Linux, where the sandbox permits no getpeername(2).
///
/// # Errors
/// `NotConnected` without a peer.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn peer_address(socket: SocketRef<'_>) -> io::Result<SocketAddr> {
    let address = SockRef::from(&socket).peer_addr()?;
    Ok(address.as_socket().ok_or(io::ErrorKind::Unsupported)?)
}

/// Where the socket is bound.
pub(crate) fn local_address(socket: SocketRef<'_>) -> io::Result<SocketAddr> {
    let address = SockRef::from(&socket).local_addr()?;
    Ok(address.as_socket().ok_or(io::ErrorKind::Unsupported)?)
}

/// Starts to listen (`listen(2)`); the system caps the backlog, Linux at `net.core.somaxconn`.
pub(crate) fn listen(socket: SocketRef<'_>, backlog: u32) -> io::Result<()> {
    SockRef::from(&socket).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Takes the pending error off a socket (`SO_ERROR`).
pub(crate) fn take_error(socket: SocketRef<'_>) -> io::Result<()> {
    SockRef::from(&socket).take_error()?.map_or(Ok(()), Err)
}
