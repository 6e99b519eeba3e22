//! A number of permits, shared by all lanes. A released permit goes to a waiting task, in
//! turn over the lanes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::task_timer::yield_now;
use super::waitlist::{Seat, Waitlist};
use crate::sys::{AtomicUsize, Bug, seeded};

/// A number of permits. On any interleaving of lanes, no more are in use.
#[derive(Debug)]
pub(crate) struct Semaphore {
    max: AtomicUsize,
    taken: AtomicUsize,
    waitlist: Waitlist,
}

impl Semaphore {
    /// A semaphore of `max` permits.
    #[must_use]
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max: AtomicUsize::new(max),
            taken: AtomicUsize::new(0),
            waitlist: Waitlist::default(),
        }
    }

    /// The number of permits.
    #[must_use]
    pub(crate) fn max(&self) -> usize {
        self.max.load(Acquire)
    }

    /// Changes the number of permits. Permits in use stay in use: with fewer permits than are in
    /// use, none is taken until enough have been returned, except by a task that has just looked at
    /// the earlier number. Waiting tasks get new permits at once.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Release);
        if !seeded(Bug::RaiseForgotten) {
            self.pass_on();
        }
    }

    /// The permits in use.
    #[must_use]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Acquire)
    }

    /// The tasks that wait for a permit.
    #[must_use]
    pub(crate) fn waitlist(&self) -> &Waitlist {
        &self.waitlist
    }

    /// Takes a permit if a permit is free and no task waits.
    #[must_use]
    pub(crate) fn try_acquire(&self) -> bool {
        self.waitlist.waiting() == 0 && self.take()
    }

    /// Takes a permit, waiting for a release if necessary. A dropped future has taken no permit.
    ///
    /// # Panics
    /// When the seat is another task's.
    pub(crate) async fn acquire(&self, seat: &Seat) {
        if seeded(Bug::LimitRaced) && self.taken() < self.max() {
            yield_now().await;
            self.taken.fetch_add(1, AcqRel);
            return;
        }
        if self.try_acquire() {
            return;
        }
        let mut wait = self.waitlist.wait(seat, || self.release()).await;
        // A permit may have been released before this task was visible as waiting.
        if !self.take() {
            wait.chosen().await;
        }
    }

    /// Returns a permit: to a waiting task, if there is one.
    pub(crate) fn release(&self) {
        self.taken.fetch_sub(1, AcqRel);
        self.pass_on();
    }

    /// Gives free permits to waiting tasks.
    fn pass_on(&self) {
        let mut awaited = self.waitlist.is_awaited() && !seeded(Bug::WaiterForgotten);
        // Taken for the chosen task. If another task was faster, its release comes here again.
        while awaited && self.take() {
            if self.waitlist.wake_one() {
                // After a rise of the number more than one permit is free.
                continue;
            }
            self.taken.fetch_sub(1, AcqRel);
            // A task may have begun to wait after the check, and found no free permit.
            awaited = self.waitlist.has_unchosen();
        }
    }

    fn take(&self) -> bool {
        let max = self.max();
        let room = |taken: usize| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(AcqRel, Relaxed, room).is_ok()
    }
}
