//! A kernel timer that outlasts the waits. A lane sleeps thousands of times before its next
//! deadline, and the kernel starts and stops a timer for each timeout of a wait (0.6 to 0.9 us of
//! the 12 that a lone echo takes, bench/NOTES.md).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::sys::{self, Time, TimerFd};

/// Shorter timeouts go to the wait itself: setting the timer costs a system call.
const SHORT: Duration = Duration::from_millis(20);

/// The timer and its due time. A deadline that has moved makes the alarm early; the wait then
/// returns without events, and the next wait sets the alarm again.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: TimerFd,
    due: Option<Time>,
}

impl Alarm {
    pub(super) fn open() -> io::Result<Self> {
        let timer = TimerFd::open()?;
        Ok(Self { timer, due: None })
    }

    /// Makes a wait end by `timeout`; returns the timeout to pass to the wait itself.
    pub(super) fn cover(&mut self, timeout: Option<Duration>) -> io::Result<Option<Duration>> {
        let Some(timeout) = timeout.filter(|timeout| *timeout >= SHORT) else {
            return Ok(timeout);
        };
        let now = sys::now();
        let due = now + timeout;
        if self.due.is_none_or(|set| set <= now || due < set) {
            self.timer.set(timeout)?;
            self.due = Some(due);
        }
        Ok(None)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Alarm;
    use crate::sys;

    #[test]
    fn is_set_again_for_what_comes_sooner_only() {
        let mut alarm = Alarm::open().unwrap();
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(alarm.cover(None).unwrap(), None);
        assert_eq!(alarm.due, None);
        let short = Some(Duration::from_millis(3));
        assert_eq!(alarm.cover(short).unwrap(), short);
        assert_eq!(alarm.due, None);
        assert_eq!(alarm.cover(Some(hour)).unwrap(), None);
        let first = alarm.due.unwrap();
        assert!(first.since(sys::now()) <= hour);
        assert_eq!(alarm.cover(Some(second)).unwrap(), None);
        let sooner = alarm.due.unwrap();
        assert!(sooner < first);
        assert_eq!(alarm.cover(Some(hour)).unwrap(), None);
        assert_eq!(
            alarm.due,
            Some(sooner),
            "it goes off early, and is set again then"
        );
    }
}
