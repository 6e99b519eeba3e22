//! An io_uring instance: set-up, submission, and the one system call.
#![expect(unsafe_code, reason = "system calls")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::time::Duration;

use io_uring::register::Restriction;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Timespec};
use io_uring::{EnterFlags, IoUring, Submitter, cqueue, opcode};

use super::Wait;
use super::alarm::Alarm;
use super::op::{OpKind, Socket};
use crate::sys;

/// `IORING_REGISTER_RING_FDS` (Linux 5.18); the crate does not expose the index.
const REGISTER_RING_FDS: libc::c_uint = 20;
/// `IORING_UNREGISTER_RING_FDS`.
const UNREGISTER_RING_FDS: libc::c_uint = 21;
/// The operations of the back end, for restricted rings.
const OPERATIONS: &[u8] = &[
    opcode::AsyncCancel::CODE,
    opcode::Close::CODE,
    opcode::Connect::CODE,
    opcode::PollAdd::CODE,
    opcode::Read::CODE,
    opcode::Recv::CODE,
    opcode::Send::CODE,
    opcode::SendMsg::CODE,
];
/// User data of ops whose completions are dropped.
pub(super) const IGNORED: u64 = u64::MAX - 1;
/// User data of the alarm's poll; `uring` defines the rest.
const ALARM: u64 = u64::MAX - 2;

pub(super) struct Ring {
    ring: IoUring,
    /// Index of the registered ring descriptor: saves the descriptor's look-up in each `enter`.
    index: u32,
    /// Completions read early, to make room in the completion queue.
    early: VecDeque<cqueue::Entry>,
    alarm: Alarm,
    /// The kernel polls the alarm.
    alarm_polled: bool,
}

