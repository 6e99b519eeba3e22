//! Linux only: affinity masks, pipes, socket figures, eventfd, timerfd, thread progress.
#![expect(unsafe_code, reason = "system calls")]

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::SockRef;

#[cfg(not(feature = "sim"))]
pub(crate) use super::listener_filter::{prefer_listeners_from, stop_listening, turn_away};
use super::system_call::{NO_SIGNAL, checked, retry};
pub(crate) use super::thread_call::thread_call;

/// The CPUs that this process may use, ascending (`sched_getaffinity(2)`).
///
/// # Errors
/// The error of the system call.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    let bytes = size_of::<libc::cpu_set_t>();
    // SAFETY: the pointer is valid for a write of `bytes`.
    checked(unsafe { libc::sched_getaffinity(0, bytes, set.as_mut_ptr()) })?;
    // SAFETY: zeroed is a valid (empty) set, and the call has filled the set.
    let set = unsafe { set.assume_init() };
    // SAFETY: every index is below the size of the set.
    let allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    Ok((0..8 * bytes).filter(allowed).collect())
}

/// Pins the calling thread to a CPU (`sched_setaffinity(2)`).
///
/// # Errors
/// `InvalidInput` when the process may not use the CPU.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let bytes = size_of::<libc::cpu_set_t>();
    if cpu >= 8 * bytes {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeroes is the empty set.
    let mut set = unsafe { MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init() };
    // SAFETY: the index is below the size of the set, by the check above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the pointer is valid for a read of `bytes`.
    checked(unsafe { libc::sched_setaffinity(0, bytes, &raw const set) }).map(drop)
}

/// Reads without waiting (`recv(2)`), past libc's function: libc makes the call a cancellation
/// point, at the cost of four locked instructions in a process of several threads. corelane cancels
/// no threads. With [`send_now`] this saves 89 of 1,550 instructions of a message on epoll, eight
/// of them locked.
pub(super) fn recv_now(socket: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let (to, bytes) = (into.as_mut_ptr(), into.len());
    let (nr, fd) = (libc::SYS_recvfrom, socket.as_raw_fd());
    // SAFETY: `to` is valid for writes of `bytes` during the call; no address is asked for.
    checked(unsafe { libc::syscall(nr, fd, to, bytes, libc::MSG_DONTWAIT, 0_usize, 0_usize) })
}

/// Writes without waiting (`send(2)`), past libc's function like [`recv_now`].
pub(super) fn send_now(socket: BorrowedFd<'_>, part: &[u8]) -> io::Result<usize> {
    let (from, bytes) = (part.as_ptr(), part.len());
    let (nr, fd) = (libc::SYS_sendto, socket.as_raw_fd());
    // SAFETY: `from` is valid for reads of `bytes` during the call; no address is given.
    checked(unsafe { libc::syscall(nr, fd, from, bytes, NO_SIGNAL, 0_usize, 0_usize) })
}

/// The smallest pipe worth two system calls for each move: with less, reads and writes through a
/// buffer of the process move more bytes for each call.
const PIPE_BYTES_MIN: usize = 64 * 1024;

