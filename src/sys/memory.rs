//! The memory limits of this process.

/// A limit on bytes, and its name for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteLimit {
    /// The source of the limit, by the name in its documentation.
    pub name: String,
    /// The limit, in bytes.
    pub total: u64,
    /// How much the process has not used, in bytes.
    pub left: u64,
}

/// The lowest memory limit of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// Memory in use, including the kernel's memory for sockets. The kernel kills a process above
    /// the limit.
    pub memory: Option<ByteLimit>,
    /// Address space: mappings count, whether in use or not.
    pub address_space: Option<ByteLimit>,
}

/// The first and the last byte of the whole pages in a range. A partial page at either end also
/// belongs to a neighbour of the range.
pub(super) fn pages_within(start: usize, bytes: usize, page: usize) -> (usize, usize) {
    let end = (start + bytes) / page * page;
    (start.div_ceil(page).saturating_mul(page), end)
}
