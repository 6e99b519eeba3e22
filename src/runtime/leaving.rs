//! What a lane gives back once descriptors that it has closed are closed indeed.
//!
//! A poller closes a socket some time after it was told to: the kernel has to let go of the
//! socket's ops first, and io_uring closes with the next entry. Whoever gets the place of a session
//! that has ended opens descriptors instead of those.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::lane::Handle;
use super::shared::Shared;
use crate::sys::{Bug, seeded};

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
    /// Gives all but the last `kept` back.
    fn give_back(&self, kept: usize) {
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

    fn is_pressing(&self) -> bool {
        self.0.borrow().iter().any(|one| one.is_pressing())
    }

    fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Shared {
    /// Gives back as much as closed descriptors allow, and lets as much stay as are being closed.
    /// Says whether the lane is to enter the kernel without sleeping there.
    ///
    /// Those that the kernel still has ops of wake the lane. Those that it closes with the next
    /// entry count as closed, unless somebody waits for them: that entry comes at once.
    pub(super) fn settle(&self) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let closing = self.poller.borrow().closing();
        if seeded(Bug::PlaceEarly) {
            self.leaving.give_back(0);
        }
        let stay = closing.queued > 0 && self.leaving.is_pressing();
        let queued = if stay { closing.queued } else { 0 };
        self.leaving.give_back(closing.held + queued);
        stay && !self.leaving.is_empty()
    }

    /// Gives everything back, since the lane ends.
    pub(super) fn give_all_back(&self) {
        self.leaving.give_back(0);
    }
}

impl Handle {
    /// Gives `what` back once the sockets that the lane closes in this turn are closed indeed.
    pub fn give_back_when_closed(&self, what: Arc<dyn GiveBack>) {
        self.0.leaving.0.borrow_mut().push_back(what);
    }
}
