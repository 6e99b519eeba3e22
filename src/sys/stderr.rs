//! Standard error without the standard library's lock, and waits for room: only the log's writer
//! thread uses this file.
#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
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
    await_descriptor(libc::STDERR_FILENO, most);
}

/// Waits until a file takes more or has failed, but no longer than `most`.
pub(crate) fn await_room(file: &File, most: Duration) {
    await_descriptor(file.as_raw_fd(), most);
}

fn await_descriptor(fd: RawFd, most: Duration) {
    let mut entry = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    let most = libc::c_int::try_from(most.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is valid for a pollfd during the call. The result is ignored, because the
    // caller tries again anyway.
    unsafe { libc::poll(&raw mut entry, 1, most) };
}
