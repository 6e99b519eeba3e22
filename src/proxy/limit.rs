//! The limit on sessions, over all lanes.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use super::spread::Seat;
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

/// One session's place. Comes free when dropped.
#[derive(Debug)]
pub struct Permit {
    limit: Arc<SessionLimit>,
    /// Its place on the lane that it was handed to.
    seat: Option<Box<Seat>>,
}

impl Permit {
    pub(super) fn seat(&mut self, seat: Seat) {
        self.seat = Some(Box::new(seat));
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
            limit: Arc::clone(self),
            seat: None,
        })
    }

    /// Takes a place, waiting until there is one.
    pub async fn acquire(self: &Arc<Self>, lane: &Handle) -> Permit {
        loop {
            if seeded(Bug::LimitRaced) && self.live() < self.max {
                yield_now().await;
                self.live.fetch_add(1, AcqRel);
                return Permit {
                    limit: Arc::clone(self),
                    seat: None,
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
        if seeded(Bug::PermitLeaked) {
            return;
        }
        self.limit.live.fetch_sub(1, AcqRel);
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
