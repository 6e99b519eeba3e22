//! TCP in the async runtime of the calling thread, for the control plane. Loom's build of the
//! runtime has no sockets: there no socket is ever opened.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::super::OsSocket;

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

/// A connection of an async runtime.
pub(crate) type TcpConnection = Stream;

/// Connects a new socket in the async runtime of the calling thread.
///
/// # Errors
/// The error of the connect.
#[cfg(loom)]
pub(crate) async fn open_tcp(_to: SocketAddr) -> io::Result<Stream> {
    std::future::ready(Err(io::ErrorKind::Unsupported.into())).await
}

/// Connects a new socket in the async runtime of the calling thread.
///
/// # Errors
/// The error of the connect.
#[cfg(not(loom))]
pub(crate) async fn open_tcp(to: SocketAddr) -> io::Result<Stream> {
    Stream::connect(to).await
}

/// Connects a non-blocking socket in the async runtime of the calling thread. The simulated and
/// loom's build have no such connections.
///
/// # Errors
/// The error of the connect; refused if the socket has met itself.
#[cfg(any(loom, feature = "sim"))]
pub(crate) async fn connect_tcp(_socket: OsSocket, _to: SocketAddr) -> io::Result<Stream> {
    std::future::ready(Err(io::ErrorKind::Unsupported.into())).await
}

/// Connects a non-blocking socket in the async runtime of the calling thread.
///
/// # Errors
/// The error of the connect; refused if the socket has met itself.
#[cfg(not(any(loom, feature = "sim")))]
pub(crate) async fn connect_tcp(socket: OsSocket, to: SocketAddr) -> io::Result<Stream> {
    let socket = tokio::net::TcpSocket::from_std_stream(socket.into());
    let stream = socket.connect(to).await?;
    // A simultaneous open with itself (RFC 9293 §3.5): no listener has that port.
    match stream.local_addr()? == to {
        true => Err(io::ErrorKind::ConnectionRefused.into()),
        false => Ok(stream),
    }
}
