//! Connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use super::options::{SocketOptions, reset_if_killed};
use crate::buf::Chain;
use crate::runtime::{Close, Handle, LaneSocket, TcpInfo};
use crate::sys::{self, Bug, OsSocket, SocketRef, seeded};

/// A TCP connection of one lane, owned by one task: a [`LaneSocket`] with the methods of a
/// connection. A drop resets the connection; see [`Stream::close`].
#[derive(Debug)]
pub struct Stream {
    socket: LaneSocket,
}

impl Deref for Stream {
    type Target = LaneSocket;

    fn deref(&self) -> &LaneSocket {
        &self.socket
    }
}

/// Connects, from the address `source` if given; a dropped future gives up. A connection that the
/// peer has accepted and reset meanwhile counts as connected: a receive reports the reset.
///
/// # Errors
/// Refused, unreachable, timed out by the kernel; or an error of this machine, e.g. no free port.
pub async fn connect(
    lane: &Handle,
    to: SocketAddr,
    source: Option<IpAddr>,
    options: &SocketOptions,
) -> io::Result<Stream> {
    Unconnected::open(to, options)?
        .connect(lane, to, source)
        .await
}

/// A socket with its options, not connected.
#[derive(Debug)]
pub(crate) struct Unconnected {
    socket: OsSocket,
    is_ipv4: bool,
}

impl Unconnected {
    /// A socket for an address of this family.
    ///
    /// # Errors
    /// Out of descriptors or memory, or an option unknown to the system.
    pub(crate) fn open(of: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = sys::stream_socket(of)?;
        options.apply(sys::borrow(&socket))?;
        reset_if_killed(sys::borrow(&socket))?;
        Ok(Self {
            socket,
            is_ipv4: of.is_ipv4(),
        })
    }

    /// Whether the socket has the address's family.
    #[must_use]
    pub(crate) fn fits(&self, to: SocketAddr) -> bool {
        self.is_ipv4 == to.is_ipv4()
    }

    /// See [`connect()`].
    ///
    /// # Errors
    /// Those of [`connect()`].
    pub(crate) async fn connect(
        self,
        lane: &Handle,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Stream> {
        let stream = self.attach(lane, source)?;
        let connected = stream.connect(to).await;
        stream.made_to(to, connected)?;
        Ok(stream)
    }

    /// The same by fast open: if this machine has a cookie of the peer, the bytes of `first` travel
    /// with the SYN (`TCP_FASTOPEN_CONNECT`, tcp(7)). Returns whether the bytes were sent; a failed
    /// try may have delivered them nevertheless (RFC 7413 §2.1).
    ///
    /// # Errors
    /// See [`connect()`].
    pub(crate) async fn connect_with(
        self,
        lane: &Handle,
        to: SocketAddr,
        source: Option<IpAddr>,
        first: impl FnOnce() -> Chain,
    ) -> io::Result<(Stream, bool)> {
        let stream = self.attach(lane, source)?;
        stream.with_descriptor(sys::set_fast_open_connect)?;
        let connected = stream.connect(to).await;
        stream.made_to(to, connected)?;
        let waits = |socket: SocketRef<'_>| Ok(sys::is_connecting(socket));
        let is_sent = stream.with_descriptor(waits)?;
        if is_sent {
            let connected = stream.send_with_syn(first()).await;
            stream.made_to(to, connected)?;
        }
        Ok((stream, is_sent))
    }

    fn attach(self, lane: &Handle, source: Option<IpAddr>) -> io::Result<Stream> {
        if let Some(source) = source {
            sys::bind_source(sys::borrow(&self.socket), source)?;
        }
        Ok(Stream::of(lane, self.socket))
    }
}

/// A socket for an address of this family, with its options, bound to the address `source` if
/// given. Its close sends a FIN: no session's end, which a FIN could forge, depends on it.
///
/// # Errors
/// Out of descriptors or memory, or an option unknown to the system.
pub(crate) fn socket_closed_by_fin(
    of: SocketAddr,
    source: Option<IpAddr>,
    options: &SocketOptions,
) -> io::Result<OsSocket> {
    let socket = sys::stream_socket(of)?;
    options.apply(sys::borrow(&socket))?;
    if let Some(source) = source {
        sys::bind_source(sys::borrow(&socket), source)?;
    }
    Ok(socket)
}

/// Whether the error of a connect proves a connection: an unwelcome SYN is refused, only a
/// connection can be reset.
fn was_made_and_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset && !seeded(Bug::ResetTakenForRefusal)
}

/// Whether a connect failed for lack of a local resource: descriptors, local ports, memory.
/// Independent of the peer.
#[must_use]
pub(crate) fn is_local(error: &io::Error) -> bool {
    is_out_of_ports(error) || sys::is_out_of_resources(error)
}

/// Whether a connect found no free local port for its source and destination.
#[must_use]
pub fn is_out_of_ports(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

impl Stream {
    /// Judges the result of a connect to `to`.
    fn made_to(&self, to: SocketAddr, connected: io::Result<()>) -> io::Result<()> {
        match connected {
            Ok(()) => {}
            // The peer accepted the connection and then reset it. Input from before the reset is
            // readable.
            Err(error) if was_made_and_reset(&error) => {}
            // The same behind the peer's FIN (Linux, `tcp_reset`); reads still see the FIN.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
        let is_itself = |socket: SocketRef<'_>| {
            let from = sys::local_address(socket)?;
            Ok((from.ip(), from.port()) == (to.ip(), to.port()))
        };
        if self.with_descriptor(is_itself).unwrap_or(false) {
            // A connect to a dead port of the ephemeral range can meet itself (simultaneous open,
            // RFC 9293 §3.5): no listener has that port.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    }

    /// Attaches a socket to the lane.
    pub(super) fn of(lane: &Handle, socket: OsSocket) -> Self {
        Self {
            socket: LaneSocket::attach(lane, socket),
        }
    }

    /// Sent bytes without the peer's acknowledgement (`SIOCOUTQ`, tcp(7)); 0 for a closed
    /// connection, whose count in the kernel is stale.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        let bytes = self.with_descriptor(sys::unacknowledged);
        match bytes.unwrap_or(0) {
            0 => 0,
            _ if self.is_closed() => 0,
            bytes => bytes,
        }
    }

    fn is_closed(&self) -> bool {
        let is_closed = |socket: SocketRef<'_>| Ok(sys::is_closed(socket));
        self.with_descriptor(is_closed).unwrap_or(false)
    }

    /// Bytes acknowledged by the peer so far (`TCP_INFO`, Linux 4.1); 0 when unknown.
    #[must_use]
    pub fn acknowledged_total(&self) -> u64 {
        self.socket
            .with_descriptor(sys::acknowledged_total)
            .unwrap_or(0)
    }

    /// The connection as the kernel sees it; `None` where the system does not say.
    pub(crate) fn tcp_info(&self) -> Option<TcpInfo> {
        let info = self
            .socket
            .with_descriptor(|socket| Ok(sys::tcp_info(socket)));
        info.ok().flatten()
    }

    /// Closes the connection. With unread input the kernel sends a reset in place of a FIN.
    pub fn close(self, how: Close) {
        self.socket.close(how);
    }
}
