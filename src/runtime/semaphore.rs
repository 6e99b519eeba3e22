//! So many places and no more, shared by all lanes. Who gives a place back hands it to a task that
//! waits, in turn over the lanes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::task_timer::yield_now;
use super::waitlist::{Seat, Waitlist};
use crate::sys::{AtomicUsize, Bug, seeded};

/// A number of places. Never more are taken, on any interleaving of lanes.
#[derive(Debug)]
pub struct Semaphore {
    max: usize,
    taken: AtomicUsize,
    waitlist: Waitlist,
}

impl Semaphore {
    /// Room for `max`.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
            waitlist: Waitlist::default(),
        }
    }

    /// How many places there are.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Acquire)
    }

    /// The tasks that wait for a place.
    #[must_use]
    pub fn waitlist(&self) -> &Waitlist {
        &self.waitlist
    }

    /// Takes a place if one is free and nobody waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.waitlist.waiting() == 0 && self.take()
    }

    /// Takes a place, waiting until there is one. A future that is dropped has taken none.
    ///
    /// # Panics
    /// When the seat is another task's.
    pub async fn acquire(&self, seat: &Seat) {
        if seeded(Bug::LimitRaced) && self.taken() < self.max {
            yield_now().await;
            self.taken.fetch_add(1, AcqRel);
            return;
        }
        if self.try_acquire() {
            return;
        }
        let mut wait = self.waitlist.wait(seat, || self.release()).await;
        // One may have come free before anybody could know of this task.
        if !self.take() {
            wait.chosen().await;
        }
    }

    /// Gives a place back: to a task that waits, if one does.
    pub fn release(&self) {
        self.taken.fetch_sub(1, AcqRel);
        let mut awaited = self.waitlist.is_awaited() && !seeded(Bug::WaiterForgotten);
        // Taken again for the one that is chosen. If somebody else has it, they will give it back.
        while awaited && self.take() {
            if self.waitlist.wake_one() {
                return;
            }
            self.taken.fetch_sub(1, AcqRel);
            // A task may have begun to wait behind the look, and seen no place free.
            awaited = self.waitlist.has_unchosen();
        }
    }

    fn take(&self) -> bool {
        let room = |taken: usize| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(AcqRel, Relaxed, room).is_ok()
    }
}
