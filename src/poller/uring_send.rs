//! Chains being sent by io_uring, and the memory that the kernel reads until the completion.
#![expect(unsafe_code, reason = "pointers that the kernel follows")]

use std::io::IoSlice;
use std::mem;
use std::ptr;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::Fd;

use super::slots::{Sending, Slab};
use crate::buf::{Chain, Pool};
use crate::sys::{Bug, seeded};

/// Parts passed to one `sendmsg`.
pub(super) const PARTS: usize = 16;
/// Vectors kept for later gathered sends: 312 bytes each, 160 KB in all. More simultaneous
/// gathered sends allocate their vectors.
const SPARE_VECTORS: usize = 512;
/// Not `MSG_WAITALL`: the kernel loses an error that follows a partial send, and the receive in
/// flight sees a FIN instead of a reset (docs/decisions/0002-no-waitall-on-sends.md).
const FLAGS: i32 = libc::MSG_NOSIGNAL;
/// Flags of a lazy send. Why they are right: docs/decisions/0010-lazy-sends.md.
const LAZY_FLAGS: i32 = FLAGS | libc::MSG_DONTWAIT | libc::MSG_WAITALL;

/// All chains that a ring is sending.
#[derive(Debug)]
pub(super) struct Sends {
    outgoing: Slab<Outgoing>,
    // Boxed: the kernel reads the vectors, so their addresses must not change.
    #[expect(clippy::vec_box, reason = "they move between here and `outgoing`")]
    spare: Vec<Box<Vectors>>,
}

#[derive(Debug)]
struct Outgoing {
    sending: Sending,
    vectors: Option<Box<Vectors>>,
}

/// A message header and its parts, laid out for `sendmsg(2)`.
struct Vectors {
    header: libc::msghdr,
    parts: [libc::iovec; PARTS],
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vectors").finish_non_exhaustive()
    }
}

impl Sends {
    pub(super) const fn new() -> Self {
        Self {
            outgoing: Slab::new(),
            spare: Vec::new(),
        }
    }

    /// Keeps a chain until [`Sends::remove`]; returns its index.
    pub(super) fn insert(&mut self, chain: Chain) -> u32 {
        self.outgoing.insert(Outgoing {
            sending: Sending::new(chain),
            vectors: None,
        })
    }

    /// The submission entry for a chain's remaining bytes. The entry points to memory of this slab,
    /// valid until `remove` and unchanged until the op's completion.
    pub(super) fn entry(&mut self, index: u32, to: Fd, lazy: bool) -> Entry {
        let (flags, on_success) = if lazy {
            (LAZY_FLAGS, Flags::SKIP_SUCCESS)
        } else {
            (FLAGS, Flags::empty())
        };
        let outgoing = self.outgoing.at(index);
        let mut slices = [IoSlice::new(&[]); PARTS];
        let count = outgoing.sending.chain.gather(&mut slices);
        if seeded(Bug::SendReordered) {
            slices[..count].reverse();
        }
        if count == 1 {
            let part = &slices[0];
            let bytes = u32::try_from(part.len()).expect("a buffer's length fits 32 bits");
            return opcode::Send::new(to, part.as_ptr(), bytes)
                .flags(flags)
                .build()
                .flags(on_success);
        }
        let vectors = outgoing
            .vectors
            .get_or_insert_with(|| self.spare.pop().unwrap_or_else(Vectors::new));
        opcode::SendMsg::new(to, vectors.point_at(&slices[..count]))
            .flags(flags.cast_unsigned())
            .build()
            .flags(on_success)
    }

    /// Frees the spare vectors.
    pub(super) fn rest(&mut self) {
        self.spare = Vec::new();
    }

    /// Seeds the defect of that name: returns the chain to the pool before the kernel has read the
    /// bytes, and keeps a copy.
    pub(super) fn free_early(&mut self, index: u32, pool: &Pool) {
        let chain = &mut self.outgoing.at(index).sending.chain;
        let mut copy = Chain::default();
        for part in chain.parts() {
            let Some(mut buf) = pool.take() else { return };
            buf.space()[..part.len()].copy_from_slice(part);
            buf.fill(part.len());
            copy.push(buf);
        }
        *chain = copy;
    }

    /// Counts `bytes` taken by the kernel; returns the total so far, and whether the chain is sent.
    pub(super) fn advance(&mut self, index: u32, bytes: usize) -> (usize, bool) {
        let sending = &mut self.outgoing.at(index).sending;
        let all = sending.advance(bytes);
        (sending.sent, all)
    }

    /// Removes a chain that the kernel no longer reads and returns its buffers to the pool. Returns
    /// the chain's whole length.
    pub(super) fn remove(&mut self, index: u32) -> usize {
        let Outgoing { sending, vectors } = self.outgoing.remove(index);
        if self.spare.len() < SPARE_VECTORS {
            self.spare.extend(vectors);
        }
        sending.sent + sending.chain.len()
    }
}

/// A length in the C library's type: `size_t`, or `int` in musl.
fn length<N: TryFrom<usize>>(parts: usize) -> N {
    N::try_from(parts).unwrap_or_else(|_| unreachable!("there are {PARTS} at most"))
}

impl Vectors {
    fn new() -> Box<Self> {
        // SAFETY: a header of null pointers and zero lengths is valid.
        let header = unsafe { mem::zeroed() };
        let empty = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Box::new(Self {
            header,
            parts: [empty; PARTS],
        })
    }

    /// Points the header at the slices; valid while the box and the slices' bytes live.
    fn point_at(&mut self, slices: &[IoSlice<'_>]) -> *const libc::msghdr {
        for (part, slice) in self.parts.iter_mut().zip(slices) {
            *part = libc::iovec {
                iov_base: slice.as_ptr().cast_mut().cast(),
                iov_len: slice.len(),
            };
        }
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = length(slices.len());
        &raw const self.header
    }
}
