//! The counts of kernels other than Linux: none.

/// Not said here.
pub(crate) fn listen_overflows() -> Option<u64> {
    None
}

/// Not said here.
pub(crate) fn retransmits() -> Option<u64> {
    None
}

/// Not said here.
pub(crate) fn descriptors() -> Option<u64> {
    None
}
