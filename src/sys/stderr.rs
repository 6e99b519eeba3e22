//! Standard error, past the standard library's lock: the one thread that writes the log uses it.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::time::Duration;

use super::system_call::checked;

/// Writes what standard error takes (`write(2)`); blocks where it would.
///
/// # Errors
/// What the system call says: `WouldBlock` where the descriptor does not block.
pub(crate) fn write_to_stderr(bytes: &[u8]) -> io::Result<usize> {
    let (from, count) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: `from` is valid for reads of `count` bytes during the call.
    checked(unsafe { libc::write(libc::STDERR_FILENO, from, count) })
}

/// Waits until standard error takes more or has failed (`poll(2)`), but no longer than `most`.
pub(crate) fn await_stderr(most: Duration) {
    let mut entry = libc::pollfd {
        fd: libc::STDERR_FILENO,
        events: libc::POLLOUT,
        revents: 0,
    };
    let most = libc::c_int::try_from(most.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is valid for one pollfd during the call. Whatever it says, the caller
    // tries again.
    unsafe { libc::poll(&raw mut entry, 1, most) };
}
