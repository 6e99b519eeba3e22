//! The ring itself: set-up, submission, and the one system call.
#![expect(unsafe_code, reason = "system calls")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode};

use super::Wait;
use super::alarm::Alarm;
use super::op::{OpKind, Socket};
use crate::sys;

/// `IORING_REGISTER_RING_FDS` (Linux 5.18); the crate keeps the index to itself.
const REGISTER_RING_FDS: libc::c_uint = 20;
/// `IORING_UNREGISTER_RING_FDS`.
const UNREGISTER_RING_FDS: libc::c_uint = 21;
/// User data of ops whose completion says nothing.
pub(super) const IGNORED: u64 = u64::MAX - 1;
/// User data of the poll of the alarm; `uring` has the others.
const ALARM: u64 = u64::MAX - 2;

pub(super) struct Ring {
    ring: IoUring,
    /// Index of the registered ring descriptor: saves the descriptor's look-up in each `enter`.
    index: u32,
    /// Completions taken early, to make room for more.
    early: VecDeque<cqueue::Entry>,
    alarm: Alarm,
    /// The kernel polls it.
    alarm_polled: bool,
}

impl Drop for Ring {
    /// A thread has 16 places for registered rings, and what is in one stays until the thread ends,
    /// with all its memory (`io_uring_register(2)`).
    fn drop(&mut self) {
        let mut update = RingUpdate {
            offset: self.index,
            reserved: 0,
            data: 0,
        };
        let (nr, fd) = (libc::SYS_io_uring_register, self.ring.as_raw_fd());
        // SAFETY: `update` is valid for a read during the call. It fails in another thread than the
        // ring's only, and the place goes with that thread.
        unsafe { libc::syscall(nr, fd, UNREGISTER_RING_FDS, &raw mut update, 1) };
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("fd", &self.ring.as_raw_fd())
            .finish_non_exhaustive()
    }
}

