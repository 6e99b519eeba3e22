//! Rings and event queues of the simulated kernel, with the interface of the real ones.
//!
//! Simulated below the seam: the real `uring` and `readiness` run on top, so the simulator tests
//! their tables of ops, buffers and cancels. A thread without a simulated world opens real rings
//! and queues.
#![expect(unsafe_code, reason = "reads and writes what submissions point to")]

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::cqueue;
use io_uring::squeue::Entry;
use io_uring::types::BufRingEntry;
use socket2::{SockAddr, SockAddrStorage};

use super::readiness::{EventQueue, Ready};
use super::{Notifier, Wait, epoll, uring_ring};
use crate::sys::sim::{self, Ask, Edge, Fault, Sleep, with};
use crate::sys::{EventFd, SocketRef};

/// A ring of the real or the simulated kernel.
#[derive(Debug)]
pub(super) enum Ring {
    Real(Box<uring_ring::Ring>),
    Simulated(Simulated),
}

/// A ring of the simulated kernel.
#[derive(Debug)]
pub(super) struct Simulated {
    poller: u32,
    submissions: usize,
    entries: Vec<Submission>,
    early: VecDeque<cqueue::Entry>,
    /// The poller sleeps in the kernel without a completion. `wait` returns all the same; the next
    /// wait brings the results of the sleep.
    asleep: bool,
}

/// `struct io_uring_sqe` (`linux/io_uring.h`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Submission {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// Numbers of `linux/io_uring.h`.
const SENDMSG: u8 = 9;
const POLL_ADD: u8 = 6;
const ASYNC_CANCEL: u8 = 14;
const CONNECT: u8 = 16;
const CLOSE: u8 = 19;
const READ: u8 = 22;
const SEND: u8 = 26;
const RECV: u8 = 27;
const SKIP_SUCCESS: u8 = 1 << 6;
const DONTWAIT: u32 = libc::MSG_DONTWAIT.cast_unsigned();
const CANCEL_FD: u32 = 1 << 1;
const CANCEL_ANY: u32 = 1 << 2;

impl Ring {
    pub(super) fn open(submissions: u32, completions: u32, restricted: bool) -> io::Result<Self> {
        if !sim::is_installed() {
            let ring = uring_ring::Ring::open(submissions, completions, restricted)?;
            return Ok(Self::Real(Box::new(ring)));
        }
        let completions = usize::try_from(completions).expect("fits");
        Ok(Self::Simulated(Simulated {
            poller: with(|kernel| kernel.open_ring(completions)),
            submissions: usize::try_from(submissions).expect("fits"),
            entries: Vec::new(),
            early: VecDeque::new(),
            asleep: false,
        }))
    }

    /// See the real ring. The simulated kernel restricts no ring.
    pub(super) fn restrict(&self) -> io::Result<()> {
        match self {
            Self::Real(ring) => ring.restrict(),
            Self::Simulated(_) => Ok(()),
        }
    }

    /// See the real ring.
    ///
    /// # Safety
    /// As for the real ring.
    pub(super) unsafe fn register_buffers(
        &self,
        address: u64,
        entries: u16,
        group: u16,
    ) -> io::Result<()> {
        match self {
            // SAFETY: by this function's contract.
            Self::Real(ring) => unsafe { ring.register_buffers(address, entries, group) },
            Self::Simulated(ring) => {
                let (base, head) = (address as *const BufRingEntry, 0);
                let lent = Lent {
                    base,
                    entries,
                    head,
                };
                with(|kernel| kernel.lend_buffers(ring.poller, Box::new(lent)));
                Ok(())
            }
        }
    }

    /// See the real ring. The simulated kernel keeps the buffers.
    pub(super) fn take_buffers(&mut self, count: usize, group: u16, data: u64) -> io::Result<()> {
        match self {
            Self::Real(ring) => ring.take_buffers(count, group, data),
            Self::Simulated(_) => Ok(()),
        }
    }

