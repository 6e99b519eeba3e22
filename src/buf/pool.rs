//! The pool, its buffers, and chains of them.
#![expect(
    unsafe_code,
    reason = "buffers are slices of one mapping, told apart by a bitmap"
)]

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;

use crate::sys::Region;

/// Default bytes in a buffer. A message of 16 KiB and its header, the largest of many protocols (a
/// TLS record of 16,384 + 256 + 5 bytes, RFC 8446 §5.2; an HTTP/2 frame), fits and leaves room: the
/// short read ends the message without a second read (0.95 of the CPU on epoll). A read of 20 KiB
/// costs at most 1.15 of a larger read per byte.
pub(crate) const BUFFER_BYTES: usize = 20 * 1024;
/// Pieces up to this many bytes are copied into the room behind the previous piece. A copy costs
/// more than a link, but a stalled reader of small messages then holds few buffers.
const COALESCE_MAX: usize = 2 * 1024;
/// Buffers per word of the bitmap; their memory returns to the system together.
pub(super) const CHUNK: usize = 64;
const NONE: u32 = u32::MAX;

/// Size limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Bytes in each buffer.
    pub buffer_bytes: usize,
    /// Maximum of buffers; takers then wait.
    pub buffers_max: usize,
}

impl Default for PoolOptions {
    /// 20 KiB each, 1.25 GiB in all: address space, not memory.
    fn default() -> Self {
        Self {
            buffer_bytes: BUFFER_BYTES,
            buffers_max: 64 * 1024,
        }
    }
}

/// A lane's buffers. Clones share the buffers.
#[derive(Clone, Debug)]
pub struct Pool(pub(super) Rc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) region: Region,
    pub(super) buffer_bytes: usize,
    buffers_max: usize,
    /// Per buffer in a chain: the next buffer, and the filled range.
    links: Box<[Cell<Link>]>,
    pub(super) chunks: RefCell<Chunks>,
    in_use: Cell<usize>,
    refused: Cell<u64>,
}

#[derive(Debug)]
pub(super) struct Chunks {
    /// One bit per buffer, set while free. Lowest first: the lowest free buffer is the likeliest to
    /// be in the cache, and the high chunks become free as a whole.
    pub(super) free: Box<[u64]>,
    /// Whether a chunk's pages may be resident.
    pub(super) touched: Box<[bool]>,
    /// No lower chunk has a free buffer.
    lowest: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    next: u32,
    start: u32,
    end: u32,
}

impl Pool {
    /// Reserves the address space of a pool.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses the address space.
    pub fn new(options: PoolOptions) -> io::Result<Self> {
        let PoolOptions {
            buffer_bytes,
            buffers_max,
        } = options;
        let chunks = buffers_max.div_ceil(CHUNK);
        let mut free = vec![u64::MAX; chunks].into_boxed_slice();
        if buffers_max % CHUNK != 0 {
            free[chunks - 1] = (1 << (buffers_max % CHUNK)) - 1;
        }
        Ok(Self(Rc::new(Inner {
            region: Region::reserve(buffer_bytes * buffers_max)?,
            buffer_bytes,
            buffers_max,
            // SAFETY: a link is three numbers, valid when zero. Pages come with the first write.
            links: unsafe { Box::new_zeroed_slice(buffers_max).assume_init() },
            chunks: RefCell::new(Chunks {
                free,
                touched: vec![false; chunks].into_boxed_slice(),
                lowest: 0,
            }),
            in_use: Cell::new(0),
            refused: Cell::new(0),
        })))
    }

    /// Lends an empty buffer; `None` when all are lent.
    #[must_use]
    pub fn take(&self) -> Option<Buf> {
        let Some(index) = self.0.chunks.borrow_mut().take() else {
            self.0.refused.set(self.0.refused.get() + 1);
            return None;
        };
        self.0.in_use.set(self.0.in_use.get() + 1);
        Some(Buf {
            pool: self.clone(),
            index,
            start: 0,
            end: 0,
        })
    }

