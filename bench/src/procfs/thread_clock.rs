//! The CPU time of one thread of this program, from Linux's `/proc`; elsewhere there is none.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// One thread of this program.
#[derive(Clone, Debug)]
pub(crate) struct ThreadClock(Option<PathBuf>);

impl ThreadClock {
    /// The calling thread's.
    pub(crate) fn own() -> Self {
        let thread = fs::read_link("/proc/thread-self");
        Self(
            thread
                .ok()
                .map(|thread| PathBuf::from("/proc").join(thread).join("schedstat")),
        )
    }

    /// What the thread has spent so far; `None` where the kernel does not say, or it has ended.
    pub(crate) fn spent(&self) -> Option<Spent> {
        schedstat(&fs::read_to_string(self.0.as_ref()?).ok()?)
    }
}

/// Where a thread's time went, but for its sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// On a processor.
    pub(crate) cpu: Duration,
    /// Ready to run, and waiting for a processor.
    pub(crate) waited: Duration,
}

/// The first two fields of `schedstat`, in nanoseconds (Documentation/scheduler/sched-stats).
fn schedstat(text: &str) -> Option<Spent> {
    let mut fields = text.split_whitespace().map(|field| field.parse().ok());
    let mut next = || fields.next()?.map(Duration::from_nanos);
    Some(Spent {
        cpu: next()?,
        waited: next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Spent, schedstat};

    #[test]
    fn reads_what_linux_writes() {
        let spent = Spent {
            cpu: Duration::from_nanos(1500),
            waited: Duration::from_nanos(7),
        };
        assert_eq!(schedstat("1500 7 2\n"), Some(spent));
        assert_eq!(schedstat(""), None);
    }
}