/// A pipe that carries bytes from socket to socket without a copy (`splice(2)`).
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// Opens a pipe for `bytes`, or fewer if the system grants fewer (`F_SETPIPE_SZ`, pipe(7)): an
    /// ordinary user has 64 pipes of 1 MiB in all processes together, and more of 8 KiB, which stay
    /// so (`pipe-user-pages-soft`; tried on 6.18).
    ///
    /// # Errors
    /// Out of descriptors; or `OutOfMemory`, when fewer than [`PIPE_BYTES_MIN`] are granted.
    pub(crate) fn open(bytes: libc::c_int) -> io::Result<Self> {
        let mut ends = [-1; 2];
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the array is valid for a write of two descriptors.
        checked(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) })?;
        // SAFETY: the call succeeded, so the descriptor is open and has no owner yet.
        let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
        // SAFETY: as above.
        let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
        // SAFETY: no pointers. If the call fails, the pipe keeps its size.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
        // SAFETY: no pointers.
        let granted = checked(unsafe { libc::fcntl(write.as_raw_fd(), libc::F_GETPIPE_SZ) })?;
        if granted < PIPE_BYTES_MIN {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(Self { read, write })
    }

    /// Moves received bytes of a non-blocking socket into the pipe, at most `max`; 0 is the peer's
    /// FIN.
    pub(crate) fn fill(&self, from: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        splice(from, self.write.as_fd(), max)
    }

    /// Moves at most `max` bytes out of the pipe into a non-blocking socket. A lost peer is an
    /// error, and not a signal as long as the process ignores `SIGPIPE`.
    pub(crate) fn drain(&self, to: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        splice(self.read.as_fd(), to, max)
    }

    /// Reads bytes out of the pipe.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let (fd, bytes) = (self.read.as_raw_fd(), into.len());
        // SAFETY: `into` is valid for writes of `bytes`.
        retry(|| checked(unsafe { libc::read(fd, into.as_mut_ptr().cast(), bytes) }))
    }
}

