//! Listeners: one per lane and address, sharing the port (`SO_REUSEPORT`).

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use super::options::{SocketOptions, reset_if_killed};
use super::stream::Stream;
use crate::runtime::{Close, Handle, LaneSocket};
use crate::sys::{self, OsSocket, PeerAddress, socket_file};

/// A listening socket of one lane.
#[derive(Debug)]
pub struct Listener {
    socket: LaneSocket,
    kind: ListenerKind,
    /// Whether the system refuses further connections.
    is_sealed: Cell<bool>,
}

/// The kind of a listening socket decides about the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Of TCP.
    Tcp,
    /// A unix socket.
    Unix,
    /// A socket that another process keeps open as well, and passes to the next server.
    Inherited,
}

/// A connection without a lane. A drop resets the connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    socket: Option<OsSocket>,
    peer: PeerAddress,
}

impl Accepted {
    /// The address of the peer.
    #[must_use]
    pub(crate) fn peer(&self) -> PeerAddress {
        self.peer
    }

    /// The connection, attached to a lane, and its peer's address.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub(crate) fn attach(mut self, lane: &Handle) -> (Stream, PeerAddress) {
        let socket = self.socket.take().expect("it is taken once");
        (Stream::of(lane, socket), self.peer)
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // A failed reset means a dead socket.
            drop(sys::reset_on_close(sys::borrow(socket)));
        }
    }
}

impl From<(OsSocket, PeerAddress)> for Accepted {
    fn from((socket, peer): (OsSocket, PeerAddress)) -> Self {
        let socket = Some(socket);
        Self { socket, peer }
    }
}

impl Listener {
    /// Opens a socket bound to the address, whose connections inherit `options`. With port 0 the
    /// system chooses the port: see [`Listener::address_of`]. The socket listens from
    /// [`Listener::listen`] on; [`Listener::attach`] hands the socket to a lane.
    ///
    /// # Errors
    /// Those of `bind(2)`.
    pub fn bind(address: SocketAddr, options: &SocketOptions) -> io::Result<OsSocket> {
        let socket = sys::bind_shared(address, options.freebind)?;
        options.apply_to_listener(sys::borrow(&socket))?;
        reset_if_killed(sys::borrow(&socket))?;
        Ok(socket)
    }

    /// Sets the options on a TCP socket of another process, which listens already.
    ///
    /// # Errors
    /// The first refused option, by field name.
    pub(crate) fn adopt(
        socket: &OsSocket,
        options: &SocketOptions,
    ) -> Result<(), (&'static str, io::Error)> {
        let socket = sys::borrow(socket);
        let refused = options.refusals(socket, true).into_iter().next();
        refused.map_or(Ok(()), Err)?;
        reset_if_killed(socket).map_err(|error| ("linger", error))
    }

    /// Makes the system take connections; `backlog` of them may wait for an accept.
    ///
    /// # Errors
    /// Those of `listen(2)`.
    pub fn listen(socket: &OsSocket, backlog: u32) -> io::Result<()> {
        sys::listen(sys::borrow(socket), backlog)
    }

    /// Makes the system give new connections of this address to the last `count` sockets that
    /// listen there, while sockets from before them are left.
    ///
    /// # Errors
    /// If the system has no such option; then it gives connections to all sockets of the address.
    pub fn prefer_last(socket: &OsSocket, count: usize) -> io::Result<()> {
        sys::prefer_listeners_from(sys::borrow(socket), count, count)
    }

    /// Makes the system give new connections of this address to the first of `successors` sockets
    /// alone, until this socket and the `successors` - 1 sockets beside it have closed: each close
    /// moves another successor to a place that the choice of [`Self::prefer_last`] does not know,
    /// and a SYN that finds a closing socket costs its client a second.
    ///
    /// # Errors
    /// As [`Self::prefer_last`].
    pub(crate) fn prefer_first_successor(&self, successors: usize) -> io::Result<()> {
        self.socket
            .with_descriptor(|socket| sys::prefer_listeners_from(socket, successors, 1))
    }

