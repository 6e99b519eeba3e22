//! kevent(2) over epoll and eventfd, for tests on Linux (`--cfg kqueue_emulated`); never in the
//! product.
//!
//! An outer epoll contains two edge-triggered epolls, for reads and for writes, and an eventfd for
//! the wake-up. An edge only marks a descriptor. The state of the descriptor is read when the event
//! is collected, as BSD kernels do; a state that has gone is not reported.
//!
//! The emulation cannot find wrong numbers or layouts (it has FreeBSD's), nor show a BSD's TCP,
//! timer resolution or asynchronous loopback. Only the filters and flags that corelane uses are
//! emulated. There are no kqueue timers: corelane uses the timeout of the call.
#![expect(unsafe_code, reason = "system calls")]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::{Time, now};
use super::kevent::Event;
use super::kevent_emulated::{
    EV_CLEAR, EV_EOF, EV_ERROR, EVFILT_READ, EVFILT_USER, EVFILT_WRITE, NOTE_TRIGGER, kevent,
};
use super::system_call::{checked, retry};

/// Edges collected in one call.
const EDGES: usize = 256;
/// Tokens in the outer epoll.
const READS: u64 = 0;
const WRITES: u64 = 1;
const USER: u64 = 2;

/// An emulated queue.
#[derive(Debug)]
pub(super) struct Queue {
    outer: OwnedFd,
    reads: OwnedFd,
    writes: OwnedFd,
    user: OwnedFd,
    /// The token of each watch, by descriptor and filter.
    notes: Mutex<HashMap<(RawFd, i16), usize>>,
}

