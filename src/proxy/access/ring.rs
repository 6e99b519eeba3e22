//! A bounded ring between a pushing thread and a popping thread. Neither waits.
//!
//! The two positions assign each slot to a side at a time. The lock of a slot is therefore free
//! whenever a side uses the slot: the lock is only the safe way to share the memory, `try_lock`
//! takes it without a system call, and a failure is a full ring.
#![expect(
    clippy::disallowed_types,
    reason = "a lock that is free whenever it is asked for"
)]

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::stats::Counter;

/// A position on separate cache lines: processors fetch two at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Position(AtomicUsize);

/// A ring with a pushing and a popping thread.
#[derive(Debug)]
pub(super) struct Ring<T> {
    slots: Box<[Mutex<Option<T>>]>,
    /// Values pushed so far; written by the pushing thread.
    pushed: Position,
    /// Values popped so far; written by the popping thread.
    popped: Position,
    /// Values without room; counted by the pushing thread.
    pub(super) dropped: Counter,
}

impl<T> Ring<T> {
    /// An empty ring. All memory is allocated here.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: (0..capacity).map(|_| Mutex::new(None)).collect(),
            pushed: Position::default(),
            popped: Position::default(),
            dropped: Counter::default(),
        }
    }

    /// Pushes a value, or drops and counts the value.
    pub(super) fn push(&self, value: T) -> bool {
        let pushed = self.pushed.0.load(Relaxed);
        let has_room = pushed.wrapping_sub(self.popped.0.load(Acquire)) < self.slots.len();
        let slot = has_room.then(|| self.slots[pushed % self.slots.len()].try_lock().ok());
        match slot.flatten() {
            Some(mut slot) => *slot = Some(value),
            None => {
                self.dropped.add(1);
                return false;
            }
        }
        self.pushed.0.store(pushed.wrapping_add(1), Release);
        true
    }

    /// Takes the oldest value.
    pub(super) fn pop(&self) -> Option<T> {
        let popped = self.popped.0.load(Relaxed);
        if popped == self.pushed.0.load(Acquire) {
            return None;
        }
        let value = self.slots[popped % self.slots.len()]
            .try_lock()
            .ok()?
            .take();
        self.popped.0.store(popped.wrapping_add(1), Release);
        value
    }

    pub(super) fn is_empty(&self) -> bool {
        self.popped.0.load(Relaxed) == self.pushed.0.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Ring;

    #[test]
    fn a_full_ring_drops_and_counts() {
        let ring = Ring::new(3);
        assert!(ring.is_empty() && ring.pop().is_none());
        for round in 0..10 {
            for value in 0..5 {
                assert_eq!(ring.push((round, value)), value < 3);
            }
            for value in 0..3 {
                assert_eq!(ring.pop(), Some((round, value)));
            }
            assert!(ring.is_empty() && ring.pop().is_none());
            assert_eq!(ring.dropped.value(), 2 * (round + 1));
        }
    }

    /// Each value arrives once, in order, unless dropped by the push.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    fn two_threads_lose_and_reorder_nothing() {
        const VALUES: u64 = 200_000;
        let ring = Arc::new(Ring::new(64));
        let to = Arc::clone(&ring);
        let pushing = std::thread::spawn(move || {
            let kept: Vec<u64> = (0..VALUES).filter(|value| to.push(*value)).collect();
            (kept, to.dropped.value())
        });
        let mut got = Vec::new();
        while !pushing.is_finished() {
            got.extend(ring.pop());
        }
        got.extend(std::iter::from_fn(|| ring.pop()));
        let (kept, dropped) = pushing.join().unwrap();
        assert_eq!(kept.len() as u64 + dropped, VALUES);
        assert_eq!(got, kept);
    }
}
