//! The atomics that the loom models check; loom's own when built with `--cfg loom`.
//!
//! Only the inbox, its wake and the tasks are modelled, so only they take their atomics from here.

#[cfg(all(loom, test))]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence};
#[cfg(not(all(loom, test)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, fence};
