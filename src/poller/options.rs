//! Options of a poller, the time limits of a wait, and the notifier.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sys;

/// An implementation of the poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackEnd {
    /// Linux 6.1 and later, where seccomp and sysctl permit io_uring.
    IoUring,
    /// Linux, any kernel.
    Epoll,
    /// macOS, FreeBSD and related systems.
    Kqueue,
    /// Windows.
    Iocp,
}

impl BackEnd {
    /// Every back end of this platform, the preferred one first.
    pub const ALL: &[Self] = match (sys::EPOLL, sys::KQUEUE) {
        (true, false) => &[Self::IoUring, Self::Epoll],
        (true, true) => &[Self::IoUring, Self::Epoll, Self::Kqueue],
        (false, true) => &[Self::Kqueue],
        (false, false) => &[Self::Iocp],
    };
}

/// Why a back end is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub(super) String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BackEnd {
    /// The word for the back end.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
            Self::Kqueue => "kqueue",
            Self::Iocp => "iocp",
        }
    }
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sizes of a poller's queues. The defaults serve; tests starve a poller with smaller ones.
#[derive(Clone, Copy, Debug)]
pub struct PollerOptions {
    /// Ops queued before the kernel is entered early (io_uring's SQ); a power of two.
    pub submissions: u32,
    /// Completions kept in shared memory (io_uring's CQ); a power of two.
    pub completions: u32,
    /// Buffers that the kernel may hold to receive into; a power of two up to 32,768. 512 of
    /// 20 KiB are 10 MiB; 8 MiB cost no measurable cache misses, more were not tried.
    pub receive_buffers: u16,
    /// Buffers filled for one socket in one wait, where the poller makes the read calls.
    pub receive_budget: u32,
    /// Whether an io_uring permits the operations of its back end only, whoever submits others.
    pub restricted: bool,
}

impl Default for PollerOptions {
    fn default() -> Self {
        Self {
            submissions: 1024,
            completions: 8192,
            receive_buffers: 512,
            receive_budget: 4,
            restricted: false,
        }
    }
}

/// How long a wait may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    /// Poll without sleeping for this long first.
    pub spin: Duration,
    /// Then sleep until a completion arrives or this much time has passed; `None` is for ever.
    pub timeout: Option<Duration>,
}

/// Sockets that are closed but whose descriptors are still open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Closing {
    /// Sockets with ops still in the kernel; the ops end with completions.
    pub held: usize,
    /// Sockets whose close the kernel carries out at the next wait.
    pub queued: usize,
    /// The number of orders to close so far, where a close takes time.
    pub begun: u64,
    /// Every descriptor of the first so many orders is closed.
    pub ended: u64,
}

impl Wait {
    /// Do not wait.
    pub(crate) const NOT: Self = Self {
        spin: Duration::ZERO,
        timeout: Some(Duration::ZERO),
    };
    /// Wait until a completion arrives.
    pub(crate) const FOR_EVER: Self = Self {
        spin: Duration::ZERO,
        timeout: None,
    };

    pub(super) fn is_zero(self) -> bool {
        self.timeout == Some(Duration::ZERO)
    }
}

/// The wake-up of one back end.
pub(super) trait Wake: fmt::Debug + Send + Sync {
    /// Makes the present or the next wait return.
    fn wake(&self);
}

/// Ends a poller's wait from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Notifier(pub(super) Arc<dyn Wake>);

impl Notifier {
    /// Makes the present or the next wait return.
    pub(crate) fn notify(&self) {
        self.0.wake();
    }
}
