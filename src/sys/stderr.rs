//! Standard error without the standard library's lock: only the log's writer thread uses this file.
#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::time::Duration;

use super::system_call::checked;

/// Writes to standard error (`write(2)`) and returns the written bytes; may block.
///
/// # Errors
/// The error of the system call: `WouldBlock` for a non-blocking descriptor.
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
    // SAFETY: the pointer is valid for a pollfd during the call. The result is ignored, because the
    // caller tries again anyway.
    unsafe { libc::poll(&raw mut entry, 1, most) };
}
