//! Connections.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use super::options::{SocketOptions, reset_if_killed};
use crate::buf::Chain;
use crate::runtime::{Close, Handle, LaneSocket, Sent, Spliced};
use crate::sys::{self, Bug, OsSocket, SocketRef, seeded};

/// A TCP connection of one lane, owned by one task. Dropping it resets the connection; see
/// [`Stream::close`].
///
/// The kernel tells of a reset once, to whichever call comes first; reads that come after look like
/// a FIN. The poller sees to that for what is sent and received; what a connect or a move was told
/// is remembered beside the socket.
#[derive(Debug)]
pub struct Stream {
    socket: LaneSocket,
}

/// Connects, from the address `source` if one is given; dropping the future gives up. A connection
/// that the other end has accepted and reset meanwhile is given as any other: receiving tells.
///
/// # Errors
/// Refused, unreachable, timed out by the kernel; or what [`is_local`] tells from those.
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

/// A socket that is to be connected, and has its options.
#[derive(Debug)]
pub struct Unconnected {
    socket: OsSocket,
    is_ipv4: bool,
}

impl Unconnected {
    /// A socket for an address of that family.
    ///
    /// # Errors
    /// Out of descriptors or memory, or an option that the system refuses.
    pub fn open(of: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = sys::stream_socket(of)?;
        options.apply(sys::borrow(&socket))?;
        reset_if_killed(sys::borrow(&socket))?;
        Ok(Self {
            socket,
            is_ipv4: of.is_ipv4(),
        })
    }

    /// Whether it can be connected to that address.
    #[must_use]
    pub fn fits(&self, to: SocketAddr) -> bool {
        self.is_ipv4 == to.is_ipv4()
    }

