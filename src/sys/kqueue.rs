//! kqueue(2): a queue of events on descriptors, with a wake-up event that any thread can trigger.
//!
//! On Linux, in builds for tests only, `kqueue_emulated.rs` replaces the system's queue.
#![cfg_attr(not(target_os = "linux"), expect(unsafe_code, reason = "system calls"))]

use std::io;
#[cfg(not(target_os = "linux"))]
use std::os::fd::AsRawFd;
#[cfg(not(target_os = "linux"))]
use std::ptr;
use std::time::Duration;

use super::kevent::Event;
#[cfg(target_os = "linux")]
use super::kqueue_emulated::Queue;
#[cfg(not(target_os = "linux"))]
use super::system_call::checked;

/// A queue of events; closed when dropped.
#[derive(Debug)]
pub(crate) struct Kqueue(Queue);

impl Kqueue {
    /// Opens a close-on-exec queue that watches its wake-up event.
    pub(crate) fn open() -> io::Result<Self> {
        let queue = Self(Queue::open()?);
        queue.call(&[Event::watch_wake()], &mut [], None)?;
        Ok(queue)
    }

    /// Makes changes, then returns events: waits at most `timeout` (`None`: for ever) for the first
    /// event. Does not wait if `events` has no room.
    pub(crate) fn call(
        &self,
        changes: &[Event],
        events: &mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        self.0.kevent(changes, events, timeout)
    }

    /// Ends the present or the next wait, from any thread.
    pub(crate) fn wake(&self) {
        // The call fails for a closed queue only, and the queue is open as long as `self`.
        drop(self.call(&[Event::trigger_wake()], &mut [], None));
    }
}

/// The system's own queue.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Queue(std::os::fd::OwnedFd);

#[cfg(not(target_os = "linux"))]
impl Queue {
    fn open() -> io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: no arguments.
        let fd = unsafe { libc::kqueue() };
        checked(fd)?;
        // SAFETY: the call succeeded, so `fd` is open and has no owner yet.
        let queue = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
        // SAFETY: no pointers.
        checked(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        Ok(Self(queue))
    }

    fn kevent(
        &self,
        changes: &[Event],
        events: &mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let time = timeout.map(|time| libc::timespec {
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (from, to) = (changes.as_ptr().cast(), events.as_mut_ptr().cast());
        let count = "a list of changes or events is short";
        let (changes, events) = (
            changes.len().try_into().expect(count),
            events.len().try_into().expect(count),
        );
        let fd = self.0.as_raw_fd();
        // SAFETY: `Event` is a transparent wrapper of the system's struct. Both lists are valid for
        // their lengths, and the time is null or valid for a read.
        checked(unsafe { libc::kevent(fd, from, changes, to, events, time) })
    }
}