    /// Bytes that each buffer holds.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        self.0.buffer_bytes
    }

    /// Counts the buffers in use.
    #[must_use]
    pub(crate) fn in_use(&self) -> usize {
        self.0.in_use.get()
    }

    /// Counts the refused requests for a buffer since the last call.
    #[must_use]
    pub(crate) fn take_refused(&self) -> u64 {
        self.0.refused.take()
    }

    /// Maximum of buffers.
    #[must_use]
    pub fn buffers_max(&self) -> usize {
        self.0.buffers_max
    }

    /// Takes back a buffer of [`Buf::lend`], filled with `bytes`.
    ///
    /// # Safety
    /// `index` came from `lend` of a buffer of this pool and has not been reclaimed since, and all
    /// writes to the buffer have ended.
    pub(crate) unsafe fn reclaim(&self, index: u32, bytes: usize) -> Buf {
        debug_assert!(bytes <= self.0.buffer_bytes, "more than a buffer holds");
        Buf {
            pool: self.clone(),
            index,
            start: 0,
            end: narrow(bytes),
        }
    }

    fn give_back(&self, index: u32) {
        self.0.chunks.borrow_mut().give_back(index as usize);
        self.0.in_use.set(self.0.in_use.get() - 1);
    }

    fn memory(&self, index: u32) -> NonNull<u8> {
        let offset = index as usize * self.0.buffer_bytes;
        // SAFETY: indices are below `buffers_max`, so the offset lies inside the region.
        unsafe { self.0.region.base().add(offset) }
    }

    fn filled(&self, index: u32, start: u32, end: u32) -> &[u8] {
        // SAFETY: start <= end <= buffer_bytes, as every maker of a range asserts.
        let from = unsafe { self.memory(index).add(start as usize) };
        // SAFETY: the mapping is zeroed, so initialised, and outlives `self`; the caller owns the
        // buffer of this index, and an owner writes through `&mut Buf` only.
        unsafe { slice::from_raw_parts(from.as_ptr(), (end - start) as usize) }
    }

    fn link(&self, index: u32) -> &Cell<Link> {
        &self.0.links[index as usize]
    }
}

impl Chunks {
    fn take(&mut self) -> Option<u32> {
        let chunk = (self.lowest..self.free.len()).find(|&c| self.free[c] != 0)?;
        let bit = self.free[chunk].trailing_zeros();
        self.free[chunk] &= !(1 << bit);
        self.touched[chunk] = true;
        self.lowest = chunk;
        Some(narrow(chunk * CHUNK) + bit)
    }

    fn give_back(&mut self, index: usize) {
        let (chunk, bit) = (index / CHUNK, index % CHUNK);
        assert!(
            self.free[chunk] & (1 << bit) == 0,
            "a buffer came back twice"
        );
        self.free[chunk] |= 1 << bit;
        self.lowest = self.lowest.min(chunk);
    }
}

/// One buffer in use; derefs to its filled part. Returns to the pool when dropped.
#[derive(Debug)]
pub struct Buf {
    pool: Pool,
    index: u32,
    start: u32,
    end: u32,
}

impl Buf {
    /// The whole buffer, to write into before [`Buf::fill`]. Contains bytes of earlier users: never
    /// send more than was filled.
    pub fn space(&mut self) -> &mut [u8] {
        let bytes = self.pool.0.buffer_bytes;
        // SAFETY: the mapping is initialised (zeroed at first) and outlives the pool; this `Buf` is
        // the only owner of the buffer and is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.pool.memory(self.index).as_ptr(), bytes) }
    }

    /// Declares the first `bytes` filled.
    ///
    /// # Panics
    /// When `bytes` exceed the buffer.
    pub fn fill(&mut self, bytes: usize) {
        assert!(
            bytes <= self.pool.0.buffer_bytes,
            "more than the buffer holds"
        );
        self.start = 0;
        self.end = narrow(bytes);
    }

    /// Drops the first `bytes` of the filled part.
    ///
    /// # Panics
    /// When fewer bytes are filled.
    pub fn skip(&mut self, bytes: usize) {
        assert!(bytes <= self.len(), "more than is filled");
        self.start += narrow(bytes);
    }

