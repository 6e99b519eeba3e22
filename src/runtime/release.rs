//! Permits that a lane releases after their descriptors are closed.
//!
//! A poller closes a socket some time after the order to close: first the kernel has to end the
//! socket's ops, and io_uring closes with the next kernel entry. The next session with the permit
//! opens new descriptors, so an earlier release would exceed the limit of descriptors.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// A resource that lanes share, held along with descriptors.
pub(crate) trait Release: fmt::Debug {
    /// Returns one unit of the resource.
    fn release(&self);

    /// Whether a task waits for the resource, or soon may: the lane must not sleep before the
    /// release.
    fn is_awaited_soon(&self) -> bool;
}

/// Pending releases, in order.
#[derive(Debug, Default)]
pub(super) struct PendingReleases(RefCell<VecDeque<Pending>>);

/// What a session holds along with its descriptors.
#[derive(Debug)]
struct Pending {
    first: Arc<dyn Release>,
    second: Option<Arc<dyn Release>>,
}

impl PendingReleases {
    pub(super) fn push(&self, first: Arc<dyn Release>, second: Option<Arc<dyn Release>>) {
        self.0.borrow_mut().push_back(Pending { first, second });
    }

    /// Releases all but the last `kept`.
    pub(super) fn release(&self, kept: usize) {
        while let Some(pending) = self.pop(kept) {
            pending.first.release();
            pending.second.iter().for_each(|second| second.release());
        }
    }

    fn pop(&self, kept: usize) -> Option<Pending> {
        let mut all = self.0.borrow_mut();
        if all.len() <= kept {
            return None;
        }
        all.pop_front()
    }

    pub(super) fn is_awaited_soon(&self) -> bool {
        self.0.borrow().iter().any(|pending| {
            let mut all = std::iter::once(&pending.first).chain(&pending.second);
            all.any(|held| held.is_awaited_soon())
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