impl Queue {
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: no pointers.
        let user = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        let queue = Self {
            outer: epoll()?,
            reads: epoll()?,
            writes: epoll()?,
            user: owned(user)?,
            notes: Mutex::default(),
        };
        for (token, part) in [
            (READS, &queue.reads),
            (WRITES, &queue.writes),
            (USER, &queue.user),
        ] {
            control(&queue.outer, part.as_fd(), libc::EPOLLIN, token)?;
        }
        Ok(queue)
    }

    /// As kevent(2): an error of a change becomes an event if there is room, else the call's.
    pub(super) fn kevent(
        &self,
        changes: &[Event],
        events: &mut [Event],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for change in changes {
            let Err(error) = self.change(change.0) else {
                continue;
            };
            let Some(event) = events.get_mut(count) else {
                return Err(error);
            };
            *event = *change;
            event.0.flags = EV_ERROR;
            event.0.data = error.raw_os_error().unwrap_or(libc::EINVAL).into();
            count += 1;
        }
        if events.is_empty() || count > 0 {
            return Ok(count);
        }
        let end = timeout.map_or(Time::NEVER, |timeout| now() + timeout);
        loop {
            let left = end.since(now());
            self.sleep(left)?;
            let count = self.collect(events)?;
            if count > 0 || now() >= end {
                return Ok(count);
            }
        }
    }

    fn change(&self, change: kevent) -> io::Result<()> {
        if change.filter == EVFILT_USER {
            if change.fflags & NOTE_TRIGGER != 0 {
                let one = 1_u64.to_ne_bytes();
                let fd = self.user.as_raw_fd();
                // SAFETY: the buffer is valid for a read of eight bytes. A full counter is woken.
                unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
            }
            return Ok(());
        }
        let number = RawFd::try_from(change.ident).map_err(|_| bad_descriptor())?;
        // SAFETY: only used for calls that return EBADF for a closed descriptor.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let (queue, interest) = match change.filter {
            EVFILT_READ => (&self.reads, libc::EPOLLIN | libc::EPOLLRDHUP),
            _ => (&self.writes, libc::EPOLLOUT),
        };
        let token = u64::try_from(number).map_err(|_| bad_descriptor())?;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.insert((number, change.filter), change.udata.addr());
        control(queue, fd, interest | libc::EPOLLET, token)
    }

    /// Waits until a part has something to tell.
    fn sleep(&self, time: Duration) -> io::Result<()> {
        let mut edge = [libc::epoll_event { events: 0, u64: 0 }];
        // At most an hour: the caller looks at the clock and comes again.
        let time = time.min(Duration::from_secs(3600));
        let millis = time.as_nanos().div_ceil(1_000_000);
        let millis = i32::try_from(millis).expect("an hour");
        poll_edges(&self.outer, &mut edge, millis).map(drop)
    }

    fn collect(&self, events: &mut [Event]) -> io::Result<usize> {
        let mut count = 0;
        let mut counter = [0_u8; 8];
        let user = self.user.as_raw_fd();
        // SAFETY: the buffer is valid for a write of eight bytes.
        if unsafe { libc::read(user, counter.as_mut_ptr().cast(), 8) } > 0 {
            events[0] = Event::NONE;
            events[0].0.filter = EVFILT_USER;
            count += 1;
        }
        for (queue, filter) in [(&self.reads, EVFILT_READ), (&self.writes, EVFILT_WRITE)] {
            let mut edges = [libc::epoll_event { events: 0, u64: 0 }; EDGES];
            let room = EDGES.min(events.len() - count);
            if room == 0 {
                break;
            }
            let marked = poll_edges(queue, &mut edges[..room], 0)?;
            for edge in &edges[..marked] {
                let number = RawFd::try_from(edge.u64).expect("it was a descriptor");
                if let Some(event) = self.look(number, filter) {
                    events[count] = event;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// The current state of a marked descriptor.
    fn look(&self, number: RawFd, filter: i16) -> Option<Event> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let token = *notes.get(&(number, filter))?;
        let wanted = if filter == EVFILT_READ {
            libc::POLLIN | libc::POLLRDHUP
        } else {
            libc::POLLOUT
        };
        let mut entry = libc::pollfd {
            fd: number,
            events: wanted,
            revents: 0,
        };
        // SAFETY: the pointer is valid for a pollfd during the call.
        unsafe { libc::poll(&raw mut entry, 1, 0) };
        let state = entry.revents;
        if state == 0 || state & libc::POLLNVAL != 0 {
            return None;
        }
        let dead = state & (libc::POLLHUP | libc::POLLERR) != 0;
        let ended = dead || filter == EVFILT_READ && state & libc::POLLRDHUP != 0;
        let mut event = Event::NONE;
        event.0.ident = usize::try_from(number).ok()?;
        event.0.filter = filter;
        event.0.flags = EV_CLEAR | if ended { EV_EOF } else { 0 };
        event.0.udata = std::ptr::without_provenance_mut(token);
        Some(event)
    }
}

fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    checked(fd)?;
    // SAFETY: the call succeeded, so `fd` is open and has no owner yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Watches a descriptor. A second watch starts anew, with the present state as the first edge.
fn control(queue: &OwnedFd, fd: BorrowedFd<'_>, events: i32, token: u64) -> io::Result<()> {
    let (queue, fd) = (queue.as_raw_fd(), fd.as_raw_fd());
    let events = events.cast_unsigned();
    let mut event = libc::epoll_event { events, u64: token };
    // SAFETY: the event is valid for a read during the call.
    let rc = unsafe { libc::epoll_ctl(queue, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    match checked(rc) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // SAFETY: as above.
            let rc = unsafe { libc::epoll_ctl(queue, libc::EPOLL_CTL_MOD, fd, &raw mut event) };
            checked(rc).map(drop)
        }
        result => result.map(drop),
    }
}

fn poll_edges(queue: &OwnedFd, edges: &mut [libc::epoll_event], millis: i32) -> io::Result<usize> {
    let max = i32::try_from(edges.len()).expect("few");
    let (queue, into) = (queue.as_raw_fd(), edges.as_mut_ptr());
    // SAFETY: `into` is valid for `max` writes.
    retry(|| checked(unsafe { libc::epoll_wait(queue, into, max, millis) }))
}