    /// Gives the buffer away, in use until [`Pool::reclaim`]; returns its index and address.
    pub(crate) fn lend(self) -> (u32, NonNull<u8>) {
        let memory = self.pool.memory(self.index);
        (self.dissolve().1, memory)
    }

    /// The buffer's parts, without returning the buffer to the pool.
    fn dissolve(self) -> (Pool, u32, u32, u32) {
        let whole = ManuallyDrop::new(self);
        // SAFETY: `whole` is never dropped nor used again, so this is the only copy of the handle.
        let pool = unsafe { ptr::read(&raw const whole.pool) };
        (pool, whole.index, whole.start, whole.end)
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pool.filled(self.index, self.start, self.end)
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.pool.give_back(self.index);
    }
}

/// A sequence of filled buffers, received or to be sent. Uses no memory besides the buffers.
/// Returns the buffers to the pool when dropped.
#[derive(Debug, Default)]
pub struct Chain {
    /// `None` before the first push.
    pool: Option<Pool>,
    head: u32,
    tail: u32,
    buffers: u32,
    bytes: u32,
}

impl Chain {
    /// Appends a buffer. A small buffer is copied behind the last one if there is room.
    ///
    /// # Panics
    /// When the buffer belongs to a different pool.
    pub fn push(&mut self, buf: Buf) {
        if buf.is_empty() || self.coalesce(&buf) {
            return;
        }
        self.bytes += narrow(buf.len());
        self.buffers += 1;
        let (pool, index, start, end) = buf.dissolve();
        pool.link(index).set(Link {
            next: NONE,
            start,
            end,
        });
        if self.buffers == 1 {
            self.head = index;
            self.pool = Some(pool);
        } else {
            let same = self
                .pool
                .as_ref()
                .is_some_and(|own| Rc::ptr_eq(&own.0, &pool.0));
            assert!(same, "a chain holds buffers of one pool");
            let last = pool.link(self.tail);
            last.set(Link {
                next: index,
                ..last.get()
            });
        }
        self.tail = index;
    }

    /// Removes and returns the first buffer.
    pub fn pop(&mut self) -> Option<Buf> {
        if self.buffers == 0 {
            return None;
        }
        let pool = self.pool.clone()?;
        let Link { next, start, end } = pool.link(self.head).get();
        let buf = Buf {
            pool,
            index: self.head,
            start,
            end,
        };
        self.head = next;
        self.buffers -= 1;
        self.bytes -= end - start;
        Some(buf)
    }

    /// Drops the first `bytes`, and returns the emptied buffers to the pool.
    ///
    /// # Panics
    /// When the chain has fewer.
    pub fn skip(&mut self, bytes: usize) {
        let mut left = narrow(bytes);
        assert!(left <= self.bytes, "more than the chain holds");
        while left > 0 {
            let Some(pool) = &self.pool else { return };
            let index = self.head;
            let link = pool.link(index);
            let Link { next, start, end } = link.get();
            if left < end - start {
                link.set(Link {
                    next,
                    start: start + left,
                    end,
                });
                self.bytes -= left;
                return;
            }
            left -= end - start;
            (self.head, self.buffers, self.bytes) =
                (next, self.buffers - 1, self.bytes - (end - start));
            pool.give_back(index);
        }
    }

