//! The provided buffer ring that the kernel receives into (`io_uring_register_buf_ring(3)`,
//! Linux 5.19).
//!
//! The ring holds only as many buffers as recent demand needs, so that the same buffers stay in
//! the processor's cache.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Ring;
use crate::buf::{Buf, Pool};
use crate::sys::Region;

/// The ring's only buffer group.
pub(super) const GROUP: u16 = 0;
const NOT_LENT: u32 = u32::MAX;
/// Buffers provided at first, and at rest.
pub(super) const LEVEL_MIN: usize = 32;

#[derive(Debug)]
pub(super) struct Buffers {
    region: Region,
    entries: u16,
    tail: u16,
    /// Per buffer id: the pool's index of the buffer that the kernel holds, or `NOT_LENT`.
    lent: Box<[u32]>,
    /// Ids without a buffer in the kernel.
    free: Vec<u16>,
    /// The number of buffers to provide.
    level: usize,
}

impl Buffers {
    /// Registers an empty ring of `entries`, a power of two.
    pub(super) fn register(ring: &Ring, entries: u16) -> io::Result<Self> {
        let region = Region::reserve(usize::from(entries) * size_of::<BufRingEntry>())?;
        let address = region.base().as_ptr() as u64;
        // SAFETY: the region is page-aligned, holds `entries` entries, and lives in `self`, which
        // the poller drops after the ring.
        unsafe { ring.register_buffers(address, entries, GROUP) }?;
        Ok(Self {
            region,
            entries,
            tail: 0,
            lent: vec![NOT_LENT; entries.into()].into_boxed_slice(),
            free: (0..entries).rev().collect(),
            level: LEVEL_MIN.min(entries.into()),
        })
    }

    /// Provides empty buffers to the kernel up to the level, as far as the pool has them.
    pub(super) fn refill(&mut self, pool: &Pool) {
        let missing = self.level.saturating_sub(self.held());
        for _ in 0..missing {
            let Some(buf) = pool.take() else { break };
            let id = self.free.pop().expect("the level is at most the entries");
            let (index, memory) = buf.lend();
            self.lent[usize::from(id)] = index;
            let slot = usize::from(self.tail & (self.entries - 1));
            // SAFETY: `slot` is below `entries`, so the entry lies inside the region.
            let entry = unsafe { self.region.base().cast::<BufRingEntry>().add(slot) };
            // SAFETY: the kernel reads entries from head up to the published tail; this entry lies
            // behind the tail, and `&mut self` excludes a second writer.
            let entry = unsafe { &mut *entry.as_ptr() };
            entry.set_addr(memory.as_ptr() as u64);
            entry.set_len(u32::try_from(pool.buffer_bytes()).expect("fits by the options"));
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
        }
        if missing > 0 {
            self.publish();
        }
    }

    /// Takes back the buffer under `id`, which holds `bytes` received bytes.
    pub(super) fn take_back(&mut self, id: u16, bytes: usize, pool: &Pool) -> Buf {
        let index = mem::replace(&mut self.lent[usize::from(id)], NOT_LENT);
        assert_ne!(index, NOT_LENT, "the kernel returns a buffer once");
        self.free.push(id);
        // SAFETY: `refill` provided this buffer under this id, and the kernel names an id in one
        // completion only, after the last write.
        unsafe { pool.reclaim(index, bytes) }
    }

    /// Takes all buffers back after the ring has ended.
    pub(super) fn reclaim(&mut self, pool: &Pool) {
        for id in 0..self.entries {
            if self.lent[usize::from(id)] != NOT_LENT {
                drop(self.take_back(id, 0, pool));
            }
        }
    }

    /// After a turn that used `taken` buffers or ran out: keeps twice the demand provided.
    pub(super) fn adapt(&mut self, taken: usize, ran_out: bool) {
        let wanted = if ran_out { self.level * 2 } else { taken * 2 };
        self.level = self.level.max(wanted).min(self.entries.into());
    }

    /// Lowers the level to the minimum; returns the number of buffers above the level.
    pub(super) fn rest(&mut self) -> usize {
        self.level = LEVEL_MIN.min(self.entries.into());
        self.held().saturating_sub(self.level)
    }

    /// Buffers in the kernel, by the completions handled so far.
    pub(super) fn held(&self) -> usize {
        self.lent.len() - self.free.len()
    }

    fn publish(&self) {
        let base = self.region.base().cast::<BufRingEntry>().as_ptr();
        // SAFETY: the base is the ring's own, zeroed and so initialised memory.
        let tail = unsafe { BufRingEntry::tail(base) }.cast_mut();
        // SAFETY: the tail is aligned, lives as long as the region, and both sides access it
        // atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail) };
        // Release: a kernel that sees the tail sees the entries before the tail.
        tail.store(self.tail, Ordering::Release);
    }
}