impl Drop for Ring {
    /// Unregisters the ring. A thread has 16 slots for registered rings; a registered ring keeps
    /// all its memory until the thread ends (`io_uring_register(2)`).
    fn drop(&mut self) {
        let mut update = RingUpdate {
            offset: self.index,
            reserved: 0,
            data: 0,
        };
        let (nr, fd) = (libc::SYS_io_uring_register, self.ring.as_raw_fd());
        // SAFETY: `update` is valid for a read during the call. The call fails only outside the
        // ring's own thread, and the slot ends with that thread.
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
    /// `restricted` rings are open to `register_buffers` alone until `restrict`.
    pub(super) fn open(submissions: u32, completions: u32, restricted: bool) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        if restricted {
            builder.setup_r_disabled();
        }
        let ring = builder
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

    /// Restricts and opens a ring that was opened `restricted`.
    pub(super) fn restrict(&self) -> io::Result<()> {
        restrict(&self.ring.submitter())
    }

    /// Registers memory as the provided buffer ring of `group`.
    ///
    /// # Safety
    /// The memory is page-aligned, holds `entries` entries, and lives longer than the ring.
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

    /// Makes the kernel return up to `count` buffers of a group, each in a completion with this
    /// user data, by receives of one byte each. No other call returns buffers safely: after
    /// unregistering the group a kernel thread may still write to some of the buffers.
    ///
    /// # Errors
    /// No descriptors for the socket pair.
    pub(super) fn take_buffers(&mut self, count: usize, group: u16, data: u64) -> io::Result<()> {
        let (reader, mut writer) = UnixStream::pair()?;
        writer.write_all(&vec![0; count])?;
        // With the writer closed, a receive without a byte left completes as well.
        drop(writer);
        for _ in 0..count {
            let receive = opcode::Recv::new(Fd(reader.as_raw_fd()), ptr::null_mut(), 1)
                .buf_group(group)
                .build()
                .flags(Flags::BUFFER_SELECT)
                .user_data(data);
            // SAFETY: the entry contains no pointers; the buffers are the group's.
            unsafe { self.push(&receive) };
        }
        // The kernel holds the socket once it has consumed the entries; until then its number must
        // not be reused.
        while self.has_submissions() {
            self.enter(0, None)?;
        }
        Ok(())
    }

    /// Queues an entry, entering the kernel first if the queue is full.
    ///
    /// # Safety
    /// All memory that the entry points to stays valid until its final completion.
    pub(super) unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: by this function's contract.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // A submission queue that cannot be flushed is a broken ring: nothing can go on.
            self.enter(0, None)
                .expect("io_uring takes the queued entries");
        }
    }

    /// Whether entries wait in the submission queue.
    pub(super) fn has_submissions(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Whether an `enter` would bring completions: deferred work, or an overflow to be flushed.
    /// Reads shared memory only.
    fn has_deferred(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Whether the kernel has consumed every submission and every completion is read. Reads shared
    /// memory only.
    pub(super) fn is_all_seen(&mut self) -> bool {
        !self.has_submissions() && !self.has_deferred() && !self.has_completions()
    }

    /// Whether completions are queued. Reads shared memory only.
    fn has_completions(&mut self) -> bool {
        !self.early.is_empty() || !self.ring.completion().is_empty()
    }

    /// Whether every completion that the kernel has posted is read. Reads shared memory only.
    pub(super) fn is_all_read(&mut self) -> bool {
        !self.ring.submission().cq_overflow() && !self.has_completions()
    }

    /// Takes one completion off the queue.
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

    /// Makes an `enter` end by `timeout`; returns the timeout to pass to `enter` itself.
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

    /// One kernel entry per turn; two when spinning, none when nothing can have completed.
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

    /// Submits all queued entries, runs deferred work and waits until `min` completions are posted
    /// or `timeout` (`None`: for ever) has passed.
    pub(super) fn enter(&mut self, min: u32, timeout: Option<Duration>) -> io::Result<()> {
        let time = timeout.map(Timespec::from);
        loop {
            match self.enter_once(min, time.as_ref()) {
                Ok(()) => return Ok(()),
                Err(e) => match e.raw_os_error() {
                    // The timeout has expired, or a signal came.
                    Some(libc::ETIME | libc::EINTR) => return Ok(()),
                    // No room for completions, or no memory for now: empty the queue, try again.
                    Some(libc::EBUSY | libc::EAGAIN) => self.early.extend(self.ring.completion()),
                    _ => return Err(e),
                },
            }
        }
    }

    fn enter_once(&mut self, min: u32, time: Option<&Timespec>) -> io::Result<()> {
        let submit = self.ring.submission().len();
        // With DEFER_TASKRUN an enter without GETEVENTS would post no completion.
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG | EnterFlags::REGISTERED_RING;
        let arguments = Arguments {
            sigmask: 0,
            sigmask_size: 0,
            padding: 0,
            timeout: time.map_or(ptr::null(), ptr::from_ref),
        };
        // SAFETY: `arguments` and the time in it are valid for reads during the call; all memory
        // that the entries point to is valid by the contract of `push`.
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

/// Drops the op's completion: the kernel omits successes, the poller ignores failures.
pub(super) fn silent(entry: Entry) -> Entry {
    entry.flags(Flags::SKIP_SUCCESS).user_data(IGNORED)
}

/// The user data of a socket's op.
pub(super) fn user_data(socket: Socket, kind: OpKind) -> u64 {
    u64::from(kind as u8) << 56 | u64::from(socket.generation) << 32 | u64::from(socket.slot)
}

/// The socket and the op's kind in user data.
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

/// Restricts a disabled ring to the operations, flags and registrations of the back end for the
/// life of the ring, then enables the ring for the calling thread (`io_uring_register(2)`, Linux
/// 5.10). A filter on system calls does not see the operations of a ring.
pub(super) fn restrict(ring: &Submitter<'_>) -> io::Result<()> {
    let flags = Flags::BUFFER_SELECT | Flags::SKIP_SUCCESS;
    // The end of a ring; every other registration happens while the ring is disabled.
    let registration = u8::try_from(UNREGISTER_RING_FDS).expect("the code is a byte");
    let mut restrictions = vec![
        Restriction::sqe_flags_allowed(flags.bits()),
        Restriction::register_op(registration),
    ];
    restrictions.extend(OPERATIONS.iter().map(|code| Restriction::sqe_op(*code)));
    ring.register_restrictions(&mut restrictions)?;
    ring.register_enable_rings()
}

/// Tries the restrictions on a ring, and closes the ring; returns the number of permitted
/// operations.
///
/// # Errors
/// The kernel's, if the kernel does not restrict rings.
pub(super) fn try_restrictions() -> io::Result<usize> {
    let ring: IoUring = IoUring::builder().setup_r_disabled().build(2)?;
    restrict(&ring.submitter())?;
    Ok(OPERATIONS.len())
}