    /// The bound address of a socket.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn address_of(socket: &OsSocket) -> io::Result<SocketAddr> {
        sys::local_address(sys::borrow(socket))
    }

    /// Attaches a listening socket to a lane.
    #[must_use]
    pub fn attach(lane: &Handle, socket: OsSocket, kind: ListenerKind) -> Self {
        let socket = LaneSocket::attach(lane, socket);
        if kind == ListenerKind::Inherited {
            socket.close_by(Close::Shared);
        }
        Self {
            socket,
            kind,
            is_sealed: Cell::new(false),
        }
    }

    /// The listening address of TCP.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.with_descriptor(sys::local_address)
    }

    /// The next connection. Skips connections that have failed meanwhile.
    ///
    /// # Errors
    /// Out of descriptors or memory; the connection stays in the backlog, and an immediate retry is
    /// useless.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        self.socket.accept().await.map(Accepted::from)
    }

    /// A connection that was accepted, or waits in the backlog.
    ///
    /// # Errors
    /// `WouldBlock` without a connection. Otherwise as [`Listener::accept`], even without a
    /// connection, since the system reserves a descriptor first: see [`Listener::has_client`].
    pub(crate) fn accept_now(&self) -> io::Result<Accepted> {
        let taken = self.socket.take_accepted().map(Ok);
        let accepted = taken.unwrap_or_else(|| self.socket.with_descriptor(sys::accept));
        accepted.map(Accepted::from)
    }

    /// As [`Listener::accept_now`], for a listener that ends: the backlog of an inherited socket is
    /// left to the next server.
    ///
    /// # Errors
    /// As [`Listener::accept_now`].
    pub(crate) fn accept_last(&self) -> io::Result<Accepted> {
        if self.kind != ListenerKind::Inherited {
            return self.accept_now();
        }
        let taken = self.socket.take_accepted().map(Accepted::from);
        taken.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Whether a connection was accepted, or waits in the backlog.
    #[must_use]
    pub fn has_client(&self) -> bool {
        self.socket.has_connection()
    }

    /// Makes the system ignore new connections: a client tries again a second later, and finds no
    /// listener, or a successor. Present handshakes complete, and the backlog stays: at the close
    /// the kernel resets the connections in the backlog, although their clients are connected.
    ///
    /// # Errors
    /// If the system has no such option; then the close resets later connections, too.
    pub fn turn_away(&self) -> io::Result<()> {
        match self.kind {
            ListenerKind::Tcp => self.socket.with_descriptor(sys::turn_away),
            // A unix socket has no handshakes: see `seal`. A filter would stay for the next server.
            ListenerKind::Unix | ListenerKind::Inherited => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes the system refuse new connections of a unix socket with an empty backlog. Returns
    /// whether a connection may have come in between.
    pub(crate) fn seal(&self) -> bool {
        let is_first = !self.is_sealed.replace(true);
        is_first
            && self.kind == ListenerKind::Unix
            && self.socket.with_descriptor(socket_file::refuse).is_ok()
    }

    /// The remedy for an accept that failed with this error.
    #[must_use]
    pub fn remedy(error: &io::Error) -> &'static str {
        sys::shortage_remedy(error)
    }

    /// Changes the backlog of a listener that listens.
    ///
    /// # Errors
    /// Those of `listen(2)`.
    pub fn change_backlog(&self, backlog: u32) -> io::Result<()> {
        self.socket
            .with_descriptor(|socket| sys::listen(socket, backlog))
    }

    /// Ends the listening with an empty backlog, and lets the later drop close the socket in order.
    pub fn end(&self) {
        if self.kind == ListenerKind::Tcp {
            // io_uring closes some turns later, and until then the kernel counts the socket among
            // the listeners of the port. Where it cannot be ended at once, the close does it.
            drop(self.socket.with_descriptor(sys::stop_listening));
        }
        if self.kind != ListenerKind::Inherited {
            self.socket.close_by(Close::Fin);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::{Listener, ListenerKind, SocketOptions};
    use crate::runtime::Handle;

    /// A listener of a lane on a free port of this machine.
    pub(crate) fn listener_on(lane: &Handle) -> Listener {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = Listener::bind(any, &SocketOptions::default()).unwrap();
        Listener::listen(&socket, 64).unwrap();
        Listener::attach(lane, socket, ListenerKind::Tcp)
    }
}
