//! What `sys` says of the memory that this process may have.

/// A limit on bytes, and its name for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteLimit {
    /// What sets the limit, as its own documentation calls it.
    pub name: String,
    /// The limit, in bytes.
    pub total: u64,
    /// How much of that the process has not used, in bytes.
    pub left: u64,
}

/// What bounds the memory of this process; the lowest limit of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// Memory in use: what the kernel kills for. Includes the kernel's memory for sockets.
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
