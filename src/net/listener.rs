//! Listeners: one per lane and address, sharing the port (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;

use super::options::{SocketOptions, reset_if_killed};
use super::stream::Stream;
use crate::runtime::{Close, Handle, LaneSocket};
use crate::sys::{self, OsSocket};

/// A listening socket of one lane.
#[derive(Debug)]
pub struct Listener {
    socket: LaneSocket,
    address: SocketAddr,
}

/// A connection that no lane has yet. Dropping it resets the connection.
#[derive(Debug)]
pub struct Accepted {
    socket: Option<OsSocket>,
    peer: SocketAddr,
}

impl Accepted {
    /// The connection, on the lane that is to have it, and its peer's address.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn attach(mut self, lane: &Handle) -> (Stream, SocketAddr) {
        let socket = self.socket.take().expect("it is taken once");
        (Stream::of(lane, socket), self.peer)
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // A socket that cannot be reset any more is dead already.
            drop(sys::reset_on_close(sys::borrow(socket)));
        }
    }
}

impl From<(OsSocket, SocketAddr)> for Accepted {
    fn from((socket, peer): (OsSocket, SocketAddr)) -> Self {
        let socket = Some(socket);
        Self { socket, peer }
    }
}

impl Listener {
    /// Opens a socket that has the address, and whose connections inherit `options`. Port 0 lets
    /// the system choose one: see [`Listener::address_of`]. Nothing listens before
    /// [`Listener::listen`]; [`Listener::attach`] hands the socket to a lane.
    ///
    /// # Errors
    /// What `bind(2)` says.
    pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<OsSocket> {
        let socket = sys::bind_shared(address)?;
        options.apply_to_listener(sys::borrow(&socket))?;
        reset_if_killed(sys::borrow(&socket))?;
        Ok(socket)
    }

    /// Has the system take connections, of which so many may wait for an accept.
    ///
    /// # Errors
    /// What `listen(2)` says.
    pub fn listen(socket: &OsSocket, backlog: u32) -> io::Result<()> {
        sys::listen(sys::borrow(socket), backlog)
    }

    /// The address that a socket is bound to.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn address_of(socket: &OsSocket) -> io::Result<SocketAddr> {
        sys::local_address(sys::borrow(socket))
    }

    /// Takes a listening socket over.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn attach(lane: &Handle, socket: OsSocket) -> io::Result<Self> {
        let address = Self::address_of(&socket)?;
        Ok(Self {
            socket: LaneSocket::attach(lane, socket),
            address,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. Connections that are gone by then are skipped.
    ///
    /// # Errors
    /// Out of descriptors or memory; the connection stays in the backlog, and trying again at once
    /// is no use.
    pub async fn accept(&self) -> io::Result<Accepted> {
        self.socket.accept().await.map(Accepted::from)
    }

    /// A connection that is here or in the backlog now.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; else as [`Listener::accept`], and that also when there is
    /// none: the system looks for a descriptor first. [`Listener::has_client`] tells.
    pub fn accept_now(&self) -> io::Result<Accepted> {
        let taken = self.socket.take_accepted().map(Ok);
        let accepted = taken.unwrap_or_else(|| self.socket.with_descriptor(sys::accept));
        accepted.map(Accepted::from)
    }

    /// Whether a connection is here or in the backlog now.
    #[must_use]
    pub fn has_client(&self) -> bool {
        self.socket.has_connection()
    }

    /// Has the system answer no new connection: its client tries again a second later, and finds
    /// nobody, or a successor. Handshakes under way end, and the backlog stays: the kernel resets
    /// the connections in the backlog when the listener closes, though their clients are connected.
    ///
    /// # Errors
    /// That the system cannot; then those that come before the close are reset by it.
    pub fn turn_away(&self) -> io::Result<()> {
        self.socket.with_descriptor(sys::turn_away)
    }

    /// What helps against an accept that failed for this reason.
    #[must_use]
    pub fn remedy(error: &io::Error) -> &'static str {
        sys::shortage_remedy(error)
    }

    /// Stops listening.
    pub fn close(self) {
        self.socket.close(Close::Fin);
    }
}
