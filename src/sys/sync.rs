//! The atomics that the loom models check; with `--cfg loom`, loom's.
//!
//! Only the inbox, its wake and the tasks have models, so only these files import atomics from
//! here.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence};
