//! A lane's run queue, as in Go's P: a `next` slot, a bounded ring, an overflow list.
//!
//! Owned by one thread. Pure logic.

use std::collections::VecDeque;

/// Entries of the ring, as in Go: enough to make the overflow an exception.
const RING: usize = 256;
/// How often in a row the `next` slot may run before the ring, so that two tasks that wake each
/// other do not starve the rest.
const INHERIT_MAX: u8 = 3;

/// The entries to run, in order.
#[derive(Debug)]
pub(crate) struct RunQueue<T> {
    /// Just woken by the running entry: runs next and inherits its time slice.
    next: Option<T>,
    inherited: u8,
    ring: VecDeque<T>,
    overflow: VecDeque<T>,
}

impl<T> RunQueue<T> {
    pub(crate) fn new() -> Self {
        let ring = VecDeque::with_capacity(RING);
        Self {
            next: None,
            inherited: 0,
            ring,
            overflow: VecDeque::new(),
        }
    }

    /// Runs before all other entries; the former next entry goes to the end.
    pub(crate) fn push_next(&mut self, entry: T) {
        if let Some(before) = self.next.replace(entry) {
            self.push(before);
        }
    }

    /// Runs after all other entries.
    pub(crate) fn push(&mut self, entry: T) {
        if self.ring.len() < RING && self.overflow.is_empty() {
            self.ring.push_back(entry);
        } else {
            self.overflow.push_back(entry);
        }
    }

    /// Takes the entry to run now.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let turn_of_next = self.inherited < INHERIT_MAX || self.ring.is_empty();
        if let Some(entry) = self.next.take_if(|_| turn_of_next) {
            self.inherited = self.inherited.saturating_add(1);
            return Some(entry);
        }
        self.inherited = 0;
        let entry = self.ring.pop_front()?;
        if self.ring.is_empty() {
            let more = self.overflow.len().min(RING);
            self.ring.extend(self.overflow.drain(..more));
            if self.overflow.is_empty() && self.overflow.capacity() > 4 * RING {
                self.overflow = VecDeque::new();
            }
        }
        Some(entry)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_none() && self.ring.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.next.is_some()) + self.ring.len() + self.overflow.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{INHERIT_MAX, RING, RunQueue};

    #[test]
    fn runs_in_the_order_of_arrival_however_many() {
        let mut queue = RunQueue::new();
        let many = 3 * RING + 7;
        for entry in 0..many {
            queue.push(entry);
        }
        assert_eq!(queue.len(), many);
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert!(order.into_iter().eq(0..many));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_pushed_while_the_overflow_drains_stays_behind_it() {
        let mut queue = RunQueue::new();
        for entry in 0..RING + 2 {
            queue.push(entry);
        }
        let mut order = vec![queue.pop(), queue.pop()];
        queue.push(RING + 2);
        order.extend(std::iter::repeat_with(|| queue.pop()).take(RING + 1));
        assert!(order.into_iter().flatten().eq(0..RING + 3));
    }

    #[test]
    fn the_next_slot_goes_first_and_pushes_its_predecessor_to_the_end() {
        let mut queue = RunQueue::new();
        queue.push(1);
        queue.push_next(2);
        queue.push_next(3);
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()],
            [Some(3), Some(1), Some(2)]
        );
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn the_next_slot_inherits_only_so_often_in_a_row() {
        let mut queue = RunQueue::new();
        queue.push('r');
        let mut before_ring = 0;
        loop {
            queue.push_next('n');
            match queue.pop() {
                Some('n') => before_ring += 1,
                other => break assert_eq!(other, Some('r')),
            }
        }
        assert_eq!(before_ring, INHERIT_MAX);
        assert_eq!(queue.pop(), Some('n'), "alone it runs without limit");
    }
}
