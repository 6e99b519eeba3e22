//! The types of an open socket, by platform.
//!
//! In `corelane-sim` the layers above use the owned socket of `sim` instead.

#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
#[cfg(windows)]
use std::os::windows::io::{BorrowedSocket, OwnedSocket};

/// An open socket, closed when dropped.
#[cfg(unix)]
pub(crate) type OsSocket = OwnedFd;
/// An open socket, closed when dropped.
#[cfg(windows)]
pub(crate) type OsSocket = OwnedSocket;

/// An open socket, borrowed from its owner.
#[cfg(unix)]
pub(crate) type SocketRef<'a> = BorrowedFd<'a>;
/// An open socket, borrowed from its owner.
#[cfg(windows)]
pub(crate) type SocketRef<'a> = BorrowedSocket<'a>;
