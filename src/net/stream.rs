//! Connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use crate::buf::Chain;
use crate::runtime::{Close, Handle, LaneSocket};
use crate::sys::{self, OsSocket};

/// A TCP connection of one lane, owned by one task. Dropping it resets the connection; see
/// [`Stream::close`].
#[derive(Debug)]
pub struct Stream(LaneSocket);

/// Connects from `lane`; dropping the future gives up.
///
/// # Errors
/// Refused, unreachable, timed out by the kernel; or out of descriptors, ports or memory.
pub async fn connect(lane: &Handle, to: SocketAddr) -> io::Result<Stream> {
    let socket = sys::stream_socket(to, lane.connects_nonblocking())?;
    let stream = Stream::of(lane, socket);
    stream.0.connect(to).await?;
    if stream.0.with_descriptor(sys::is_connected_to_itself) {
        // A dial to a dead port of the ephemeral range can meet itself (simultaneous open,
        // RFC 9293 §3.5): nobody listens there.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

impl Stream {
    /// Takes a connected socket over, and sends small messages at once (`TCP_NODELAY`): whoever
    /// sends through a server has gathered what belongs together.
    pub(super) fn of(lane: &Handle, socket: OsSocket) -> Self {
        // Fails only on a connection that is dead, and then whatever comes next says so.
        drop(sys::send_at_once(socket.as_fd()));
        Self(LaneSocket::attach(lane, socket))
    }

    /// The lane that it belongs to.
    #[must_use]
    pub fn lane(&self) -> &Handle {
        self.0.lane()
    }

    /// Everything that has arrived, waiting if that is nothing; an empty chain is the peer's FIN.
    /// For one direction at a time only one task may wait.
    ///
    /// # Errors
    /// `ConnectionReset` and its kin, once what came before it is taken.
    pub async fn recv(&self) -> io::Result<Chain> {
        self.0.recv().await
    }

    /// Sends all of a chain and says how many bytes that was.
    ///
    /// # Errors
    /// `BrokenPipe`, `ConnectionReset` and their kin.
    pub async fn send(&self, chain: Chain) -> io::Result<usize> {
        self.0.send(chain).await
    }

    /// Sends a FIN behind all that was sent; receiving goes on.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn shutdown(&self) -> io::Result<()> {
        self.0.shutdown()
    }

    /// Closes the connection. With unread input the kernel makes a reset of a FIN.
    pub fn close(self, how: Close) {
        self.0.close(how);
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.0.with_descriptor(sys::peer_address)
    }
}
