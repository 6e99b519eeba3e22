//! The limit on sessions, over all lanes, and those that wait for a descriptor.

use std::sync::Arc;

use crate::runtime::{Bug, GiveBack, Seat, Semaphore, Waitlist, seeded};

/// Places that may be free while an end of a session is hurried: as many as a lane can give back in
/// one turn, by its budget of tasks.
const PRESSING: usize = 256;

/// How many sessions there may be, and are. Shared by all lanes; never exceeded.
#[derive(Debug)]
pub struct SessionLimit {
    places: Semaphore,
    descriptors: Waitlist,
}

/// One session's place. Comes free when dropped, unless it is kept.
#[derive(Debug)]
pub struct Permit {
    /// `None` once it is kept.
    limit: Option<Arc<SessionLimit>>,
}

impl Permit {
    pub(super) fn is_of(&self, limit: &Arc<SessionLimit>) -> bool {
        self.limit
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, limit))
    }

    /// Keeps the place, until [`SessionLimit::give_back`](GiveBack::give_back).
    pub(super) fn keep(mut self) {
        self.limit = None;
    }
}

impl SessionLimit {
    /// Room for `max` sessions.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Semaphore::new(max),
            descriptors: Waitlist::default(),
        })
    }

    /// How many sessions there may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.places.max()
    }

    /// How many places are taken: of sessions, and of those whose descriptors are being closed.
    #[must_use]
    pub fn live(&self) -> usize {
        self.places.taken()
    }

    /// How many accept loops hold a connection that waits for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.places.waitlist().waiting()
    }

    /// The accept loops that wait for a descriptor of a session that ends.
    pub(super) fn descriptors(&self) -> &Waitlist {
        &self.descriptors
    }

    /// Where an accept loop waits for a place.
    pub(super) fn seat(&self) -> Arc<Seat> {
        self.places.waitlist().seat()
    }

    /// Takes a place if there is one.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.places.try_acquire().then(|| self.permit())
    }

    /// Takes a place, waiting until there is one.
    pub(super) async fn acquire(self: &Arc<Self>, seat: &Seat) -> Permit {
        self.places.acquire(seat).await;
        self.permit()
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit {
            limit: Some(Arc::clone(self)),
        }
    }
}

impl GiveBack for SessionLimit {
    fn give_back(&self) {
        if !seeded(Bug::PermitLeaked) {
            self.places.release();
        }
        if self.descriptors.is_awaited() {
            self.descriptors.wake_one();
        }
    }

    fn is_pressing(&self) -> bool {
        let margin = PRESSING.min(self.max() / 8);
        self.live() + margin >= self.max() || self.descriptors.is_awaited()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            limit.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::SessionLimit;

    #[test]
    fn is_never_exceeded_by_racing_lanes() {
        let limit = SessionLimit::new(3);
        thread::scope(|scope| {
            for _ in 0..4 {
                let limit = Arc::clone(&limit);
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let permit = limit.try_acquire();
                        assert!(limit.live() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(limit.live(), 0, "every place came back");
        let all: Vec<_> = std::iter::from_fn(|| limit.try_acquire()).collect();
        assert_eq!(all.len(), 3);
    }
}
