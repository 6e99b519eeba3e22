//! io_uring's refusal on systems without io_uring.

use super::Refusal;

/// Refuses io_uring: this system is not Linux.
#[must_use]
pub fn io_uring_refusal() -> Option<Refusal> {
    Some(Refusal("not in this system".to_owned()))
}

/// There is no ring to restrict.
pub(super) fn try_restrictions() -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}
