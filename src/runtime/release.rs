//! Permits and places at endpoints that a lane releases after their descriptors are closed.
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
}

/// A resource whose units are alike.
pub(crate) trait Permits: Release {
    /// Whether a task waits for the resource, or soon may: the lane must not sleep before the
    /// release.
    fn is_awaited_soon(&self) -> bool;
}

/// Pending releases, in order.
#[derive(Debug, Default)]
pub(super) struct PendingReleases {
    /// Each stands for one descriptor, whichever.
    permits: RefCell<VecDeque<Arc<dyn Permits>>>,
    places: RefCell<Places>,
}

/// Places at endpoints. A place is one of the endpoint whose connection is closed, so that the
/// number of open descriptors does not tell which place is free.
#[derive(Debug, Default)]
struct Places {
    /// With the number of orders to close that have to be carried out before.
    waiting: VecDeque<(u64, Arc<dyn Release>)>,
    /// Since the last turn; more sockets may be closed for them in this turn.
    new: Vec<Arc<dyn Release>>,
}

impl PendingReleases {
    pub(super) fn push(&self, permit: Arc<dyn Permits>) {
        self.permits.borrow_mut().push_back(permit);
    }

    pub(super) fn push_place(&self, place: Arc<dyn Release>) {
        self.places.borrow_mut().new.push(place);
    }

    /// Releases all permits but the last `kept`.
    pub(super) fn release(&self, kept: usize) {
        while let Some(permit) = self.pop(kept) {
            permit.release();
        }
    }

    fn pop(&self, kept: usize) -> Option<Arc<dyn Permits>> {
        let mut permits = self.permits.borrow_mut();
        if permits.len() <= kept {
            return None;
        }
        permits.pop_front()
    }

    /// Releases the places whose orders to close are among the first `ended`. So far there were
    /// `begun` orders.
    pub(super) fn release_places(&self, begun: u64, ended: u64) {
        {
            let Places { waiting, new } = &mut *self.places.borrow_mut();
            waiting.extend(new.drain(..).map(|place| (begun, place)));
        }
        while let Some(place) = self.pop_place(ended) {
            place.release();
        }
    }

    fn pop_place(&self, ended: u64) -> Option<Arc<dyn Release>> {
        let waiting = &mut self.places.borrow_mut().waiting;
        let is_over = waiting.front().is_some_and(|(after, _)| *after <= ended);
        is_over
            .then(|| waiting.pop_front())
            .flatten()
            .map(|(_, place)| place)
    }

    pub(super) fn is_awaited_soon(&self) -> bool {
        let permits = self.permits.borrow();
        permits.iter().any(|held| held.is_awaited_soon())
    }

    pub(super) fn has_places(&self) -> bool {
        let places = self.places.borrow();
        !places.waiting.is_empty() || !places.new.is_empty()
    }

    pub(super) fn has_permits(&self) -> bool {
        !self.permits.borrow().is_empty()
    }
}
