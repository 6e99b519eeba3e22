//! A lane's buffers: a pool of equal buffers in one stretch of memory, and chains of them.
//!
//! A buffer is lent, filled by the poller or a task, and comes back when it is dropped. Taking and
//! giving back touch no allocator and no lock: pool and buffers stay on one thread. Memory is
//! taken from the system page by page when first touched and goes back in [`Pool::trim`], so an
//! idle lane costs next to nothing after a burst too.

mod pool;
mod trim;

pub use self::pool::{BUFFER_BYTES, Buf, Chain, Pool, PoolOptions};