    /// See the real ring.
    ///
    /// # Safety
    /// As for the real ring.
    pub(super) unsafe fn push(&mut self, entry: &Entry) {
        match self {
            // SAFETY: by this function's contract.
            Self::Real(ring) => unsafe { ring.push(entry) },
            Self::Simulated(ring) => {
                if ring.entries.len() >= ring.submissions {
                    ring.enter();
                }
                // SAFETY: source and target are the 64 bytes of a submission.
                ring.entries.push(unsafe { mem::transmute_copy(entry) });
            }
        }
    }

    pub(super) fn has_submissions(&mut self) -> bool {
        match self {
            Self::Real(ring) => ring.has_submissions(),
            Self::Simulated(ring) => !ring.entries.is_empty(),
        }
    }

    pub(super) fn is_all_seen(&mut self) -> bool {
        match self {
            Self::Real(ring) => ring.is_all_seen(),
            Self::Simulated(ring) => {
                let poller = ring.poller;
                let has_more = with(|k| k.has_deferred(poller) || k.has_completions(poller));
                ring.entries.is_empty() && ring.early.is_empty() && !has_more
            }
        }
    }

    pub(super) fn is_all_read(&mut self) -> bool {
        match self {
            Self::Real(ring) => ring.is_all_read(),
            Self::Simulated(ring) => {
                let is_awake = !ring.asleep && ring.early.is_empty();
                is_awake && with(|kernel| kernel.has_said_all(ring.poller))
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<cqueue::Entry> {
        match self {
            Self::Real(ring) => ring.next(),
            Self::Simulated(ring) => ring.early.pop_front().or_else(|| ring.take()),
        }
    }

    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Self::Real(ring) => ring.wait(wait),
            Self::Simulated(ring) => {
                ring.wait(wait);
                Ok(())
            }
        }
    }

    pub(super) fn enter(&mut self, min: u32, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Real(ring) => ring.enter(min, timeout),
            Self::Simulated(ring) => {
                ring.enter();
                Ok(())
            }
        }
    }
}

impl Simulated {
    fn take(&self) -> Option<cqueue::Entry> {
        let (data, result, flags) = with(|kernel| kernel.next_completion(self.poller))?;
        let words = [
            data,
            u64::from(flags) << 32 | u64::from(result.cast_unsigned()),
        ];
        // SAFETY: a completion is 64 bits of user data, 32 of result, 32 of flags.
        Some(unsafe { mem::transmute::<[u64; 2], cqueue::Entry>(words) })
    }

    fn wait(&mut self, wait: Wait) {
        let here = !self.early.is_empty() || with(|kernel| kernel.has_completions(self.poller));
        if wait.is_zero() || here {
            let deferred = with(|kernel| kernel.has_deferred(self.poller));
            if deferred || !self.entries.is_empty() {
                self.enter();
            }
            self.asleep = false;
            with(|kernel| kernel.ring_sleeps(self.poller, Sleep::Not));
            return;
        }
        self.enter();
        self.asleep = !with(|kernel| kernel.has_completions(self.poller));
        let until = wait.timeout.map(nanos);
        with(|kernel| {
            let until = until.map(|time| kernel.now.saturating_add(time));
            kernel.ring_sleeps(self.poller, Sleep::Until(until));
        });
    }

    fn enter(&mut self) {
        self.asleep = false;
        let entries = self.entries.drain(..).map(decode).collect();
        let mut entered = with(|kernel| {
            let interrupted = kernel.strikes(Fault::EnterInterrupted, 10);
            if interrupted {
                kernel.take_entries(self.poller, entries);
                return Ok(());
            }
            kernel.enter(self.poller, entries)
        });
        while entered.is_err() {
            // As the real ring does: empty the completion queue, try again.
            while let Some(completion) = self.take() {
                self.early.push_back(completion);
            }
            entered = with(|kernel| kernel.enter(self.poller, Vec::new()));
        }
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if sim::is_installed() && !std::thread::panicking() {
            with(|kernel| kernel.close_poller(self.poller));
        }
    }
}

