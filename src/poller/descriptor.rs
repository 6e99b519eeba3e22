//! A socket's descriptor, for whoever wants to read or set its options past the poller.
//!
//! With [`PollerOptions::direct_descriptors`](super::PollerOptions) io_uring keeps sockets in a
//! table of the ring's own, where they have none: one is made for the time of a question, or for
//! good.

use std::io;

use super::{Inner, Poller, Socket};
use crate::sys::{self, OsSocket, SocketRef};

/// What a back end does about sockets without a descriptor; the defaults are of one that has none.
pub(super) trait Descriptors {
    fn descriptor(&self, socket: Socket) -> SocketRef<'_>;

    /// A descriptor that lasts as long as the caller keeps it, for a socket that has none.
    fn lend(&mut self, _: Socket) -> io::Result<Option<OsSocket>> {
        Ok(None)
    }

    fn keep_descriptor(&mut self, _: Socket) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self, socket: Socket) -> io::Result<()> {
        sys::shutdown_write(self.descriptor(socket))
    }
}

impl Poller {
    /// The descriptor of an attached socket, to read or set its options.
    ///
    /// # Panics
    /// When the socket was closed, or has none: one that has been received from may, until
    /// [`Poller::keep_descriptor`].
    pub fn descriptor(&self, socket: Socket) -> SocketRef<'_> {
        forward!(&self.inner, poller => poller.descriptor(socket))
    }

    /// Sees to it that a socket has a descriptor from now on.
    ///
    /// # Errors
    /// When the process may open no more; things are as before then.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn keep_descriptor(&mut self, socket: Socket) -> io::Result<()> {
        forward!(&mut self.inner, poller => poller.keep_descriptor(socket))
    }

    /// Runs `f` on the socket's descriptor, or on one that is made for it.
    ///
    /// # Errors
    /// Those of `f`, or that the process may open no more.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn with_descriptor<T>(
        &mut self,
        socket: Socket,
        f: impl FnOnce(SocketRef<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match forward!(&mut self.inner, poller => poller.lend(socket))? {
            Some(lent) => f(sys::borrow(&lent)),
            None => f(self.descriptor(socket)),
        }
    }

    /// Sends a FIN behind what was sent.
    ///
    /// # Errors
    /// `NotConnected` when the connection is gone.
    ///
    /// # Panics
    /// When the socket was closed.
    pub fn shutdown(&mut self, socket: Socket) -> io::Result<()> {
        forward!(&mut self.inner, poller => poller.shutdown(socket))
    }
}
