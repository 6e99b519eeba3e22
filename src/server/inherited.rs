//! The process's inherited state, handled in one function, once, before anything else.
//!
//! | state | treatment |
//! |---|---|
//! | signal mask | set: each thread blocks exactly the signals of the signals' thread |
//! | ignored signals | handled all the same: a SIGTERM or SIGINT is meant for this process |
//! | SIGPIPE, SIGTTOU | ignored, so that a closed pipe is an error and a terminal stops nothing |
//! | sockets of a service manager | taken by name, with the variables; see `activation.rs` |
//! | open descriptors | counted, set to close-on-exec, kept open: the parent may await their end |
//! | closed standard streams | opened on `/dev/null` by Rust, so that no socket replaces them |
//! | limit on descriptors | raised to the hard limit by the plan |
//! | limits on memory and address space | read, and respected by the plan |
//! | limit on file size | unchanged; SIGXFSZ is blocked, so that a full log is an error |
//! | interval timers | unchanged; their signals are handled |
//! | CPUs | used by the lanes (`plan.rs`) |
//! | nice value, likelihood to be killed for memory | unchanged, and logged |
//! | umask | as it is, for the PID file |
//! | working folder | read once, for a relative path of the configuration |

use std::io;

use super::activation::PassedSockets;
use crate::sys::{self, MemoryLimits, ParentSignals};

/// The inherited state.
#[derive(Debug)]
pub(super) struct Inherited {
    signals: ParentSignals,
    /// Of a service manager.
    passed: PassedSockets,
    /// Open descriptors besides the standard streams; `None` if the system has no list.
    descriptors: Option<usize>,
    memory: MemoryLimits,
    file_size_limit: Option<usize>,
    niceness: i32,
    oom_score_adjustment: Option<i32>,
}

/// The limits for the plan.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The parent's descriptors.
    pub(super) descriptors: usize,
    /// The names of passed sockets; `None` where the server will have others.
    pub(super) passed: Option<Vec<String>>,
    /// Measured before the process had threads, for which the plan itself leaves room.
    pub(super) memory: MemoryLimits,
}

impl Given {
    /// For a server started in the same way as this process.
    pub(super) fn look() -> Self {
        Self {
            descriptors: 0,
            passed: None,
            memory: sys::memory_limits(),
        }
    }
}

impl Inherited {
    /// Sets the process's state, for the calling thread and its child threads.
    pub(super) fn settle() -> io::Result<Self> {
        Ok(Self {
            // Before the descriptors are counted, and the process has threads.
            passed: PassedSockets::take(),
            signals: sys::take_signals()?,
            descriptors: sys::keep_descriptors(),
            memory: sys::memory_limits(),
            file_size_limit: sys::file_size_limit(),
            niceness: sys::niceness(),
            oom_score_adjustment: sys::oom_score_adjustment(),
        })
    }

    /// The limits for the plan.
    pub(super) fn given(&self) -> Given {
        Given {
            descriptors: self.descriptors.unwrap_or(0),
            passed: Some(self.passed.names()),
            memory: self.memory.clone(),
        }
    }

    /// The passed sockets, for the listeners.
    pub(super) fn take_passed(&mut self) -> PassedSockets {
        std::mem::take(&mut self.passed)
    }

    /// Logs unusual state, if any.
    pub(super) fn announce(&self) {
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(" "));
        let blocked = list(&self.signals.blocked);
        let ignored = list(&self.signals.ignored);
        let descriptors = self
            .descriptors
            .map(|all| all.saturating_sub(self.passed.len()));
        let descriptors = descriptors.filter(|count| *count > 0);
        let niceness = (self.niceness != 0).then_some(self.niceness);
        let oom_score_adj = self.oom_score_adjustment.filter(|score| *score != 0);
        let is_ordinary = blocked.is_none()
            && ignored.is_none()
            && descriptors.is_none()
            && niceness.is_none()
            && oom_score_adj.is_none()
            && self.file_size_limit.is_none();
        if is_ordinary {
            return;
        }
        tracing::info!(
            signals_blocked = blocked,
            signals_ignored = ignored,
            descriptors,
            file_size_limit = self.file_size_limit,
            niceness,
            oom_score_adj,
            "left by the parent process"
        );
    }
}
