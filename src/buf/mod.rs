//! A lane's buffers: a pool of equal buffers in one mapping, and chains of buffers.
//!
//! The poller or a task takes a buffer and fills it; dropping the buffer returns it. Neither step
//! calls the allocator or locks: pool and buffers stay on one thread. The system provides memory
//! page by page at the first write and gets memory back in [`Pool::trim`], so a lane is almost free
//! of memory when idle, after a burst too.

mod pool;
mod trim;

pub(crate) use self::pool::BUFFER_BYTES;
pub use self::pool::{Buf, Chain, Pool, PoolOptions};
