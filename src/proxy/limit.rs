//! The limit on sessions, over all lanes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use crate::runtime::{Bug, Handle, seeded, yield_now};

/// How often a lane looks whether another one has ended a session, while all are taken. The only
/// state in which it looks, so it costs nothing otherwise.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How many sessions there may be, and are. Shared by all lanes; never exceeded.
#[derive(Debug)]
pub struct SessionLimit {
    max: usize,
    live: AtomicUsize,
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

    /// Keeps the place, until [`SessionLimit::give_back`].
    pub(super) fn keep(mut self) {
        self.limit = None;
    }
}

impl SessionLimit {
    /// Room for `max` sessions.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            live: AtomicUsize::new(0),
        })
    }

    /// How many sessions there may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many there are.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.load(Acquire)
    }

    /// Takes a place if there is one.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let room = |live: usize| (live < self.max).then_some(live + 1);
        self.live.fetch_update(AcqRel, Relaxed, room).ok()?;
        Some(Permit {
            limit: Some(Arc::clone(self)),
        })
    }

    /// Gives back the place of a permit that was kept.
    pub(super) fn give_back(&self) {
        if !seeded(Bug::PermitLeaked) {
            self.live.fetch_sub(1, AcqRel);
        }
    }

    /// Takes a place, waiting until there is one.
    pub async fn acquire(self: &Arc<Self>, lane: &Handle) -> Permit {
        loop {
            if seeded(Bug::LimitRaced) && self.live() < self.max {
                yield_now().await;
                self.live.fetch_add(1, AcqRel);
                return Permit {
                    limit: Some(Arc::clone(self)),
                };
            }
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            lane.sleep_until(lane.now() + LOOK_AGAIN).await;
        }
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
