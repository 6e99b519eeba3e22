//! The passed sockets of systems without such service managers: none.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Never passed.
#[derive(Debug)]
pub(crate) struct PassedSocket {
    pub(crate) name: String,
    pub(crate) address: PassedAddress,
    never: Infallible,
}

/// The address of a passed socket.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "for Linux")]
pub(crate) enum PassedAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Abstract(String),
    Unusable(&'static str),
}

impl PassedSocket {
    pub(crate) fn socket<S>(&self) -> io::Result<S> {
        match self.never {}
    }
}

/// None.
pub(crate) fn take() -> Vec<PassedSocket> {
    Vec::new()
}
