//! `struct kevent`: a change to a kqueue's watches, or an event that the kqueue returns.
//!
//! The layout of the struct and the numbers differ between systems. Both come from libc; the
//! assertions below hold them against the systems' headers (see `tests/ports/kevent.c`). On Linux,
//! in builds for tests only, both come from `kevent_emulated.rs`.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use super::handle::SocketRef;
#[cfg(target_os = "linux")]
use super::kevent_emulated as system;
#[cfg(not(target_os = "linux"))]
use libc as system;

/// The identifier of the `EVFILT_USER` event that wakes a sleeping lane.
const WAKE: usize = 0;

/// A change to the watches of a queue, or an event.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(pub(super) system::kevent);

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// A descriptor can be read, or accepted from.
    Read,
    /// A descriptor can be written, or has connected.
    Write,
    /// A thread called `Kqueue::wake`.
    Wake,
}

impl Event {
    /// An empty event, as room for the kernel to write.
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

    /// The change that adds the wake-up event to a queue (`EVFILT_USER`).
    pub(super) fn watch_wake() -> Self {
        let mut event = Self::NONE;
        event.0.ident = WAKE;
        event.0.filter = system::EVFILT_USER;
        event.0.flags = system::EV_ADD | system::EV_CLEAR;
        event
    }

    /// The change that triggers the wake-up event (`NOTE_TRIGGER`).
    pub(super) fn trigger_wake() -> Self {
        let mut event = Self::NONE;
        event.0.ident = WAKE;
        event.0.filter = system::EVFILT_USER;
        event.0.fflags = system::NOTE_TRIGGER;
        event
    }

    /// The token that [`Event::watch`] was called with.
    pub(crate) fn token(&self) -> usize {
        from_data(self.0.udata)
    }

    /// The kind of the event.
    pub(crate) fn filter(&self) -> Filter {
        if self.0.filter == system::EVFILT_READ {
            Filter::Read
        } else if self.0.filter == system::EVFILT_WRITE {
            Filter::Write
        } else {
            Filter::Wake
        }
    }

    /// Whether the stream has ended: the descriptor receives or takes no more bytes (`EV_EOF`).
    /// Earlier bytes are still readable.
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

    /// The change that failed, for another attempt.
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

/// The size and offsets that `tests/ports/kevent.c` finds in the systems' headers. NetBSD 10 made
/// the struct longer by four words; libc calls the older entry point, which takes the shorter
/// struct.
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
