//! The limit on sessions over all lanes, and the accept loops that wait for a descriptor.

use std::sync::Arc;

use crate::runtime::{Bug, Permits, Release, Seat, Semaphore, Waitlist, seeded};

/// With at most this many free permits, lanes return permits without delay. A lane can return as
/// many in a turn, by its budget of tasks.
const PRESSING: usize = 256;

/// The most sessions, and the present number. Shared by all lanes; never exceeded.
#[derive(Debug)]
pub struct SessionLimit {
    permits: Semaphore,
    descriptors: Waitlist,
}

/// The right to begin a session. Drop returns the permit.
#[derive(Debug)]
pub(crate) struct Permit {
    /// `None` after [`Permit::keep`].
    limit: Option<Arc<SessionLimit>>,
}

impl Permit {
    pub(super) fn is_of(&self, limit: &Arc<SessionLimit>) -> bool {
        self.limit
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, limit))
    }

    /// Keeps the permit until [`SessionLimit::release`](Release::release).
    pub(super) fn keep(mut self) {
        self.limit = None;
    }
}

impl SessionLimit {
    /// A limit of `max` sessions.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(max),
            descriptors: Waitlist::default(),
        })
    }

    /// The most sessions.
    #[must_use]
    pub fn max(&self) -> usize {
        self.permits.max()
    }

    /// Changes the most sessions. Present sessions stay, even if there are more.
    pub fn set_max(&self, max: usize) {
        self.permits.set_max(max);
    }

    /// The number of permits in use. A session keeps its permit until its descriptors are closed.
    #[must_use]
    pub fn live(&self) -> usize {
        self.permits.taken()
    }

    /// The number of accept loops that hold a connection and wait for a permit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.permits.waitlist().waiting()
    }

    /// Accept loops that wait until the end of a session frees a descriptor.
    pub(super) fn descriptors(&self) -> &Waitlist {
        &self.descriptors
    }

    /// A seat for an accept loop that waits for a permit.
    pub(super) fn seat(&self) -> Seat {
        self.permits.waitlist().seat()
    }

    /// A permit, if there is a free permit.
    #[must_use]
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.permits.try_acquire().then(|| self.permit())
    }

    /// A permit. Waits until there is a free permit.
    pub(super) async fn acquire(self: &Arc<Self>, seat: &Seat) -> Permit {
        self.permits.acquire(seat).await;
        self.permit()
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit {
            limit: Some(Arc::clone(self)),
        }
    }
}

impl Release for SessionLimit {
    fn release(&self) {
        if !seeded(Bug::PermitLeaked) {
            self.permits.release();
        }
        if self.descriptors.is_awaited() {
            self.descriptors.wake_one();
        }
    }
}

impl Permits for SessionLimit {
    fn is_awaited_soon(&self) -> bool {
        let margin = PRESSING.min(self.max() / 8);
        self.live() + margin >= self.max() || self.descriptors.is_awaited()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            limit.release();
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
        assert_eq!(limit.live(), 0, "every permit came back");
        let all: Vec<_> = std::iter::from_fn(|| limit.try_acquire()).collect();
        assert_eq!(all.len(), 3);
    }
}