/// `struct io_uring_getevents_arg` (Linux 5.11).
#[repr(C)]
struct Arguments {
    sigmask: u64,
    sigmask_size: u32,
    padding: u32,
    timeout: *const Timespec,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct RingUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl Ring {
    pub(super) fn open(submissions: u32, completions: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(completions)
            .build(submissions)?;
        let mut update = RingUpdate {
            offset: u32::MAX,
            reserved: 0,
            data: u64::from(ring.as_raw_fd().unsigned_abs()),
        };
        let (nr, fd) = (libc::SYS_io_uring_register, ring.as_raw_fd());
        // SAFETY: `update` is valid for a read and a write during the call.
        let rc = unsafe { libc::syscall(nr, fd, REGISTER_RING_FDS, &raw mut update, 1) };
        if rc != 1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            ring,
            index: update.offset,
            early: VecDeque::new(),
            alarm: Alarm::open()?,
            alarm_polled: false,
        })
    }

    /// Makes a stretch of memory the ring of buffers of `group`.
    ///
    /// # Safety
    /// It is page-aligned, holds that many entries, and lives longer than the ring.
    pub(super) unsafe fn register_buffers(
        &self,
        address: u64,
        entries: u16,
        group: u16,
    ) -> io::Result<()> {
        let submitter = self.ring.submitter();
        // SAFETY: by this function's contract.
        unsafe { submitter.register_buf_ring_with_flags(address, entries, group, 0) }
    }

    /// Has the kernel give up to `count` of a group's buffers back, one in each completion with
    /// this user data: by receives of a byte each. Nothing else takes one from it for certain: to
    /// forget the group would leave it open which of them a thread of io_uring's still fills.
    ///
    /// # Errors
    /// No descriptors for the sockets between which the bytes go.
    pub(super) fn take_buffers(&mut self, count: usize, group: u16, data: u64) -> io::Result<()> {
        let (reader, mut writer) = UnixStream::pair()?;
        writer.write_all(&vec![0; count])?;
        // A receive without a byte left would be answered as well: nobody writes any more.
        drop(writer);
        for _ in 0..count {
            let receive = opcode::Recv::new(Fd(reader.as_raw_fd()), ptr::null_mut(), 1)
                .buf_group(group)
                .build()
                .flags(Flags::BUFFER_SELECT)
                .user_data(data);
            // SAFETY: it points to nothing; the buffers are the group's.
            unsafe { self.push(&receive) };
        }
        // They hold the socket once they are taken; before, its number must not become another's.
        while self.has_submissions() {
            self.enter(0, None)?;
        }
        Ok(())
    }

    /// Queues an entry, entering the kernel first if the queue is full.
    ///
    /// # Safety
    /// Whatever the entry points to stays valid until its final completion.
    pub(super) unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: by this function's contract.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // A submission queue that cannot be flushed is a broken ring: nothing can go on.
            self.enter(0, None).expect("io_uring takes what was queued");
        }
    }

    /// Whether there is anything that the kernel has not taken.
    pub(super) fn has_submissions(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Whether an `enter` would bring completions: deferred work, or an overflow to be flushed.
    /// A look at shared memory.
    fn has_deferred(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether the kernel has taken everything and everything it did is read. A look at shared
    /// memory.
    pub(super) fn is_all_seen(&mut self) -> bool {
        !self.has_submissions() && !self.has_deferred() && !self.has_completions()
    }

    /// Whether completions are here. A look at shared memory.
    fn has_completions(&mut self) -> bool {
        !self.early.is_empty() || !self.ring.completion().is_empty()
    }

    /// Whether all that the kernel has said is read. A look at shared memory.
    pub(super) fn is_all_read(&mut self) -> bool {
        !self.ring.submission().cq_overflow() && !self.has_completions()
    }

    /// Takes one completion.
    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        loop {
            let early = self.early.pop_front();
            let entry = early.or_else(|| self.ring.completion().next())?;
            if entry.user_data() != ALARM {
                return Some(entry);
            }
            self.alarm_polled = cqueue::more(entry.flags());
        }
    }

    /// Sees to it that an `enter` ends by `timeout`; gives what it has to time itself.
    fn cover(&mut self, timeout: Option<Duration>) -> io::Result<Option<Duration>> {
        let rest = self.alarm.cover(timeout)?;
        if rest != timeout && !std::mem::replace(&mut self.alarm_polled, true) {
            let fd = Fd(self.alarm.as_fd().as_raw_fd());
            let events = u32::from(libc::POLLIN.cast_unsigned());
            let poll = opcode::PollAdd::new(fd, events).multi(true).build();
            // SAFETY: a poll points to nothing.
            unsafe { self.push(&poll.user_data(ALARM)) };
        }
        Ok(rest)
    }

    /// The one kernel entry of a turn; two when it spins, none when nothing can have happened.
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if wait.is_zero() || self.has_completions() {
            if self.has_submissions() || self.has_deferred() {
                self.enter(0, Some(Duration::ZERO))?;
            }
            return Ok(());
        }
        if !wait.spin.is_zero() {
            if self.has_submissions() {
                self.enter(0, Some(Duration::ZERO))?;
            }
            let until = sys::now() + wait.spin;
            loop {
                if self.has_completions() {
                    return Ok(());
                }
                if self.has_deferred() {
                    return self.enter(0, Some(Duration::ZERO));
                }
                if sys::now() >= until {
                    break;
                }
                std::hint::spin_loop();
            }
        }
        let timeout = self.cover(wait.timeout)?;
        self.enter(1, timeout)
    }

    /// Submits all that is queued, runs deferred work and waits until `min` completions are there
    /// or `timeout` (`None`: for ever) has passed.
    pub(super) fn enter(&mut self, min: u32, timeout: Option<Duration>) -> io::Result<()> {
        let time = timeout.map(Timespec::from);
        loop {
            match self.enter_once(min, time.as_ref()) {
                Ok(()) => return Ok(()),
                Err(e) => match e.raw_os_error() {
                    // The time is over, or a signal came.
                    Some(libc::ETIME | libc::EINTR) => return Ok(()),
                    // No room for completions, or no memory for now: make room, try again.
                    Some(libc::EBUSY | libc::EAGAIN) => self.early.extend(self.ring.completion()),
                    _ => return Err(e),
                },
            }
        }
    }

    fn enter_once(&mut self, min: u32, time: Option<&Timespec>) -> io::Result<()> {
        let submit = self.ring.submission().len();
        // With DEFER_TASKRUN an enter without GETEVENTS would deliver nothing.
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG | EnterFlags::REGISTERED_RING;
        let arguments = Arguments {
            sigmask: 0,
            sigmask_size: 0,
            padding: 0,
            timeout: time.map_or(ptr::null(), ptr::from_ref),
        };
        // SAFETY: `arguments` and the time it points to are valid for reads during the call; what
        // the entries point to is valid by the contract of `push`.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.index,
                submit,
                min,
                flags.bits(),
                &raw const arguments,
                size_of::<Arguments>(),
            )
        };
        if rc < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// An op whose success is not answered and whose failure says nothing.
pub(super) fn silent(entry: Entry) -> Entry {
    entry.flags(Flags::SKIP_SUCCESS).user_data(IGNORED)
}

/// What names an op of a socket to the kernel.
pub(super) fn user_data(socket: Socket, kind: OpKind) -> u64 {
    u64::from(kind as u8) << 56 | u64::from(socket.generation) << 32 | u64::from(socket.slot)
}

/// Whose op that was.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the parts of the user data"
)]
pub(super) fn from_user_data(data: u64) -> (Socket, OpKind) {
    let generation = (data >> 32) as u32 & 0x00FF_FFFF;
    let kind = OpKind::ALL[usize::from((data >> 56) as u8)];
    (
        Socket {
            slot: data as u32,
            generation,
        },
        kind,
    )
}
