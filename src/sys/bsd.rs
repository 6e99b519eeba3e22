//! macOS and the BSDs: the same names as in `linux.rs`.
//!
//! Only FreeBSD lets a thread choose its CPU by number. macOS has affinity tags, which separate
//! threads of different tags, on Intel only. On the remaining systems the scheduler decides.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use super::handle::SocketRef;
#[cfg(not(target_os = "freebsd"))]
use super::not_linux::no_option;
use super::socket::peer_address;
use super::system_call::{NO_SIGNAL, checked};

/// The CPUs that this process may use.
///
/// # Errors
/// The system does not know the number of CPUs.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    Ok((0..thread::available_parallelism()?.get()).collect())
}

/// Reads without waiting (`recv(2)`).
pub(super) fn recv_now(socket: SocketRef<'_>, into: &mut [u8]) -> io::Result<usize> {
    let (to, bytes) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: `to` is valid for writes of `bytes` during the call.
    checked(unsafe { libc::recv(socket.as_raw_fd(), to, bytes, libc::MSG_DONTWAIT) })
}

/// Writes without waiting (`send(2)`).
pub(super) fn send_now(socket: SocketRef<'_>, part: &[u8]) -> io::Result<usize> {
    socket2::SockRef::from(&socket).send_with_flags(part, NO_SIGNAL)
}

/// Pins the calling thread to a CPU (`cpuset_setaffinity(2)`).
///
/// # Errors
/// `InvalidInput` when the process may not use the CPU.
#[cfg(target_os = "freebsd")]
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    use std::mem::MaybeUninit;
    let bytes = size_of::<libc::cpuset_t>();
    if cpu >= 8 * bytes {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all zeroes is the empty set.
    let mut set = unsafe { MaybeUninit::<libc::cpuset_t>::zeroed().assume_init() };
    // SAFETY: the index is below the size of the set, by the check above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    let (level, which) = (libc::CPU_LEVEL_WHICH, libc::CPU_WHICH_TID);
    // SAFETY: the pointer is valid for a read of `bytes`; -1 is the calling thread.
    let rc = unsafe { libc::cpuset_setaffinity(level, which, -1, bytes, &raw const set) };
    checked(rc).map(drop)
}

/// Asks the scheduler to separate this thread from threads with a different tag
/// (`THREAD_AFFINITY_POLICY`, `mach/thread_policy.h`). Apple's own processors ignore the tag.
///
/// # Errors
/// Never.
#[cfg(target_os = "macos")]
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let mut tag = i32::try_from(cpu).map_or(0, |cpu| cpu + 1);
    // SAFETY: no arguments. The port belongs to the thread, and std keeps a reference.
    let thread = unsafe { libc::pthread_mach_thread_np(libc::pthread_self()) };
    let flavor = libc::THREAD_AFFINITY_POLICY.cast_unsigned();
    // SAFETY: the policy is a single integer, valid for the call.
    let _hint = unsafe { libc::thread_policy_set(thread, flavor, &raw mut tag, 1) };
    Ok(())
}

/// Nothing to do: this system lets no unprivileged thread choose its CPU.
///
/// # Errors
/// Never.
#[cfg(not(any(target_os = "freebsd", target_os = "macos")))]
pub(crate) fn pin_to(_cpu: usize) -> io::Result<()> {
    Ok(())
}

/// How many bytes fit into the socket's send buffer.
pub(crate) fn send_room(socket: SocketRef<'_>) -> io::Result<usize> {
    let size = socket2::SockRef::from(&socket).send_buffer_size()?;
    Ok(size.saturating_sub(unacknowledged(socket)?))
}

/// How many sent bytes the peer has not acknowledged: the contents of the send buffer
/// (`SO_NWRITE`).
#[cfg(target_os = "macos")]
pub(crate) fn unacknowledged(socket: SocketRef<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&bytes)).expect("four bytes");
    let (level, name) = (libc::SOL_SOCKET, libc::SO_NWRITE);
    let into = (&raw mut bytes).cast();
    // SAFETY: `into` is valid for writes of `length`.
    let rc = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, into, &raw mut length) };
    checked(rc)?;
    checked(bytes)
}

/// How many sent bytes the peer has not acknowledged: the contents of the send buffer
/// (`FIONWRITE`).
#[cfg(any(target_os = "freebsd", target_os = "netbsd"))]
pub(crate) fn unacknowledged(socket: SocketRef<'_>) -> io::Result<usize> {
    /// `_IOR('f', 119, int)` on FreeBSD, `_IOR('f', 121, int)` on NetBSD (`sys/filio.h`).
    const FIONWRITE: libc::c_ulong = if cfg!(target_os = "freebsd") {
        0x4004_6677
    } else {
        0x4004_6679
    };
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes a single int; the pointer is valid for the write.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), FIONWRITE, &raw mut bytes) })?;
    checked(bytes)
}

/// Unknown here: zero, so that no reset waits for an acknowledgement.
#[cfg(not(any(target_os = "macos", target_os = "freebsd", target_os = "netbsd")))]
pub(crate) fn unacknowledged(_socket: SocketRef<'_>) -> io::Result<usize> {
    Ok(0)
}

/// How many received bytes are unread (`FIONREAD`).
#[cfg(test)]
pub(crate) fn unread(socket: SocketRef<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes a single int; the pointer is valid for the write.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    checked(bytes)
}

/// Whether the connection is over: a socket without a peer has no peer address (getpeername(2)).
pub(crate) fn is_closed(socket: SocketRef<'_>) -> bool {
    peer_address(socket).is_err()
}

/// `TCP_CONGESTION`, by name.
#[cfg(target_os = "freebsd")]
pub(crate) fn set_congestion(socket: SocketRef<'_>, name: &str) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_tcp_congestion(name.as_bytes())
}

/// corelane does not use `TCP_CONGESTION` here.
#[cfg(not(target_os = "freebsd"))]
pub(crate) fn set_congestion(_socket: SocketRef<'_>, _name: &str) -> io::Result<()> {
    Err(no_option("TCP_CONGESTION"))
}

/// A bind to port 0 chooses the port at once here.
#[expect(clippy::unnecessary_wraps, reason = "Linux has an option for it")]
pub(super) fn choose_port_at_connect(_socket: SocketRef<'_>) -> io::Result<()> {
    Ok(())
}
