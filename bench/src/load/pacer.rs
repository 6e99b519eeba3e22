//! Wakes connections at their due times with microsecond precision; the lane's timers have ticks of
//! a millisecond. One pacer a lane.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use corelane::sys::Time;

/// The wake-ups to come. At most one a connection.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    due: RefCell<BinaryHeap<Reverse<(Time, u32)>>>,
    /// By slot; `None` without a wake-up.
    wakers: RefCell<Vec<Option<Waker>>>,
}

impl Pacer {
    /// Allocates a slot for one connection.
    pub(crate) fn slot(&self) -> u32 {
        let mut wakers = self.wakers.borrow_mut();
        wakers.push(None);
        u32::try_from(wakers.len() - 1).expect("connections fit 32 bits")
    }

    /// Registers a wake-up at `time`. If the slot has one already, only the waker is replaced.
    pub(crate) fn wake_at(&self, slot: u32, time: Time, waker: &Waker) {
        let place = &mut self.wakers.borrow_mut()[slot as usize];
        match place {
            Some(known) => known.clone_from(waker),
            None => {
                *place = Some(waker.clone());
                self.due.borrow_mut().push(Reverse((time, slot)));
            }
        }
    }

    /// Wakes all connections that are due.
    pub(crate) fn fire(&self, now: Time) {
        loop {
            let mut due = self.due.borrow_mut();
            let slot = match due.peek() {
                Some(Reverse((time, slot))) if *time <= now => *slot,
                _ => return,
            };
            due.pop();
            drop(due);
            let waker = self.wakers.borrow_mut()[slot as usize].take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The earliest due time.
    pub(crate) fn next(&self) -> Option<Time> {
        self.due.borrow().peek().map(|Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Wake, Waker};

    use corelane::sys::Time;

    use super::Pacer;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_in_time_once_and_never_early() {
        let pacer = Pacer::default();
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let slots: Vec<u32> = (0..3).map(|_| pacer.slot()).collect();
        for (slot, count) in slots.iter().zip(&counts) {
            let waker = Waker::from(Arc::clone(count));
            let time = Time::from_nanos(100 - u64::from(*slot));
            pacer.wake_at(*slot, time, &waker);
            // Registered twice, woken once.
            pacer.wake_at(*slot, time, &waker);
        }
        let woken = || {
            counts
                .iter()
                .map(|count| count.0.load(Ordering::Relaxed))
                .collect::<Vec<_>>()
        };
        assert_eq!(pacer.next(), Some(Time::from_nanos(98)));
        pacer.fire(Time::from_nanos(97));
        assert_eq!(woken(), [0, 0, 0]);
        pacer.fire(Time::from_nanos(99));
        assert_eq!(woken(), [0, 1, 1]);
        assert_eq!(pacer.next(), Some(Time::from_nanos(100)));
        pacer.fire(Time::from_nanos(1000));
        assert_eq!(woken(), [1, 1, 1]);
        assert_eq!(pacer.next(), None);
    }
}
