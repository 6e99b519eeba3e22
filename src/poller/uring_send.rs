//! Chains on their way out through io_uring, with the memory that the kernel reads meanwhile.
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

/// Parts handed to one `sendmsg`.
pub(super) const PARTS: usize = 16;
/// Vectors kept for the next gathered sends: 312 bytes each, 160 KB in all. Where more than so many
/// gathered sends are under way at once, those above are allocated each.
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
    // Boxed: the kernel reads them where they are while they are in use.
    #[expect(clippy::vec_box, reason = "they move between here and `outgoing`")]
    spare: Vec<Box<Vectors>>,
}

#[derive(Debug)]
struct Outgoing {
    sending: Sending,
    vectors: Option<Box<Vectors>>,
}

/// A message header and its parts, as `sendmsg(2)` wants them.
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

    /// Keeps a chain until [`Sends::remove`], and says under which index.
    pub(super) fn insert(&mut self, chain: Chain) -> u32 {
        self.outgoing.insert(Outgoing {
            sending: Sending::new(chain),
            vectors: None,
        })
    }

    /// The op that sends the rest of a chain. What it points to stays where it is until `remove`,
    /// and is not to be changed before the op's completion.
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

    /// Keeps no memory for sends that are not.
    pub(super) fn rest(&mut self) {
        self.spare = Vec::new();
    }

    /// The defect of that name: the chain goes back to the pool before the kernel has read it, and
    /// a copy stays for the books.
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

    /// The kernel took `bytes`; says how many it has in all, and whether that is the chain.
    pub(super) fn advance(&mut self, index: u32, bytes: usize) -> (usize, bool) {
        let sending = &mut self.outgoing.at(index).sending;
        let all = sending.advance(bytes);
        (sending.sent, all)
    }

    /// Forgets a chain that the kernel no longer reads; its buffers go back to their pool. Gives
    /// its length, taken or not.
    pub(super) fn remove(&mut self, index: u32) -> usize {
        let Outgoing { sending, vectors } = self.outgoing.remove(index);
        if self.spare.len() < SPARE_VECTORS {
            self.spare.extend(vectors);
        }
        sending.sent + sending.chain.len()
    }
}

/// As wide as the C library has it: `size_t`, or in musl `int`.
fn length<N: TryFrom<usize>>(parts: usize) -> N {
    N::try_from(parts).unwrap_or_else(|_| unreachable!("there are {PARTS} at most"))
}

impl Vectors {
    fn new() -> Box<Self> {
        // SAFETY: a header of null pointers and zero lengths is a valid one.
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

    /// Points the header at the slices; valid as long as the box and what they point to.
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
