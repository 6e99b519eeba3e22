//! Returns the pages of a lane's unused buffers to the system.
#![expect(unsafe_code, reason = "pages of one mapping, by a bitmap")]

use super::pool::{CHUNK, Pool, narrow};

impl Pool {
    /// Returns the memory of wholly free chunks to the system, except the first chunk. At rest
    /// returns the memory of every free buffer; each costs page faults when used again. Visits
    /// every chunk: call from time to time, not per message.
    pub fn trim(&self, at_rest: bool) {
        let mut chunks = self.0.chunks.borrow_mut();
        for chunk in usize::from(!at_rest)..chunks.free.len() {
            let free = chunks.free[chunk];
            let wanted = if at_rest { free != 0 } else { free == u64::MAX };
            if !chunks.touched[chunk] || !wanted {
                continue;
            }
            for (first, count) in runs(free) {
                let first = narrow(chunk * CHUNK) + first;
                // SAFETY: these buffers are free, so no `Buf` and no kernel op refers to them.
                unsafe { self.release(first, count) };
            }
            chunks.touched[chunk] = free != u64::MAX;
        }
    }

    /// Returns the memory of `count` adjacent buffers to the system. Buffers provided to the kernel
    /// stay: io_uring may write to one from a kernel thread, when it has no memory to poll with.
    ///
    /// # Safety
    /// All `count` buffers are free.
    unsafe fn release(&self, first: u32, count: u32) {
        let bytes = self.0.buffer_bytes;
        // SAFETY: by this function's contract the buffers have no user.
        unsafe {
            self.0
                .region
                .release(first as usize * bytes, count as usize * bytes)
        };
    }
}

/// The runs of ones in a word, lowest first: start and length.
fn runs(mut word: u64) -> impl Iterator<Item = (u32, u32)> {
    let mut below = 0;
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let zeros = word.trailing_zeros();
        word >>= zeros;
        let ones = word.trailing_ones();
        word = word.checked_shr(ones).unwrap_or(0);
        let first = below + zeros;
        below = first + ones;
        Some((first, ones))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Buf, Pool, PoolOptions};
    use super::{CHUNK, runs};

    fn pool(buffers_max: usize) -> Pool {
        Pool::new(PoolOptions {
            buffer_bytes: 4096,
            buffers_max,
        })
        .unwrap()
    }

    /// A pool whose buffers have all been written to and returned.
    fn used(buffers: usize) -> Pool {
        let pool = pool(buffers);
        let all: Vec<Buf> = std::iter::from_fn(|| pool.take())
            .map(|mut buf| {
                buf.space().fill(7);
                buf
            })
            .collect();
        drop(all);
        pool
    }

    #[test]
    fn trimmed_memory_is_zero_again_and_usable() {
        let pool = used(3 * CHUNK);
        pool.trim(false);
        let mut all: Vec<Buf> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(all[2 * CHUNK].space()[0], 0, "trimmed");
        assert_eq!(all[0].space()[0], 7, "the first chunk stays warm");
    }

    #[test]
    fn a_pool_at_rest_keeps_what_is_lent_and_nothing_else() {
        let pool = used(CHUNK);
        let mut lent: Vec<Buf> = std::iter::from_fn(|| pool.take()).collect();
        // Free again: the first, some in the middle, the last.
        for at in [63, 40, 39, 0] {
            drop(lent.remove(at));
        }
        pool.trim(true);
        for buf in &mut lent {
            assert!(buf.space().iter().all(|&byte| byte == 7), "{buf:?}");
        }
        let mut again: Vec<Buf> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(again.len(), 4);
        for buf in &mut again {
            assert!(buf.space().iter().all(|&byte| byte == 0), "{buf:?}");
        }
    }

    #[test]
    fn runs_of_free_buffers_are_found() {
        let found = |word| runs(word).collect::<Vec<_>>();
        assert_eq!(found(0), []);
        assert_eq!(found(u64::MAX), [(0, 64)]);
        assert_eq!(found(1 << 63 | 0b1101), [(0, 1), (2, 2), (63, 1)]);
    }
}
