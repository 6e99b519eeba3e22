//! How the result of a Unix system call becomes an `io::Result`.

use std::io;

/// Flags of every send: no `SIGPIPE`, no waiting.
pub(super) const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;

/// Repeats a call that a signal interrupts.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The count that a system call returned, or the call's error if the count is negative.
pub(super) fn checked<N: TryInto<usize>>(count: N) -> io::Result<usize> {
    count.try_into().map_err(|_| io::Error::last_os_error())
}