/// The request of a submission.
fn decode(entry: Submission) -> sim::Entry {
    let ask = match entry.opcode {
        RECV => Ask::Receive,
        SEND => Ask::Send(Box::new(Plain {
            at: entry.addr as *mut u8,
            bytes: usize::try_from(entry.len).expect("fits"),
        })),
        SENDMSG => Ask::Send(Box::new(Message(entry.addr as *const libc::msghdr))),
        POLL_ADD => Ask::Poll {
            read: entry.op_flags & u32::from(libc::POLLIN.cast_unsigned()) != 0,
            write: entry.op_flags & u32::from(libc::POLLOUT.cast_unsigned()) != 0,
        },
        // The offset field holds the address's length.
        CONNECT => Ask::Connect(address(entry.addr, entry.off)),
        READ => Ask::ReadCounter(Box::new(Plain {
            at: entry.addr as *mut u8,
            bytes: 8,
        })),
        ASYNC_CANCEL if entry.op_flags & CANCEL_ANY != 0 => Ask::CancelEverything,
        ASYNC_CANCEL if entry.op_flags & CANCEL_FD != 0 => Ask::CancelAllOf(entry.fd),
        ASYNC_CANCEL => Ask::Cancel(entry.addr),
        CLOSE => Ask::Close,
        other => panic!("the simulated ring does not know opcode {other}"),
    };
    sim::Entry {
        ask,
        descriptor: entry.fd,
        data: entry.user_data,
        silent: entry.flags & SKIP_SUCCESS != 0,
        at_once: entry.opcode != POLL_ADD && entry.op_flags & DONTWAIT != 0,
    }
}

fn address(at: u64, length: u64) -> SocketAddr {
    let mut storage = SockAddrStorage::zeroed();
    let length = libc::socklen_t::try_from(length).expect("an address's length");
    let bytes = usize::try_from(length).expect("an address's length");
    let to = (&raw mut storage).cast::<u8>();
    // SAFETY: the submitter keeps `bytes` bytes valid until the completion; they fit the storage.
    unsafe { std::ptr::copy_nonoverlapping(at as *const u8, to, bytes) };
    // SAFETY: an address of that length has just been written.
    let address = unsafe { SockAddr::new(storage, length) };
    address.as_socket().expect("an address of TCP")
}

/// A range of memory.
struct Plain {
    at: *mut u8,
    bytes: usize,
}

impl sim::Memory for Plain {
    fn read(&self, max: usize) -> Vec<u8> {
        // SAFETY: the submitter keeps the range valid until the completion, which has not come.
        let all = unsafe { slice::from_raw_parts(self.at, self.bytes) };
        all.iter().take(max).copied().collect()
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn write(&self, value: u64) {
        // SAFETY: as above; the range is eight bytes, aligned or not.
        unsafe { self.at.cast::<u64>().write_unaligned(value) };
    }

    fn pieces(&self) -> usize {
        1
    }
}

/// A message in several pieces.
struct Message(*const libc::msghdr);

impl Message {
    fn parts(&self) -> &[libc::iovec] {
        // SAFETY: the submitter keeps the header valid until the completion.
        let header = unsafe { &*self.0 };
        // SAFETY: as above, for the header's array.
        unsafe { slice::from_raw_parts(header.msg_iov, header.msg_iovlen) }
    }
}

impl sim::Memory for Message {
    fn read(&self, max: usize) -> Vec<u8> {
        let bytes = self.parts().iter().flat_map(|part| {
            // SAFETY: as above, for the part's bytes.
            unsafe { slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) }
        });
        bytes.take(max).copied().collect()
    }

    fn len(&self) -> usize {
        self.parts().iter().map(|part| part.iov_len).sum()
    }

