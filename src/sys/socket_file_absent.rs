//! The unix sockets of systems without them: none can be bound.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use super::handle::SocketRef;

/// The state of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "for the systems with unix sockets")]
pub(crate) enum SocketName {
    Free,
    LeftBehind,
    Taken(Option<String>),
    OtherFile,
}

/// Never made.
#[derive(Debug)]
pub(crate) struct SocketFile(Infallible);

impl SocketFile {
    pub(crate) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn give_to(&self, _owner: Option<u32>, _group: Option<u32>) -> io::Result<()> {
        match self.0 {}
    }
}

pub(crate) fn socket_name(_path: &Path) -> io::Result<SocketName> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn bind_file<S>(_path: &Path, _mode: u32) -> io::Result<(S, SocketFile)> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn bind_abstract<S>(_name: &str) -> io::Result<S> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn refuse(_listener: SocketRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
