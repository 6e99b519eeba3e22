//! Descriptors of the simulated kernel.

/// The lowest simulated descriptor. Real descriptors stay far below, so a number tells the kernel.
pub(crate) const FIRST_DESCRIPTOR: i32 = 1 << 24;

/// What a descriptor refers to: the index of a socket, a counter or a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Socket(u32),
    Event(u32),
    Pipe(u32),
}