    fn write(&self, _: u64) {
        unreachable!("nothing is read into a message");
    }

    fn pieces(&self) -> usize {
        self.parts().len()
    }
}

/// The provided buffer ring in a process's memory.
struct Lent {
    base: *const BufRingEntry,
    entries: u16,
    head: u16,
}

impl sim::Buffers for Lent {
    fn fill(&mut self, input: &mut VecDeque<u8>, max: usize) -> Option<(u16, usize)> {
        // SAFETY: the base is the ring's own, and the ring lives as long as the poller.
        let tail = unsafe { BufRingEntry::tail(self.base) }.cast_mut();
        // SAFETY: the tail is aligned, and both sides access it atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail) };
        if self.head == tail.load(Ordering::Acquire) {
            return None;
        }
        let slot = usize::from(self.head & (self.entries - 1));
        // SAFETY: `slot` is below the number of entries.
        let entry = unsafe { self.base.add(slot) };
        // SAFETY: the submitter writes an entry before the tail that passes it.
        let entry = unsafe { &*entry };
        self.head = self.head.wrapping_add(1);
        let room = usize::try_from(entry.len()).expect("fits");
        let bytes = room.min(max).min(input.len());
        let to = entry.addr() as *mut u8;
        // SAFETY: a provided buffer is valid for writes of its length, and only the kernel uses it.
        let to = unsafe { slice::from_raw_parts_mut(to, bytes) };
        let (first, last) = input.as_slices();
        let from_first = bytes.min(first.len());
        to[..from_first].copy_from_slice(&first[..from_first]);
        to[from_first..].copy_from_slice(&last[..bytes - from_first]);
        input.drain(..bytes);
        Some((entry.bid(), bytes))
    }
}

/// An event queue of the real or the simulated kernel.
#[derive(Debug)]
pub(super) enum Queue {
    Real(epoll::Epoll),
    Simulated { poller: u32, notifier: Arc<EventFd> },
}

impl Queue {
    pub(super) fn open() -> io::Result<Self> {
        if !sim::is_installed() {
            return epoll::Epoll::open().map(Self::Real);
        }
        let notifier = Arc::new(EventFd::open()?);
        let number = std::os::fd::AsFd::as_fd(&*notifier).as_raw_fd();
        let poller = with(|kernel| {
            let poller = kernel.open_queue();
            kernel.watch(poller, number, 0).map(|()| poller)
        });
        let poller = poller.map_err(io::Error::from_raw_os_error)?;
        Ok(Self::Simulated { poller, notifier })
    }
}

impl EventQueue for Queue {
    const REPORTS_URGENT_DATA: bool = true;

    fn register(&mut self, fd: SocketRef<'_>, token: u64) -> io::Result<()> {
        match self {
            Self::Real(queue) => queue.register(fd, token),
            Self::Simulated { poller, .. } => {
                with(|kernel| kernel.watch(*poller, fd.as_raw_fd(), token))
                    .map_err(io::Error::from_raw_os_error)
            }
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, to: &mut Vec<Ready>) -> io::Result<bool> {
        let poller = match self {
            Self::Real(queue) => return queue.wait(timeout, to),
            Self::Simulated { poller, .. } => *poller,
        };
        let mut edges = Vec::new();
        let notified = with(|k| k.take_edges(poller, timeout.map(nanos), &mut edges));
        to.extend(edges.iter().map(|edge: &Edge| Ready {
            token: edge.token,
            readable: edge.readable,
            writable: edge.writable,
            ended: edge.ended,
        }));
        Ok(notified)
    }

    fn notifier(&self) -> Notifier {
        match self {
            Self::Real(queue) => queue.notifier(),
            Self::Simulated { notifier, .. } => Notifier(Arc::<EventFd>::clone(notifier)),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Self::Simulated { poller, .. } = self
            && sim::is_installed()
        {
            with(|kernel| kernel.close_poller(*poller));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
