//! What the process has from whoever started it: one place, called once, before anything else.
//!
//! | what | what becomes of it |
//! |---|---|
//! | signal mask | set: each thread blocks what the signals' thread takes, and nothing else |
//! | ignored signals | taken all the same: who sends SIGTERM or SIGINT means this process |
//! | SIGPIPE, SIGTTOU | ignored, so that an end of a pipe or a terminal is an error or nothing |
//! | open descriptors | counted, set to close-on-exec, kept open: somebody may wait for their end |
//! | closed standard streams | opened on `/dev/null` by Rust's start, so that no socket is one |
//! | limit on descriptors | raised to the hard one by the plan |
//! | limits on memory and address space | read, and kept to by the plan |
//! | limit on file size | as it is; SIGXFSZ is taken, so that a log which is full is an error |
//! | interval timers | as they are; their signals are taken |
//! | CPUs | the lanes' (`plan.rs`) |
//! | niceness, readiness to be killed for memory | as they are, and said |
//! | umask | of no effect: corelane makes no file |
//! | working folder | read once, for a relative path of the configuration |

use std::io;

use crate::sys::{self, MemoryLimits, ParentSignals};

/// What was found.
#[derive(Debug)]
pub(super) struct Inherited {
    signals: ParentSignals,
    /// Open descriptors besides the standard streams; `None` if the system does not say.
    descriptors: Option<usize>,
    memory: MemoryLimits,
    file_size_limit: Option<usize>,
    niceness: i32,
    oom_score_adjustment: Option<i32>,
}

/// What the plan has to keep to.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Descriptors that are the parent's.
    pub(super) descriptors: usize,
    /// As they were before the process had threads, for which the plan itself leaves room.
    pub(super) memory: MemoryLimits,
}

impl Given {
    /// For a server that is started as this process was.
    pub(super) fn look() -> Self {
        Self {
            descriptors: 0,
            memory: sys::memory_limits(),
        }
    }
}

impl Inherited {
    /// Sets what is to be set, for the calling thread and all that it starts.
    pub(super) fn settle() -> io::Result<Self> {
        Ok(Self {
            signals: sys::take_signals()?,
            descriptors: sys::keep_descriptors(),
            memory: sys::memory_limits(),
            file_size_limit: sys::file_size_limit(),
            niceness: sys::niceness(),
            oom_score_adjustment: sys::oom_score_adjustment(),
        })
    }

    /// What the plan has to keep to.
    pub(super) fn given(&self) -> Given {
        Given {
            descriptors: self.descriptors.unwrap_or(0),
            memory: self.memory.clone(),
        }
    }

    /// Says what is not as it ordinarily is; nothing if all is.
    pub(super) fn announce(&self) {
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(" "));
        let blocked = list(&self.signals.blocked);
        let ignored = list(&self.signals.ignored);
        let descriptors = self.descriptors.filter(|count| *count > 0);
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
