//! Datagrams to one address, in the async runtime of the calling thread, for the control plane.
//! Loom's build of the runtime has no sockets: there no socket is ever opened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[cfg(loom)]
type Socket = std::convert::Infallible;
#[cfg(not(loom))]
type Socket = tokio::net::UdpSocket;

/// A connected socket: the kernel drops foreign datagrams and reports a closed port.
#[derive(Debug)]
pub(crate) struct Datagrams(Socket);

impl Datagrams {
    /// A socket on a free port, to and from `peer` alone.
    ///
    /// # Errors
    /// The error of the system.
    pub(crate) async fn to(peer: SocketAddr) -> io::Result<Self> {
        let own: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::open((own, 0).into(), peer).await
    }

    #[cfg(loom)]
    async fn open(_own: SocketAddr, _peer: SocketAddr) -> io::Result<Self> {
        std::future::ready(Err(io::ErrorKind::Unsupported.into())).await
    }

    #[cfg(not(loom))]
    async fn open(own: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let socket = Socket::bind(own).await?;
        socket.connect(peer).await?;
        Ok(Self(socket))
    }

    #[cfg(loom)]
    pub(crate) async fn send(&self, _bytes: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// The error of the system, also that of an earlier datagram.
    #[cfg(not(loom))]
    pub(crate) async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes).await
    }

    #[cfg(loom)]
    pub(crate) async fn receive(&self, _bytes: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    /// Receives a datagram; returns its length. The rest of a longer datagram is lost.
    ///
    /// # Errors
    /// The error of the system, also that of an earlier datagram.
    #[cfg(not(loom))]
    pub(crate) async fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.recv(bytes).await
    }
}
