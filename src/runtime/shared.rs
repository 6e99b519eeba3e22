//! The parts of a lane that its tasks share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::recorder::{Completed, What};
use super::release::PendingReleases;
use super::remote::Task;
use super::scheduler::Scheduler;
use super::socket_table::Sockets;
use super::splice::Splice;
use super::timer::Timers;
use crate::buf::Pool;
use crate::poller::{Completion, Event, Poller};
use crate::stats::LaneStats;
use crate::sys::{Bug, Time, seeded};

/// The parts of a lane in reach of its tasks, each borrowed for a moment at a time.
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
    /// Permits of ended sessions, released once their descriptors are closed.
    pub(super) releases: PendingReleases,
}

impl Shared {
    pub(super) fn now(&self) -> Time {
        self.now.get()
    }

    /// Hands a completion to its socket, and wakes the task that waits for it.
    pub(super) fn complete(&self, completion: Completion) {
        if self.scheduler.recorder.is_on() {
            self.record(&completion);
        }
        let mut sockets = self.sockets.borrow_mut();
        sockets.complete(completion, &self.poller, &self.stats);
    }

    #[cold]
    fn record(&self, completion: &Completion) {
        let of = match completion.event {
            Event::Accepted(_) => Completed::Accept,
            Event::Connected(_) => Completed::Connect,
            Event::Received(_) | Event::RecvEnded(_) | Event::RecvCancelled => Completed::Receive,
            Event::Sent(..) | Event::SentLazily(_) => Completed::Send,
            Event::ReadReady(_) | Event::WriteReady(_) => Completed::Readiness,
        };
        let socket = u32::try_from(completion.socket.slot()).unwrap_or(u32::MAX);
        let recorder = &self.scheduler.recorder;
        recorder.record(What::Completion { socket, of });
    }

    /// Releases as many permits as descriptors are closed, and keeps as many as are being closed.
    /// Releases the places at endpoints whose own sockets are closed. Returns whether the lane has
    /// to enter the kernel without sleeping there.
    ///
    /// Sockets with ops in the kernel wake the lane by themselves. For permits, sockets that the
    /// next kernel entry closes count as closed, unless a task waits for a permit: then the lane
    /// enters at once. For places, such sockets never count as closed, and the lane enters at once.
    pub(super) fn settle(&self) -> bool {
        let (has_permits, has_places) = (self.releases.has_permits(), self.releases.has_places());
        if !has_permits && !has_places {
            return false;
        }
        let closing = self.poller.borrow().closing();
        if has_places {
            self.releases.release_places(closing.begun, closing.ended);
        }
        if seeded(Bug::PermitEarly) {
            self.releases.release(0);
        }
        let stay = has_permits && closing.queued > 0 && self.releases.is_awaited_soon();
        let queued = if stay { closing.queued } else { 0 };
        self.releases.release(closing.held + queued);
        let stay = stay && self.releases.has_permits();
        stay || closing.queued > 0 && self.releases.has_places()
    }
}
