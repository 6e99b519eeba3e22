//! Constants that describe the platform, for the choice of pollers and for tests.

/// Whether the system has epoll.
pub(crate) const EPOLL: bool = cfg!(target_os = "linux");
/// Whether the system has kqueue, or in builds for tests an emulation on Linux.
pub(crate) const KQUEUE: bool = cfg!(any(kqueue_emulated, all(unix, not(target_os = "linux"))));

/// Whether the system closes the sockets of a dead process by FIN, unless an option says otherwise.
/// Windows resets them.
pub(crate) const CLOSES_BY_FIN: bool = cfg!(unix);
