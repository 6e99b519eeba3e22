//! The epoll event queue under [`super::readiness`]: edge-triggered, each descriptor registered
//! once, as Go's netpoll does.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Notifier;
use super::alarm::Alarm;
use super::options::Wake;
use super::readiness::{EventQueue, Ready};
use crate::sys::{self, EventFd};

/// Events taken in one call.
const EVENTS: u16 = 512;
/// The tokens of the notifier and of the alarm; sockets' tokens are below them.
const NOTIFIER: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

/// One epoll instance, its notifier and its alarm.
pub(super) struct Epoll {
    queue: OwnedFd,
    notifier: Arc<EventFd>,
    alarm: Alarm,
    events: Box<[libc::epoll_event]>,
    /// `epoll_pwait2(2)` is there (Linux 5.11); else timeouts round up to milliseconds.
    nanoseconds: bool,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Wake for EventFd {
    fn wake(&self) {
        self.signal();
    }
}

impl Epoll {
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `fd` is open and nobody else owns it.
        let queue = unsafe { OwnedFd::from_raw_fd(fd) };
        let epoll = Self {
            queue,
            notifier: Arc::new(EventFd::open()?),
            alarm: Alarm::open()?,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS.into()].into_boxed_slice(),
            nanoseconds: true,
        };
        // Edge-triggered: each write raises a new edge, so the counter is never read.
        epoll.add(epoll.notifier.as_fd(), NOTIFIER, libc::EPOLLIN)?;
        // The alarm, too, raises an edge each time, without a read.
        epoll.add(epoll.alarm.as_fd(), ALARM, libc::EPOLLIN)?;
        Ok(epoll)
    }

    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: libc::c_int) -> io::Result<()> {
        let events = (interest | libc::EPOLLET).cast_unsigned();
        let mut event = libc::epoll_event { events, u64: token };
        let (queue, fd) = (self.queue.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: the event is valid for a read during the call.
        let rc = unsafe { libc::epoll_ctl(queue, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if rc < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    fn pwait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let max = libc::c_int::from(EVENTS);
        let (queue, events) = (self.queue.as_raw_fd(), self.events.as_mut_ptr());
        if self.nanoseconds && timeout.is_none_or(|t| !t.is_zero()) {
            let time = timeout.map(sys::timespec);
            let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            let no_mask: *const libc::sigset_t = std::ptr::null();
            let nr = libc::SYS_epoll_pwait2;
            // SAFETY: `events` is valid for `max` writes, `time` for a read or null.
            let n = unsafe { libc::syscall(nr, queue, events, max, time, no_mask, 0_usize) };
            match usize::try_from(n) {
                Ok(n) => return Ok(n),
                Err(_) => self.nanoseconds = false,
            }
            let error = io::Error::last_os_error();
            if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
                self.nanoseconds = true;
                return Err(error);
            }
        }
        // SAFETY: `events` is valid for `max` writes.
        let n = unsafe { libc::epoll_wait(queue, events, max, milliseconds(timeout)) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }
}

impl EventQueue for Epoll {
    const REPORTS_URGENT_DATA: bool = true;

    fn register(&mut self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let input = libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDHUP;
        self.add(fd, token, input | libc::EPOLLOUT)
    }

    fn unregister(&mut self, fd: BorrowedFd<'_>) {
        let (queue, fd) = (self.queue.as_raw_fd(), fd.as_raw_fd());
        let none = std::ptr::null_mut();
        // SAFETY: no event is read. A descriptor without a watch is an error of the call.
        unsafe { libc::epoll_ctl(queue, libc::EPOLL_CTL_DEL, fd, none) };
    }

    fn wait(&mut self, timeout: Option<Duration>, to: &mut Vec<Ready>) -> io::Result<bool> {
        let timeout = self.alarm.cover(timeout)?;
        let count = match self.pwait(timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        let mut notified = false;
        for event in &self.events[..count] {
            let (events, token) = (event.events.cast_signed(), event.u64);
            if token >= ALARM {
                notified |= token == NOTIFIER;
                continue;
            }
            let ends = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
            let ended = events & (ends | libc::EPOLLPRI) != 0;
            to.push(Ready {
                token,
                readable: ended || events & libc::EPOLLIN != 0,
                writable: events & (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) != 0,
                ended,
            });
        }
        Ok(notified)
    }

    fn notifier(&self) -> Notifier {
        Notifier(Arc::<EventFd>::clone(&self.notifier))
    }
}

/// Rounds up, so that a wait never ends before its timeout; -1 is for ever.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    timeout.map_or(-1, |t| {
        t.as_nanos()
            .div_ceil(1_000_000)
            .try_into()
            .unwrap_or(i32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Epoll, milliseconds};
    use crate::poller::readiness::EventQueue;
    use crate::sys;

    /// Before Linux 5.11 a wait has whole milliseconds, rounded up.
    #[test]
    fn never_early_without_pwait2() {
        let cases = [
            (Some(0), 0),
            (Some(1), 1),
            (Some(999), 1),
            (Some(1000), 1),
            (Some(1001), 2),
            (None, -1),
        ];
        for (micros, expected) in cases {
            let time = micros.map(Duration::from_micros);
            assert_eq!(milliseconds(time), expected, "{micros:?}");
        }
        assert_eq!(milliseconds(Some(Duration::MAX)), i32::MAX);
        let mut epoll = Epoll::open().unwrap();
        epoll.nanoseconds = false;
        let (time, before) = (Duration::from_micros(1500), sys::now());
        assert!(!epoll.wait(Some(time), &mut Vec::new()).unwrap());
        assert!(sys::now().since(before) >= time);
    }
}