/// Whether a failed splice means that splice is unavailable, rather than a failed socket: not for
/// these sockets, this system or this sandbox, or no memory (splice(2)).
pub(crate) fn is_without_splice(error: &io::Error) -> bool {
    let codes = [libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let (no_offset, flags) = (
        std::ptr::null_mut(),
        libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
    );
    // SAFETY: sockets and pipes require null offsets.
    retry(|| checked(unsafe { libc::splice(from, no_offset, to, no_offset, max, flags) }))
}

/// How many bytes fit into the socket's send buffer by the kernel's accounting (`SO_MEMINFO`, Linux
/// 4.12), limited by the room below `TCP_NOTSENT_LOWAT`.
pub(crate) fn send_room(socket: BorrowedFd<'_>) -> io::Result<usize> {
    /// Places in the array (`SK_MEMINFO_*` of `linux/sock_diag.h`).
    const WMEM_ALLOC: usize = 2;
    const SNDBUF: usize = 3;
    const WMEM_QUEUED: usize = 5;
    let mut info = [0_u32; 9];
    let mut bytes = libc::socklen_t::try_from(size_of_val(&info)).expect("36 bytes");
    let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
    let into = info.as_mut_ptr().cast();
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    checked(rc)?;
    let unsent_room = match unsent_room(socket) {
        // A unix socket has no queue of its own: it pays for what its peer has not read.
        Err(error) if is_not_tcp(&error) => {
            let room = info[SNDBUF].saturating_sub(info[WMEM_ALLOC]);
            return Ok(usize::try_from(room).unwrap_or(usize::MAX));
        }
        room => room?.unwrap_or(u32::MAX),
    };
    let room = info[SNDBUF].saturating_sub(info[WMEM_QUEUED]);
    Ok(usize::try_from(room.min(unsent_room)).unwrap_or(usize::MAX))
}

/// How many more bytes may wait unsent; `None` without a limit on the socket.
fn unsent_room(socket: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    /// Of the kernel's `linux/sockios.h`.
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    let (mut most, mut unsent) = (0_u32, 0_u32);
    let mut bytes = libc::socklen_t::try_from(size_of_val(&most)).expect("four bytes");
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
    let into = (&raw mut most).cast();
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    checked(rc)?;
    if most == 0 {
        return Ok(None);
    }
    // SAFETY: the request writes a single int; the pointer is valid for the write.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQNSD, &raw mut unsent) })?;
    Ok(Some(most.saturating_sub(unsent)))
}

/// How many sent bytes the peer has not acknowledged (`SIOCOUTQ`, tcp(7)).
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request (TIOCOUTQ is SIOCOUTQ's number) writes a single int; the pointer is valid
    // for the write.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    checked(bytes)
}

/// How many received bytes are unread (`SIOCINQ`, tcp(7)).
#[cfg(any(test, feature = "sim"))]
pub(crate) fn unread(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request (FIONREAD is SIOCINQ's number) writes a single int; the pointer is valid
    // for the write.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    checked(bytes)
}

/// How many bytes the peer has acknowledged (`tcpi_bytes_acked` of `TCP_INFO`, Linux 4.1).
pub(crate) fn acknowledged_total(socket: BorrowedFd<'_>) -> io::Result<u64> {
    // In `struct tcp_info`, eight bytes, 24 words and two rates precede the field.
    const OFFSET: usize = 8 + 24 * 4 + 2 * 8;
    let mut info = [0_u8; OFFSET + 8];
    let mut bytes = libc::socklen_t::try_from(info.len()).expect("128 bytes");
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let into = info.as_mut_ptr().cast();
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    checked(rc)?;
    let total = info.last_chunk().expect("it is longer than a word");
    Ok(u64::from_ne_bytes(*total))
}

/// Whether an option of TCP failed because the socket is a unix socket (unix(7)).
fn is_not_tcp(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

/// Whether a close can destroy nothing that was sent: the connection was reset, or both FINs are
/// acknowledged (`TCP_INFO`, tcp(7)), or it is no TCP connection. What a unix socket has sent is
/// its peer's.
pub(crate) fn is_closed(socket: BorrowedFd<'_>) -> bool {
    match tcp_state(socket) {
        Ok(state) => state == TCP_CLOSE,
        Err(error) => is_not_tcp(&error),
    }
}

/// Whether a connect has begun and the peer has not answered. With `TCP_FASTOPEN_CONNECT` a connect
/// reports success at once and waits for the first bytes to send with the SYN.
pub(crate) fn is_connecting(socket: BorrowedFd<'_>) -> bool {
    tcp_state(socket).is_ok_and(|state| state == TCP_SYN_SENT)
}

// From the enum in the kernel's `net/tcp_states.h`, which is ABI, since `TCP_INFO` returns the
// state.
const TCP_SYN_SENT: u8 = 2;
const TCP_CLOSE: u8 = 7;

/// The first byte of `TCP_INFO`.
fn tcp_state(socket: BorrowedFd<'_>) -> io::Result<u8> {
    let mut state = 0_u8;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    let mut bytes: libc::socklen_t = 1;
    let into = (&raw mut state).cast();
    // SAFETY: `into` is valid for a write of a byte, the first of `struct tcp_info`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut bytes) };
    checked(rc)?;
    Ok(state)
}

/// `TCP_FASTOPEN` on a listener: how many connections may carry data before the end of their
/// handshake (Linux 3.7).
pub(crate) fn set_fast_open(socket: BorrowedFd<'_>, queue: u32) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, queue)
}

/// `TCP_FASTOPEN_CONNECT`: the first bytes go with the handshake (Linux 4.11).
pub(crate) fn set_fast_open_connect(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1)
}

/// `IP_FREEBIND`: a bind to an address that no interface has. IPv6 sockets have the same flag.
pub(crate) fn set_freebind(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1)
}

/// The process at the other end of a unix socket, as it was when it began to listen
/// (`SO_PEERCRED`, unix(7)).
pub(super) fn peer_pid(socket: &impl AsFd) -> Option<libc::pid_t> {
    let mut peer = MaybeUninit::<libc::ucred>::uninit();
    let mut bytes = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("12 bytes");
    let (socket, into) = (socket.as_fd().as_raw_fd(), peer.as_mut_ptr().cast());
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: `into` is valid for writes of `bytes`.
    let rc = unsafe { libc::getsockopt(socket, level, name, into, &raw mut bytes) };
    // SAFETY: the call succeeded and so filled the structure.
    (rc == 0).then(|| unsafe { peer.assume_init() }.pid)
}

/// `TCP_USER_TIMEOUT`.
pub(crate) fn set_user_timeout(socket: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_user_timeout(Some(time))
}

/// `TCP_MAXSEG`: bytes of a segment, both ways; from 88 to 32,767.
pub(crate) fn set_largest_segment(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_mss(bytes)
}

/// `TCP_NOTSENT_LOWAT`.
pub(crate) fn set_notsent_lowat(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_notsent_lowat(bytes)
}

/// `TCP_CONGESTION`; `NotFound` for a name that the kernel does not know.
pub(crate) fn set_congestion(socket: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_congestion(name.as_bytes())
}

/// Microseconds of the system's monotonic clock, as other processes read it.
pub(crate) fn monotonic_micros() -> u64 {
    let mut time = timespec(Duration::ZERO);
    // SAFETY: the pointer is valid for a write of a timespec. Every kernel has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    u64::try_from(micros).unwrap_or(0)
}

/// A bind of this socket to port 0 leaves the port to the connect (`IP_BIND_ADDRESS_NO_PORT`,
/// Linux 4.2).
pub(super) fn choose_port_at_connect(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: u32,
) -> io::Result<()> {
    let bytes = libc::socklen_t::try_from(size_of::<u32>()).expect("four bytes");
    let from = (&raw const value).cast();
    // SAFETY: `from` is valid for reads of `bytes`.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, from, bytes) }).map(drop)
}

/// Makes the allocator return free pages to the system, also between used pages (`malloc_trim(3)`,
/// glibc; musl's allocator does so by itself).
#[cfg(not(feature = "sim"))]
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// The calling thread, by the system's number (`gettid(2)`).
pub(crate) fn thread_id() -> u32 {
    // SAFETY: no arguments, never fails.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// The CPU time of a thread, and whether the thread wants a CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadProgress {
    /// The thread's CPU time.
    pub(crate) cpu: Duration,
    /// Whether the thread runs or waits for a CPU; otherwise the thread waits in the kernel.
    pub(crate) runnable: bool,
}

/// How far a thread of this process has come (`/proc/PID/schedstat`, first field, and the state in
/// `/proc/PID/stat`); nothing, and runnable, where the kernel does not say.
pub(crate) fn thread_progress(thread: u32) -> ThreadProgress {
    let read = |file| fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok();
    let nanos = read("schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
    // The state follows the name. A name may contain any character but ends at the last
    // parenthesis.
    let state = read("stat").and_then(|text| text.rsplit_once(") ")?.1.chars().next());
    ThreadProgress {
        cpu: Duration::from_nanos(nanos.unwrap_or(0)),
        runnable: state.is_none_or(|state| state == 'R'),
    }
}

/// The value of `kernel.io_uring_disabled` (0 on, 1 privileged only, 2 off), if there is one
/// (Linux 6.6).
#[must_use]
pub(crate) fn io_uring_disabled() -> Option<u32> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

/// A counter that wakes a poller (`eventfd(2)`); reads block.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// Opens a close-on-exec counter.
    pub(crate) fn open() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        checked(fd)?;
        // SAFETY: the call succeeded, so `fd` is open and has no owner yet.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wakes the poller.
    pub(crate) fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the buffer is valid for a read of eight bytes. The write fails only when the
        // counter is full, and then the poller has been woken already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A timer that makes a descriptor readable (`timerfd_create(2)`).
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    /// Opens a close-on-exec timer, not armed.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        checked(fd)?;
        // SAFETY: the call succeeded, so `fd` is open and has no owner yet.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Arms the timer to fire once, after `after`, instead of an earlier setting.
    pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
        let time = libc::itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(after.max(Duration::from_nanos(1))),
        };
        let fd = self.0.as_raw_fd();
        // SAFETY: the time is valid for a read during the call.
        let rc = unsafe { libc::timerfd_settime(fd, 0, &raw const time, std::ptr::null_mut()) };
        checked(rc).map(drop)
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A duration for a system call; at most 136 years.
pub(crate) fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: u32::try_from(time.as_secs()).unwrap_or(u32::MAX).into(),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{PIPE_BYTES_MIN, Pipe};

    /// As an ordinary user's are, from the 65th on.
    #[test]
    fn a_pipe_of_two_pages_is_worse_than_none() {
        let error = Pipe::open(8192).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let least = PIPE_BYTES_MIN.try_into().unwrap();
        assert!(Pipe::open(least).is_ok());
    }
}
