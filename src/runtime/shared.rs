//! What a lane and its tasks share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::leaving::Leaving;
use super::remote::Task;
use super::scheduler::Scheduler;
use super::socket_table::Sockets;
use super::splice::Splice;
use super::timer::Timers;
use crate::buf::Pool;
use crate::poller::{Completion, Poller};
use crate::stats::LaneStats;
use crate::sys::{Bug, Time, seeded};

/// One lane's parts that its tasks reach, each borrowed for a moment at a time.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) scheduler: Rc<Scheduler>,
    pub(super) now: Cell<Time>,
    /// All input that arrived before this moment is delivered: deadlines up to here may pass.
    pub(super) delivered_until: Cell<Time>,
    pub(super) poller: RefCell<Poller>,
    pub(super) sockets: RefCell<Sockets>,
    pub(super) splice: RefCell<Splice>,
    pub(super) timers: RefCell<Timers<Task>>,
    pub(super) pool: Pool,
    pub(super) stats: Arc<LaneStats>,
    pub(super) random: Cell<u64>,
    pub(super) high_mark: usize,
    /// What sessions that have ended give back once their descriptors are closed.
    pub(super) leaving: Leaving,
}

impl Shared {
    pub(super) fn now(&self) -> Time {
        self.now.get()
    }

    /// Hands a completion to its socket, and wakes the task that waits for it.
    pub(super) fn complete(&self, completion: Completion) {
        let mut sockets = self.sockets.borrow_mut();
        sockets.complete(completion, &self.poller, &self.stats);
    }

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
        if seeded(Bug::PermitEarly) {
            self.leaving.give_back(0);
        }
        let stay = closing.queued > 0 && self.leaving.is_pressing();
        let queued = if stay { closing.queued } else { 0 };
        self.leaving.give_back(closing.held + queued);
        stay && !self.leaving.is_empty()
    }
}
