//! Replacements for Linux's own features on other systems: splice(2), counts of acknowledged bytes,
//! the progress of other threads.
//!
//! No pipe can be opened here, so the splice copies through a large buffer.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::handle::SocketRef;
use super::memory::MemoryLimits;

/// Unknown here: only the limits on descriptors bound the sessions.
#[must_use]
pub(crate) fn memory_limits() -> MemoryLimits {
    MemoryLimits::default()
}

/// Nothing to limit.
pub(crate) fn limit_arenas(_count: usize) {}

/// A pipe between sockets, which this system does not have.
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

    pub(crate) fn of_system() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn open(_path: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
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

    pub(crate) fn send(&self, _message: &str, _may_wait: bool) -> io::Result<()> {
        match self.0 {}
    }
}

/// Never asked: no pipe was opened.
pub(crate) fn is_without_splice(_error: &io::Error) -> bool {
    true
}

/// Whether a process listens on the address: unknown without a connection here.
#[must_use]
pub(crate) fn is_listened_on(_address: std::net::SocketAddr) -> Option<bool> {
    None
}

/// As [`is_listened_on`], of a unix socket.
#[must_use]
pub(crate) fn is_unix_listened_on(_name: &str) -> Option<bool> {
    None
}

/// The process that holds a port: unknown here.
pub(crate) fn holder_of(_address: std::net::SocketAddr) -> Option<String> {
    None
}

/// The error for a configured option that this system does not have.
pub(super) fn no_option(name: &str) -> io::Error {
    let text = format!("this system has no {name}; leave the key out");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// `IP_FREEBIND` exists on Linux only.
pub(crate) fn set_freebind(_socket: SocketRef<'_>) -> io::Result<()> {
    Err(no_option("IP_FREEBIND"))
}

/// `TCP_USER_TIMEOUT` exists on Linux only.
pub(crate) fn set_user_timeout(_socket: SocketRef<'_>, _time: Duration) -> io::Result<()> {
    Err(no_option("TCP_USER_TIMEOUT"))
}

/// `TCP_MAXSEG` stays as it is: no segment of these systems fills a send buffer.
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
pub(crate) fn set_largest_segment(_socket: SocketRef<'_>, _bytes: u32) -> io::Result<()> {
    Ok(())
}

/// corelane does not use `TCP_NOTSENT_LOWAT` here.
pub(crate) fn set_notsent_lowat(_socket: SocketRef<'_>, _bytes: u32) -> io::Result<()> {
    Err(no_option("TCP_NOTSENT_LOWAT"))
}

/// corelane does not use `TCP_FASTOPEN` here.
pub(crate) fn set_fast_open(_socket: SocketRef<'_>, _queue: u32) -> io::Result<()> {
    Err(no_option("TCP_FASTOPEN"))
}

/// See [`set_fast_open`].
pub(crate) fn set_fast_open_connect(_socket: SocketRef<'_>) -> io::Result<()> {
    Err(no_option("TCP_FASTOPEN"))
}

/// Whether a completed connect still waits for bytes of its SYN: never here.
pub(crate) fn is_connecting(_socket: SocketRef<'_>) -> bool {
    false
}

/// How many bytes the peer has acknowledged: unknown here.
pub(crate) fn acknowledged_total(_socket: SocketRef<'_>) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The allocators of these systems are not told to.
pub(crate) fn trim_heap() {}

/// These systems have no filter for a listener's segments.
pub(crate) fn turn_away(_listener: SocketRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The close ends the listening.
pub(crate) fn stop_listening(_listener: SocketRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// These systems have no choice among the listeners of a port.
pub(crate) fn prefer_listeners_from(_: SocketRef<'_>, _: usize, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Without a service manager that asks for it.
pub(crate) fn monotonic_micros() -> u64 {
    0
}

/// The calling thread's number, without a use here.
pub(crate) fn thread_id() -> u32 {
    0
}

/// The CPU time of a thread, and whether the thread wants a CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadProgress {
    /// The thread's CPU time.
    pub(crate) cpu: Duration,
    /// Whether the thread runs or waits for a CPU; otherwise the thread waits in the kernel.
    pub(crate) runnable: bool,
}

/// Unknown for another thread.
pub(crate) fn thread_call(_thread: u32) -> Option<String> {
    None
}

/// Unknown for another thread. The thread counts as waiting, so the watchdog uses wall time.
pub(crate) fn thread_progress(_thread: u32) -> ThreadProgress {
    ThreadProgress {
        cpu: Duration::ZERO,
        runnable: false,
    }
}
