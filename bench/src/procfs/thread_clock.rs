//! CPU time of one thread of this program, from Linux's `/proc`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The `schedstat` file of a thread.
#[derive(Clone, Debug)]
pub(crate) struct ThreadClock(Option<PathBuf>);

impl ThreadClock {
    /// Of the calling thread.
    pub(crate) fn own() -> Self {
        let thread = fs::read_link("/proc/thread-self");
        Self(
            thread
                .ok()
                .map(|thread| PathBuf::from("/proc").join(thread).join("schedstat")),
        )
    }

    /// The thread's times so far; `None` without `schedstat`, or after the thread's end.
    pub(crate) fn spent(&self) -> Option<Spent> {
        schedstat(&fs::read_to_string(self.0.as_ref()?).ok()?)
    }
}

/// How long a thread ran and waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Running on a CPU.
    pub(crate) cpu: Duration,
    /// Ready to run, without a CPU.
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