    /// Filled bytes in all buffers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes as usize
    }

    /// Whether the chain has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Number of buffers.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.buffers as usize
    }

    /// The filled parts, first to last.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let pool = self.pool.as_ref();
        let mut at = if self.buffers == 0 { NONE } else { self.head };
        std::iter::from_fn(move || {
            let pool = pool.filter(|_| at != NONE)?;
            let Link { next, start, end } = pool.link(at).get();
            let part = pool.filled(at, start, end);
            at = next;
            Some(part)
        })
    }

    /// The filled part of a chain of one buffer, the common case.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        self.parts().next().filter(|_| self.buffers == 1)
    }

    /// Points `slices` at the first parts, as many as fit; returns their number.
    pub(crate) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(self.parts()) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        count
    }

    fn coalesce(&mut self, buf: &Buf) -> bool {
        if self.buffers == 0 || buf.len() > COALESCE_MAX {
            return false;
        }
        let Some(pool) = &self.pool else { return false };
        let link = pool.link(self.tail);
        let Link { next, start, end } = link.get();
        if pool.0.buffer_bytes - (end as usize) < buf.len() {
            return false;
        }
        // SAFETY: `end` is at most `buffer_bytes`.
        let room = unsafe { pool.memory(self.tail).add(end as usize) };
        // SAFETY: the room behind `end` holds `buf.len()` bytes by the check above. The chain owns
        // its tail, and `buf` is a different buffer, so the ranges do not overlap.
        unsafe { ptr::copy_nonoverlapping(buf.as_ptr(), room.as_ptr(), buf.len()) };
        let more = narrow(buf.len());
        link.set(Link {
            next,
            start,
            end: end + more,
        });
        self.bytes += more;
        true
    }
}

impl From<Buf> for Chain {
    fn from(buf: Buf) -> Self {
        let mut chain = Self::default();
        chain.push(buf);
        chain
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.skip(self.len());
    }
}

/// Indices and lengths inside a pool fit 32 bits, by the options' bounds.
pub(super) fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("a pool's indices and lengths fit 32 bits")
}

#[cfg(test)]
mod tests {
    use super::{Buf, Chain, Pool, PoolOptions};

    fn pool(buffers_max: usize) -> Pool {
        Pool::new(PoolOptions {
            buffer_bytes: 4096,
            buffers_max,
        })
        .unwrap()
    }

    fn filled(pool: &Pool, text: &[u8]) -> Buf {
        let mut buf = pool.take().unwrap();
        buf.space()[..text.len()].copy_from_slice(text);
        buf.fill(text.len());
        buf
    }

    fn text(chain: &Chain) -> Vec<u8> {
        chain.parts().flatten().copied().collect()
    }

    #[test]
    fn lends_each_buffer_once_and_takes_all_back() {
        let pool = pool(70);
        let all: Vec<Buf> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!((all.len(), pool.in_use()), (70, 70));
        drop(all);
        assert_eq!(pool.in_use(), 0);
        let again: Vec<Buf> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(again.len(), 70);
    }

    #[test]
    fn a_chain_keeps_order_and_coalesces_small_pieces() {
        let pool = pool(8);
        let mut chain = Chain::default();
        chain.push(filled(&pool, b"one "));
        chain.push(filled(&pool, b"two "));
        chain.push(filled(&pool, &[b'x'; 3000]));
        chain.push(filled(&pool, b" end"));
        assert_eq!((chain.buffers(), chain.len()), (2, 3012));
        assert_eq!(pool.in_use(), 2);
        let mut expected = b"one two ".to_vec();
        expected.extend([b'x'; 3000]);
        expected.extend(b" end");
        assert_eq!(text(&chain), expected);
        assert_eq!(&*chain.pop().unwrap(), b"one two ");
        drop(chain);
        assert_eq!(pool.in_use(), 0);
    }

    #[test]
    fn skip_gives_back_what_it_empties() {
        let pool = pool(8);
        let mut chain = Chain::from(filled(&pool, &[b'a'; 4096]));
        chain.push(filled(&pool, &[b'b'; 4096]));
        chain.skip(100);
        assert_eq!((chain.len(), pool.in_use()), (8092, 2));
        chain.skip(3996);
        assert_eq!((chain.len(), pool.in_use()), (4096, 1));
        chain.skip(4095);
        assert_eq!(text(&chain), b"b");
        chain.skip(1);
        assert!(chain.is_empty() && chain.pop().is_none());
        assert_eq!(pool.in_use(), 0);
        chain.push(filled(&pool, b"again"));
        assert_eq!(text(&chain), b"again");
    }

    #[test]
    #[should_panic(expected = "came back twice")]
    fn a_buffer_comes_back_once() {
        let pool = pool(1);
        drop(pool.take());
        pool.give_back(0);
    }
}
