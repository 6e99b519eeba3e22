//! Listeners: one per lane and address, sharing the port (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;

use super::options::SocketOptions;
use super::stream::Stream;
use crate::runtime::{Close, Handle, LaneSocket};
use crate::sys::{self, OsSocket};

/// A listening socket of one lane.
#[derive(Debug)]
pub struct Listener {
    socket: LaneSocket,
    address: SocketAddr,
}

impl Listener {
    /// Opens a listening socket, whose connections inherit `options`; [`Listener::attach`] hands
    /// it to a lane. Port 0 lets the system
    /// choose one: see [`Listener::address_of`].
    ///
    /// # Errors
    /// What `bind(2)` and `listen(2)` say.
    pub fn bind(
        address: SocketAddr,
        backlog: u32,
        options: &SocketOptions,
    ) -> io::Result<OsSocket> {
        let socket = sys::bind_shared(address)?;
        options.apply(sys::borrow(&socket), true)?;
        sys::listen(sys::borrow(&socket), backlog)?;
        Ok(socket)
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

    /// The next connection and its peer's address. Connections that are gone by then are skipped.
    ///
    /// # Errors
    /// Out of descriptors or memory; the connection stays in the backlog, and trying again at once
    /// is no use.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (socket, peer) = self.socket.accept().await?;
        Ok((Stream::of(self.socket.lane(), socket), peer))
    }

    /// A connection that is here or in the backlog now; `None` when there is none, or it cannot be
    /// taken.
    ///
    /// Before a listener closes: what its backlog holds then is reset by the kernel, though its
    /// clients have been told that they are connected.
    pub fn accept_waiting(&self) -> Option<(Stream, SocketAddr)> {
        let (socket, peer) = self
            .socket
            .take_accepted()
            .or_else(|| self.socket.with_descriptor(sys::accept).ok())?;
        Some((Stream::of(self.socket.lane(), socket), peer))
    }

    /// Stops listening.
    pub fn close(self) {
        self.socket.close(Close::Fin);
    }
}
