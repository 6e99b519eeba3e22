//! The local sockets of systems without names of peers: none can be opened.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Never opened.
pub(super) type LocalStream = Absent;

/// A connection that never is.
#[derive(Debug)]
pub(crate) struct Absent(Infallible);

/// The view of such a connection.
#[derive(Clone, Debug)]
pub(crate) struct FarEnd(Infallible);

impl Absent {
    pub(crate) fn far_end(&self) -> FarEnd {
        match self.0 {}
    }
}

impl FarEnd {
    pub(crate) async fn is_closed(&self) -> bool {
        match self.0 {}
    }
}

impl AsyncRead for Absent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for Absent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

/// The process at the far end of a local connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalPeer {
    pub(crate) uid: u32,
    pub(crate) pid: Option<i32>,
}

/// The reason of a failed bind.
#[derive(Debug)]
#[expect(dead_code, reason = "for the systems with local sockets")]
pub(crate) enum LocalError {
    Live,
    NoSocket,
    Unsupported,
    System(io::Error),
}

/// A listening socket: never bound.
#[derive(Debug)]
pub(crate) struct LocalListener(Infallible);

impl LocalListener {
    pub(crate) fn check(_path: &Path) -> Result<(), LocalError> {
        Err(LocalError::Unsupported)
    }

    pub(crate) fn bind(_path: &Path, _mode: u32) -> Result<Self, LocalError> {
        Err(LocalError::Unsupported)
    }

    pub(crate) fn path(&self) -> &Path {
        match self.0 {}
    }

    pub(crate) fn accepting(&self) -> io::Result<LocalAccepting> {
        match self.0 {}
    }

    pub(crate) fn remove(&self) -> bool {
        match self.0 {}
    }
}

/// A listening socket of an async runtime: never bound.
#[derive(Debug)]
pub(crate) struct LocalAccepting(Infallible);

impl LocalAccepting {
    pub(crate) async fn accept(&self) -> io::Result<LocalStream> {
        match self.0 {}
    }
}

pub(crate) fn local_peer(_stream: &LocalStream) -> io::Result<LocalPeer> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Connects nowhere.
pub(crate) fn connect_local(_path: &Path, _patience: Duration) -> io::Result<std::net::TcpStream> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Users have no numbers here.
pub(crate) fn effective_user() -> u32 {
    0
}

/// A handle without data.
pub(crate) fn null_file() -> io::Result<File> {
    File::open("NUL")
}
