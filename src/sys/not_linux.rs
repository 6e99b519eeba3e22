//! What Linux alone has, as the other systems answer for it: splice(2), counts of what the peer has
//! acknowledged, the progress of other threads.
//!
//! A pipe cannot be opened here, so the splice reads into its large buffer instead.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use super::handle::SocketRef;
use super::memory::MemoryLimits;

/// Not asked for here: the limits on descriptors are what bounds the sessions.
#[must_use]
pub fn memory_limits() -> MemoryLimits {
    MemoryLimits::default()
}

/// Not said here.
pub(crate) fn listen_overflows() -> Option<u64> {
    None
}

/// Nothing to limit.
pub fn limit_arenas(_count: usize) {}

/// A kernel buffer between sockets, of which there is none.
#[derive(Debug)]
pub(crate) struct Pipe(Infallible);

impl Pipe {
    pub(crate) fn open(_bytes: i32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn fill(&self, _from: SocketRef<'_>, _max: usize) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn drain(&self, _to: SocketRef<'_>, _max: usize) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn read(&self, _into: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

/// systemd's journal, which these systems do not have.
#[derive(Debug)]
pub(crate) struct JournalSocket(Infallible);

impl JournalSocket {
    pub(crate) fn of_stderr() -> Option<Self> {
        None
    }

    pub(crate) fn send(&self, _entry: &[u8]) -> io::Result<()> {
        match self.0 {}
    }
}

/// A service manager's socket, of which there is none.
#[derive(Debug)]
pub(crate) struct NotifySocket(Infallible);

impl NotifySocket {
    #[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(crate) fn from_environment() -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn send(&self, _message: &str) -> io::Result<()> {
        match self.0 {}
    }
}

/// Never asked: no pipe was opened.
pub(crate) fn is_without_splice(_error: &io::Error) -> bool {
    true
}

/// Whether somebody listens there: not to be had without a connection here.
#[must_use]
pub fn is_listened_on(_address: std::net::SocketAddr) -> Option<bool> {
    None
}

/// Who has a port is not asked here.
pub(crate) fn holder_of(_address: std::net::SocketAddr) -> Option<String> {
    None
}

/// An option that this system has not, asked for by the configuration.
pub(super) fn no_option(name: &str) -> io::Error {
    let text = format!("this system has no {name}; leave the key out");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// `TCP_USER_TIMEOUT`, which only Linux has.
pub(crate) fn set_user_timeout(_socket: SocketRef<'_>, _time: Duration) -> io::Result<()> {
    Err(no_option("TCP_USER_TIMEOUT"))
}

/// `TCP_MAXSEG`, which is left alone: no segment of these systems is as large as a send buffer.
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
pub(crate) fn set_largest_segment(_socket: SocketRef<'_>, _bytes: u32) -> io::Result<()> {
    Ok(())
}

/// `TCP_NOTSENT_LOWAT`, which is not offered here.
pub(crate) fn set_notsent_lowat(_socket: SocketRef<'_>, _bytes: u32) -> io::Result<()> {
    Err(no_option("TCP_NOTSENT_LOWAT"))
}

/// `TCP_FASTOPEN`, which is not offered here.
pub(crate) fn set_fast_open(_socket: SocketRef<'_>, _queue: u32) -> io::Result<()> {
    Err(no_option("TCP_FASTOPEN"))
}

/// See [`set_fast_open`].
pub(crate) fn set_fast_open_connect(_socket: SocketRef<'_>) -> io::Result<()> {
    Err(no_option("TCP_FASTOPEN"))
}

/// Whether a connect that says that it is done waits for bytes to go with its SYN: none does here.
pub(crate) fn is_connecting(_socket: SocketRef<'_>) -> bool {
    false
}

/// Bytes that the peer has acknowledged so far, which is not told here.
pub(crate) fn acknowledged_total(_socket: SocketRef<'_>) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The allocators of these systems are not told to.
pub(crate) fn trim_heap() {}

/// There is no filter for what reaches a listener.
pub(crate) fn turn_away(_listener: SocketRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The calling thread, by a number of which nothing more is told here.
pub(crate) fn thread_id() -> u32 {
    0
}

/// What a thread has done, and whether it would do more if it had a CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadProgress {
    /// CPU time that it has had.
    pub(crate) cpu: Duration,
    /// It runs or waits for a CPU; else it waits for something in the kernel.
    pub(crate) runnable: bool,
}

/// Not known of another thread: it counts as waiting, so that a watchdog goes by the wall clock.
pub(crate) fn thread_progress(_thread: u32) -> ThreadProgress {
    ThreadProgress {
        cpu: Duration::ZERO,
        runnable: false,
    }
}
