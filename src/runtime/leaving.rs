//! What a lane gives back once descriptors that it has closed are closed indeed.
//!
//! A poller closes a socket some time after it was told to: the kernel has to let go of the
//! socket's ops first, and io_uring closes with the next entry. Whoever gets the place of a session
//! that has ended opens descriptors instead of those.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Something that is held along with descriptors, and shared by the lanes.
pub trait GiveBack: fmt::Debug {
    /// Gives one of it back, now.
    fn give_back(&self);

    /// Whether somebody waits for it, or soon may: the lane is not to sleep over it.
    fn is_pressing(&self) -> bool;
}

/// What is to be given back, in order.
#[derive(Debug, Default)]
pub(super) struct Leaving(RefCell<VecDeque<Arc<dyn GiveBack>>>);

impl Leaving {
    pub(super) fn push(&self, what: Arc<dyn GiveBack>) {
        self.0.borrow_mut().push_back(what);
    }

    /// Gives all but the last `kept` back.
    pub(super) fn give_back(&self, kept: usize) {
        while let Some(first) = self.pop(kept) {
            first.give_back();
        }
    }

    fn pop(&self, kept: usize) -> Option<Arc<dyn GiveBack>> {
        let mut all = self.0.borrow_mut();
        if all.len() <= kept {
            return None;
        }
        all.pop_front()
    }

    pub(super) fn is_pressing(&self) -> bool {
        self.0.borrow().iter().any(|one| one.is_pressing())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
