//! Connections.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use super::options::SocketOptions;
use crate::buf::Chain;
use crate::runtime::{Close, Handle, LaneSocket, Moved, Sent};
use crate::sys::{self, OsSocket};

/// A TCP connection of one lane, owned by one task. Dropping it resets the connection; see
/// [`Stream::close`].
#[derive(Debug)]
pub struct Stream(LaneSocket);

/// Connects, from the address `source` if one is given; dropping the future gives up.
///
/// # Errors
/// Refused, unreachable, timed out by the kernel; or what [`is_local`] tells from those.
pub async fn connect(
    lane: &Handle,
    to: SocketAddr,
    source: Option<IpAddr>,
    options: &SocketOptions,
) -> io::Result<Stream> {
    let socket = sys::stream_socket(to, lane.connects_nonblocking())?;
    options.apply(socket.as_fd(), false)?;
    if let Some(source) = source {
        sys::bind_source(socket.as_fd(), source)?;
    }
    let stream = Stream::of(lane, socket);
    stream.0.connect(to).await?;
    if stream.0.with_descriptor(sys::is_connected_to_itself) {
        // A dial to a dead port of the ephemeral range can meet itself (simultaneous open,
        // RFC 9293 §3.5): nobody listens there.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Whether a connect failed for something that this machine lacks: descriptors, local ports,
/// memory. Says nothing of the other end.
#[must_use]
pub fn is_local(error: &io::Error) -> bool {
    is_out_of_ports(error) || sys::is_out_of_resources(error)
}

/// Whether a connect found no free local port for its source and destination.
#[must_use]
pub fn is_out_of_ports(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

impl Stream {
    /// Takes a socket over.
    pub(super) fn of(lane: &Handle, socket: OsSocket) -> Self {
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

    /// [`Stream::recv`] as a poll.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chain>> {
        self.0.poll_recv(context)
    }

    /// Starts to send all of a chain. `None`: [`Stream::poll_sent`] will say how it went.
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub fn start_send(&self, chain: Chain) -> Option<Sent> {
        self.0.start_send(chain)
    }

    /// Waits for the end of the send in flight.
    pub fn poll_sent(&self, context: &mut Context<'_>) -> Poll<Sent> {
        self.0.poll_sent(context)
    }

    /// Ends the receive stream, to be read by hand instead: gives what it still brings, then `None`
    /// when nothing of it is left, or an empty chain for the peer's FIN.
    pub fn poll_recv_last(&self, context: &mut Context<'_>) -> Poll<io::Result<Option<Chain>>> {
        self.0.poll_recv_last(context)
    }

    /// Waits until a read would not block. Not while the receive stream runs.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_readable(context)
    }

    /// Moves bytes from this connection's kernel to `sink`'s; see [`LaneSocket::move_to`].
    #[must_use]
    pub fn move_to(&self, sink: &Self, min: usize, max: usize) -> Option<Moved> {
        self.0.move_to(&sink.0, min, max)
    }

    /// Makes reads and writes by hand never wait.
    ///
    /// # Errors
    /// What `fcntl(2)` says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking()
    }

    /// Ends when the connection has failed; what arrives queues up.
    pub async fn failed(&self) {
        poll_fn(|context| self.0.poll_failed(context)).await;
    }

    /// Bytes sent that the peer has not acknowledged (`SIOCOUTQ`, tcp(7)); 0 when the connection is
    /// gone.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.0.with_descriptor(sys::unacknowledged).unwrap_or(0)
    }

    /// Bytes that the peer has acknowledged so far (`TCP_INFO`, Linux 4.1); 0 when unknown.
    #[must_use]
    pub fn acknowledged_total(&self) -> u64 {
        self.0.with_descriptor(sys::acknowledged_total).unwrap_or(0)
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
