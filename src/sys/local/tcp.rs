//! A listening TCP socket in the async runtime of the calling thread. Loom's build of the runtime
//! has no sockets: there the socket is never opened.

use std::io;
use std::net::{SocketAddr, TcpListener};

#[cfg(loom)]
type Listener = std::convert::Infallible;
#[cfg(not(loom))]
type Listener = tokio::net::TcpListener;
#[cfg(loom)]
type Stream = tokio::io::DuplexStream;
#[cfg(not(loom))]
type Stream = tokio::net::TcpStream;

/// A listening socket of an async runtime.
#[derive(Debug)]
pub(crate) struct TcpAccepting(Listener);

impl TcpAccepting {
    #[cfg(loom)]
    pub(crate) fn new(_socket: &TcpListener) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(not(loom))]
    pub(crate) fn new(socket: &TcpListener) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        socket.set_nonblocking(true)?;
        Listener::from_std(socket).map(Self)
    }

    #[cfg(loom)]
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self.0 {}
    }

    #[cfg(not(loom))]
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        self.0.accept().await
    }
}