    /// See [`connect()`].
    ///
    /// # Errors
    /// As there.
    pub async fn connect(
        self,
        lane: &Handle,
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Stream> {
        let stream = self.attach(lane, source)?;
        let connected = stream.socket.connect(to).await;
        stream.made_to(to, connected)?;
        Ok(stream)
    }

    /// The same by fast open: if the other end has given this machine a cookie, the bytes that
    /// `first` gives go with the SYN (`TCP_FASTOPEN_CONNECT`, tcp(7)). Says whether they were sent;
    /// a try that fails may have delivered them all the same (RFC 7413 §2.1).
    ///
    /// # Errors
    /// See [`connect()`].
    pub async fn connect_with(
        self,
        lane: &Handle,
        to: SocketAddr,
        source: Option<IpAddr>,
        first: impl FnOnce() -> Chain,
    ) -> io::Result<(Stream, bool)> {
        let stream = self.attach(lane, source)?;
        stream.socket.with_descriptor(sys::set_fast_open_connect)?;
        let connected = stream.socket.connect(to).await;
        stream.made_to(to, connected)?;
        let waits = |socket: SocketRef<'_>| Ok(sys::is_connecting(socket));
        let is_sent = stream.socket.with_descriptor(waits)?;
        if is_sent {
            let connected = stream.socket.send_with_syn(first()).await;
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

/// Whether the error of a connect says that it had succeeded: a SYN that is not welcome is refused,
/// only a connection can be reset.
fn was_made_and_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset && !seeded(Bug::ResetTakenForRefusal)
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
    /// What a connect to `to` has come to, from what it says.
    fn made_to(&self, to: SocketAddr, connected: io::Result<()>) -> io::Result<()> {
        match connected {
            Ok(()) => {}
            // The connection was made, and the other end has reset it, all before anyone looked.
            // What the other end said first is to be read.
            Err(error) if was_made_and_reset(&error) => self.socket.set_failed(),
            // The same behind the other end's FIN (Linux, `tcp_reset`), which reads still see.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error),
        }
        let is_itself = |socket: SocketRef<'_>| {
            // Of the same port hardly ever, so that the other end is asked for as seldom.
            let suspect = sys::local_address(socket)?.port() == to.port();
            Ok(suspect && sys::is_connected_to_itself(socket))
        };
        if self.socket.with_descriptor(is_itself).unwrap_or(false) {
            // A dial to a dead port of the ephemeral range can meet itself (simultaneous open,
            // RFC 9293 §3.5): nobody listens there.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    }

    /// Takes a socket over.
    pub(super) fn of(lane: &Handle, socket: OsSocket) -> Self {
        Self {
            socket: LaneSocket::attach(lane, socket),
        }
    }

    /// The lane that it belongs to.
    #[must_use]
    pub fn lane(&self) -> &Handle {
        self.socket.lane()
    }

    /// Everything that has arrived, waiting if that is nothing; an empty chain is the peer's FIN.
    /// Only one task may wait, be it to receive or to send.
    ///
    /// # Errors
    /// `ConnectionReset` and its kin, once what came before it is taken.
    pub async fn recv(&self) -> io::Result<Chain> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Sends all of a chain and says how many bytes that was.
    ///
    /// # Errors
    /// `BrokenPipe`, `ConnectionReset` and their kin.
    pub async fn send(&self, chain: Chain) -> io::Result<usize> {
        self.socket.send(chain).await
    }

    /// [`Stream::recv`] as a poll.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chain>> {
        let received = ready!(self.socket.poll_recv(context));
        if matches!(&received, Ok(chain) if chain.is_empty()) && self.socket.has_failed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(received)
    }

    /// Whether bytes, or the peer's end, wait in the kernel though the owner waits for them; see
    /// [`LaneSocket::has_unseen_input`].
    #[must_use]
    pub fn has_unseen_input(&self) -> bool {
        self.socket.has_unseen_input()
    }

    /// Starts to send all of a chain. `None`: [`Stream::poll_sent`] will say how it went.
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub fn start_send(&self, chain: Chain) -> Option<Sent> {
        self.socket.start_send(chain)
    }

    /// Starts to send all of a chain lazily; see [`LaneSocket::start_send_lazily`].
    ///
    /// # Panics
    /// When another send is in flight.
    #[must_use]
    pub fn start_send_lazily(&self, chain: Chain) -> Option<Sent> {
        self.socket.start_send_lazily(chain)
    }

    /// Whether all that has arrived is taken and the receive stream goes on.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.socket.is_drained()
    }

    /// Waits for the end of the send in flight.
    pub fn poll_sent(&self, context: &mut Context<'_>) -> Poll<Sent> {
        self.socket.poll_sent(context)
    }

    /// How many bytes the kernel has taken of a send whose end nobody has been told of.
    #[must_use]
    pub fn sent_so_far(&self) -> usize {
        self.socket.sent_so_far()
    }

    /// Ends the receive stream, to be read by hand instead: gives what it still brings, then `None`
    /// when nothing of it is left, or an empty chain for the peer's FIN.
    pub fn poll_recv_last(&self, context: &mut Context<'_>) -> Poll<io::Result<Option<Chain>>> {
        let received = ready!(self.socket.poll_recv_last(context));
        if matches!(&received, Ok(Some(chain)) if chain.is_empty()) && self.socket.has_failed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(received)
    }

    /// Receives no more, and drops what was received: it holds no buffer from now on.
    pub fn discard_input(&self) {
        self.socket.discard_input();
    }

    /// Waits until a read would not block. Not while the receive stream runs.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_readable(context)
    }

    /// Moves bytes from this connection's kernel to `sink`'s; see [`LaneSocket::splice_to`].
    #[must_use]
    pub fn splice_to(&self, sink: &Self, max: usize) -> Option<Spliced> {
        let moved = self.socket.splice_to(&sink.socket, max);
        if moved.as_ref().is_some_and(|moved| moved.sink_failed) {
            sink.socket.set_failed();
        }
        moved
    }

    /// Bytes that the kernel would take now; `None` where it does not say.
    #[must_use]
    pub fn send_room(&self) -> Option<usize> {
        self.socket.send_room()
    }

    /// Starts to wait for room; see [`LaneSocket::start_wait_for_room`].
    #[must_use]
    pub fn start_wait_for_room(&self) -> Option<Sent> {
        self.socket.start_wait_for_room()
    }

    /// Ends when bytes have arrived, or the stream has ended; they queue up.
    pub async fn arrived(&self) {
        poll_fn(|context| self.socket.poll_arrived(context)).await;
    }

    /// A copy of the first bytes that have arrived, of a buffer at most; `None` without any, or
    /// without a free buffer.
    #[must_use]
    pub fn copy_arrived(&self) -> Option<Chain> {
        self.socket.copy_arrived()
    }

    /// Forgets so many of the first bytes that have arrived.
    pub fn skip_arrived(&self, bytes: usize) {
        self.socket.skip_arrived(bytes);
    }

    /// Ready when the connection has failed; what arrives queues up.
    pub fn poll_failed(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_failed(context)
    }

    /// Bytes sent that the peer has not acknowledged (`SIOCOUTQ`, tcp(7)); 0 when the connection is
    /// gone, for which the kernel's count stays as it was.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        let bytes = self.socket.with_descriptor(sys::unacknowledged);
        match bytes.unwrap_or(0) {
            0 => 0,
            _ if self.is_closed() => 0,
            bytes => bytes,
        }
    }

    fn is_closed(&self) -> bool {
        let is_closed = |socket: SocketRef<'_>| Ok(sys::is_closed(socket));
        self.socket.with_descriptor(is_closed).unwrap_or(false)
    }

    /// Bytes that the peer has acknowledged so far (`TCP_INFO`, Linux 4.1); 0 when unknown.
    #[must_use]
    pub fn acknowledged_total(&self) -> u64 {
        self.socket
            .with_descriptor(sys::acknowledged_total)
            .unwrap_or(0)
    }

    /// Sends a FIN behind all that was sent; receiving goes on.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown()
    }

    /// Closes the connection. With unread input the kernel makes a reset of a FIN.
    pub fn close(self, how: Close) {
        self.socket.close(how);
    }

    /// Says how the connection is closed when it is dropped; by reset, unless this says otherwise.
    pub fn close_by(&self, how: Close) {
        self.socket.close_by(how);
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.socket.with_descriptor(sys::peer_address)
    }
}
