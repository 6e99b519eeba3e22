//! kqueue(2): a queue of events on descriptors, with one that any thread can trigger.
//!
//! The layout of `struct kevent` and the numbers differ from system to system; they are libc's, and
//! are held against the systems' headers by the assertions below (see `tests/ports/kevent.c`). On
//! Linux the emulation of `kevent_emulated.rs` stands in, in builds for tests only.
#![cfg_attr(not(target_os = "linux"), expect(unsafe_code, reason = "system calls"))]

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use super::SocketRef;
#[cfg(target_os = "linux")]
use super::kevent_emulated::{self as system, Queue};
#[cfg(not(target_os = "linux"))]
use libc as system;

/// The name of the event that wakes.
const WAKE: usize = 0;

/// A change to what is watched, or an event.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(pub(super) system::kevent);

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// A descriptor can be read, or accepted from.
    Read,
    /// A descriptor can be written, or has connected.
    Write,
    /// Somebody called [`Kqueue::wake`].
    Wake,
}

impl Event {
    /// No event yet: room for one.
    pub(crate) const NONE: Self = Self(system::kevent {
        ident: 0,
        filter: 0,
        flags: 0,
        fflags: 0,
        data: 0,
        udata: NO_DATA,
        #[cfg(target_os = "freebsd")]
        ext: [0; 4],
    });

    /// Watches a descriptor for edges (`EV_CLEAR`); the present state is the first.
    pub(crate) fn watch(fd: SocketRef<'_>, filter: Filter, token: usize) -> Self {
        let mut event = Self::NONE;
        event.0.ident = usize::try_from(fd.as_raw_fd()).expect("an open descriptor");
        event.0.filter = match filter {
            Filter::Read => system::EVFILT_READ,
            Filter::Write => system::EVFILT_WRITE,
            Filter::Wake => system::EVFILT_USER,
        };
        event.0.flags = system::EV_ADD | system::EV_CLEAR;
        event.0.udata = to_data(token);
        event
    }

    /// What [`Event::watch`] was given.
    pub(crate) fn token(&self) -> usize {
        from_data(self.0.udata)
    }

    /// What it tells of.
    pub(crate) fn filter(&self) -> Filter {
        if self.0.filter == system::EVFILT_READ {
            Filter::Read
        } else if self.0.filter == system::EVFILT_WRITE {
            Filter::Write
        } else {
            Filter::Wake
        }
    }

    /// Whether the stream has ended: no more will come, or be taken (`EV_EOF`). Bytes that came
    /// before are still to be read.
    pub(crate) fn is_end(&self) -> bool {
        self.0.flags & system::EV_EOF != 0
    }

    /// Why a change could not be made (`EV_ERROR`).
    pub(crate) fn error(&self) -> Option<io::Error> {
        if self.0.flags & system::EV_ERROR == 0 || self.0.data == 0 {
            return None;
        }
        let code = i32::try_from(self.0.data).unwrap_or(i32::MAX);
        Some(io::Error::from_raw_os_error(code))
    }

    /// The change that this event answers with an error, to be made again.
    pub(crate) fn again(mut self) -> Self {
        self.0.flags = system::EV_ADD | system::EV_CLEAR;
        self.0.data = 0;
        self
    }
}

const NO_DATA: *mut libc::c_void = ptr::null_mut();

fn to_data(token: usize) -> *mut libc::c_void {
    ptr::without_provenance_mut(token)
}

fn from_data(data: *mut libc::c_void) -> usize {
    data.addr()
}

/// A queue of events; closed when dropped.
#[derive(Debug)]
pub(crate) struct Kqueue(Queue);

impl Kqueue {
    /// Opens one, close-on-exec, with its wake-up watched.
    pub(crate) fn open() -> io::Result<Self> {
        let queue = Self(Queue::open()?);
        let mut wake = Event::NONE;
        wake.0.ident = WAKE;
        wake.0.filter = system::EVFILT_USER;
        wake.0.flags = system::EV_ADD | system::EV_CLEAR;
        queue.call(&[wake], &mut [], None)?;
        Ok(queue)
    }

    /// Makes changes, then takes events: waits at most `timeout` (`None`: for ever) for the first.
    /// With no room for events it waits for none.
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
        let mut wake = Event::NONE;
        wake.0.ident = WAKE;
        wake.0.filter = system::EVFILT_USER;
        wake.0.fflags = system::NOTE_TRIGGER;
        // Fails only for a closed queue, and this one is open.
        drop(self.call(&[wake], &mut [], None));
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
        super::unix::checked(fd)?;
        // SAFETY: the call succeeded, so `fd` is open and nobody else owns it.
        let queue = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
        // SAFETY: no pointers.
        super::unix::checked(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
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
        // SAFETY: `Event` is the system's struct and nothing else; both lists are valid for their
        // lengths, and the time for a read or null.
        super::unix::checked(unsafe { libc::kevent(fd, from, changes, to, events, time) })
    }
}

/// As `tests/ports/kevent.c` has it from the systems' headers. NetBSD 10 made its own longer by
/// four words; libc calls the entry point of before that, which goes by the shorter one.
#[cfg(not(target_os = "linux"))]
const _: () = {
    let bytes = if cfg!(target_os = "freebsd") {
        64
    } else if cfg!(target_os = "netbsd") {
        40
    } else {
        32
    };
    assert!(size_of::<libc::kevent>() == bytes);
    assert!(size_of::<Event>() == bytes);
    assert!(std::mem::offset_of!(libc::kevent, ident) == 0);
    assert!(std::mem::offset_of!(libc::kevent, filter) == 8);
};

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("filter", &self.filter())
            .field("token", &self.token())
            .field("is_end", &self.is_end())
            .finish()
    }
}
