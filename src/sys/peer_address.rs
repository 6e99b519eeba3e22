//! The address at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

/// The address of a peer. A client on a unix socket has none: its socket has no name (unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerAddress {
    /// An IP address and a port.
    Inet(SocketAddr),
    /// A process of this machine, by a unix socket.
    Unix,
}

impl PeerAddress {
    /// The IP address and the port.
    #[must_use]
    pub fn inet(self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(address),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PeerAddress;

    /// An accepted connection keeps it until its session begins.
    #[test]
    fn it_is_no_larger_than_an_address() {
        let inet: std::net::SocketAddr = "[::1]:7".parse().unwrap();
        assert_eq!(size_of::<PeerAddress>(), size_of_val(&inet));
        assert_eq!(PeerAddress::from(inet).to_string(), "[::1]:7");
        assert_eq!(PeerAddress::Unix.to_string(), "unix:");
    }
}
