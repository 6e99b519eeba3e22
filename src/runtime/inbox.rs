//! Messages from foreign threads to a lane: a bounded ring with a spill list, and the handshake
//! that wakes a sleeping lane once per sleep.
//!
//! Sending never blocks and never fails: with a full ring a message goes to the linked spill list.
//! Spilled messages of one sender may overtake each other. After the receiver's end the sender
//! drops its own message: a message may refer to the inbox, and would keep the inbox alive for
//! ever.
#![expect(unsafe_code, reason = "messages change hands as raw pointers")]

use std::collections::VecDeque;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::sys::{AtomicPtr, AtomicU8, AtomicUsize, fence};

/// The lane runs, or will check the inbox before sleeping.
const AWAKE: u8 = 0;
/// The lane sleeps, or is about to sleep without a further check.
const ASLEEP: u8 = 1;
/// The lane sleeps and a sender is waking it.
const WOKEN: u8 = 2;
/// The lane has ended.
const CLOSED: u8 = 3;

#[derive(Debug)]
struct Shared<T> {
    /// Boxed messages; null in an empty slot.
    ring: Box<[AtomicPtr<T>]>,
    /// Tickets taken by senders.
    tail: AtomicUsize,
    /// Tickets whose messages were received.
    head: AtomicUsize,
    /// Messages without room in the ring, last first.
    spill: AtomicPtr<Spilled<T>>,
    state: AtomicU8,
}

#[derive(Debug)]
struct Spilled<T> {
    message: T,
    next: *mut Self,
}

// SAFETY: messages only pass through, and the owner of the pointer moves them.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above; all shared fields are atomic.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The sending side; any thread.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The receiving side; the lane.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// Messages of the spill list, in order.
    spilled: VecDeque<T>,
}

/// An inbox whose ring holds `capacity` messages.
pub(crate) fn inbox<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        ring: (0..capacity)
            .map(|_| AtomicPtr::new(ptr::null_mut()))
            .collect(),
        tail: AtomicUsize::new(0),
        head: AtomicUsize::new(0),
        spill: AtomicPtr::new(ptr::null_mut()),
        state: AtomicU8::new(AWAKE),
    });
    (
        Sender(Arc::clone(&shared)),
        Receiver {
            shared,
            spilled: VecDeque::new(),
        },
    )
}

impl<T: Send> Sender<T> {
    /// Sends a message. Returns whether the lane sleeps and this caller alone must wake the lane.
    #[must_use = "a sleeping lane does not see the message"]
    pub(crate) fn send(&self, message: T) -> bool {
        let shared = &*self.0;
        let ticket = shared.ticket();
        match ticket {
            Some(ticket) => {
                // All writes of a slot are swaps: loom's memory model does not let a swap see an
                // unordered plain store.
                let message = Box::into_raw(Box::new(message));
                let before = shared.slot(ticket).swap(message, AcqRel);
                debug_assert!(before.is_null(), "a ticket's slot is empty");
            }
            None => shared.spill(message),
        }
        // Either this load sees the sleeping state, or the lane's last check sees the message: the
        // two fences, here and in `fall_asleep`, have one order. The same holds for an ended lane.
        fence(SeqCst);
        match shared.state.load(Relaxed) {
            ASLEEP => shared
                .state
                .compare_exchange(ASLEEP, WOKEN, AcqRel, Relaxed)
                .is_ok(),
            CLOSED => {
                shared.take_back(ticket);
                false
            }
            _ => false,
        }
    }
}

impl<T> Shared<T> {
    /// A slot of the ring, if one is free.
    fn ticket(&self) -> Option<usize> {
        let mut tail = self.tail.load(Relaxed);
        loop {
            // Acquire: the receiver's removal from the slot happens before this thread's store.
            if tail.wrapping_sub(self.head.load(Acquire)) >= self.ring.len() {
                return None;
            }
            match self
                .tail
                .compare_exchange_weak(tail, tail.wrapping_add(1), Relaxed, Relaxed)
            {
                Ok(_) => return Some(tail),
                Err(now) => tail = now,
            }
        }
    }

    fn slot(&self, ticket: usize) -> &AtomicPtr<T> {
        &self.ring[ticket % self.ring.len()]
    }

    /// Drops messages without a receiver: a ticket's message, or the whole spill list. Any number
    /// of threads may call this: the thread that swaps a pointer out owns the message.
    fn take_back(&self, ticket: Option<usize>) {
        if let Some(ticket) = ticket {
            // Loaded first, as in `receive`: only an existing message is swapped out.
            if self.slot(ticket).load(Acquire).is_null() {
                return;
            }
            let message = self.slot(ticket).swap(ptr::null_mut(), AcqRel);
            if !message.is_null() {
                // SAFETY: boxed by a sender; this thread's swap made the message its own.
                drop(unsafe { Box::from_raw(message) });
            }
            return;
        }
        if self.spill.load(Acquire).is_null() {
            return;
        }
        let mut node = self.spill.swap(ptr::null_mut(), AcqRel);
        while !node.is_null() {
            // SAFETY: boxed by a sender; this thread's swap made the whole list its own.
            let spilled = unsafe { Box::from_raw(node) };
            node = spilled.next;
        }
    }

    fn spill(&self, message: T) {
        let node = Box::into_raw(Box::new(Spilled {
            message,
            next: ptr::null_mut(),
        }));
        let mut head = self.spill.load(Relaxed);
        loop {
            // SAFETY: this thread owns the node until the exchange succeeds.
            unsafe { (*node).next = head };
            match self
                .spill
                .compare_exchange_weak(head, node, Release, Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

impl<T> Receiver<T> {
    /// Takes a message. `None` may miss a message being sent, whose sender will wake the lane.
    pub(crate) fn receive(&mut self) -> Option<T> {
        let shared = &*self.shared;
        let head = shared.head.load(Relaxed);
        // A load first: an idle inbox costs no locked instruction.
        let message = shared.slot(head).load(Acquire);
        if !message.is_null() {
            // The receiver owns the slot until the head moves.
            shared.slot(head).swap(ptr::null_mut(), AcqRel);
            shared.head.store(head.wrapping_add(1), Release);
            // SAFETY: the sender boxed the message and passed ownership with the store just seen.
            return Some(*unsafe { Box::from_raw(message) });
        }
        if self.spilled.is_empty() && !shared.spill.load(Relaxed).is_null() {
            let mut node = shared.spill.swap(ptr::null_mut(), AcqRel);
            while !node.is_null() {
                // SAFETY: a sender boxed the node; the swap made the whole list the receiver's.
                let spilled = *unsafe { Box::from_raw(node) };
                self.spilled.push_front(spilled.message);
                node = spilled.next;
            }
        }
        self.spilled.pop_front()
    }

    /// Announces sleep. `false`: there is a message, stay awake.
    pub(crate) fn fall_asleep(&mut self) -> bool {
        self.shared.state.store(ASLEEP, Relaxed);
        fence(SeqCst);
        if self.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Ends the sleep.
    pub(crate) fn wake_up(&mut self) {
        // A swap, as with the slots: a plain store would overwrite a sender's earlier exchange, in
        // an order unknown to loom.
        if self.shared.state.load(Relaxed) != AWAKE {
            self.shared.state.swap(AWAKE, Relaxed);
        }
    }

    fn is_empty(&self) -> bool {
        let shared = &*self.shared;
        let head = shared.head.load(Relaxed);
        self.spilled.is_empty()
            && shared.slot(head).load(Acquire).is_null()
            && shared.spill.load(Acquire).is_null()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.state.swap(CLOSED, Relaxed);
        fence(SeqCst);
        // A sender whose message arrives after this check sees the closed state.
        for slot in 0..self.shared.ring.len() {
            self.shared.take_back(Some(slot));
        }
        self.shared.take_back(None);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::inbox;

    #[test]
    fn nothing_is_lost_beyond_the_ring() {
        let (sender, mut receiver) = inbox(4);
        for message in 0..10 {
            assert!(!sender.send(message), "an awake lane needs no waking");
        }
        let mut all: Vec<i32> = std::iter::from_fn(|| receiver.receive()).collect();
        assert_eq!(all[..4], [0, 1, 2, 3], "the ring keeps the order");
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10));
    }

    #[test]
    fn one_sender_wakes_a_sleeper_and_only_once() {
        let (sender, mut receiver) = inbox(4);
        assert!(receiver.fall_asleep());
        assert!(sender.send(1));
        assert!(!sender.send(2), "it is being woken already");
        assert!(!receiver.fall_asleep(), "there are messages");
        assert!(!sender.send(3), "it has stayed awake");
        assert!((1..=3).all(|message| receiver.receive() == Some(message)));
        assert!(receiver.fall_asleep());
        receiver.wake_up();
        assert!(!sender.send(4), "it is awake");
    }

    #[test]
    fn what_nobody_took_is_freed() {
        let token = Arc::new(());
        let (sender, receiver) = inbox(2);
        for _ in 0..5 {
            _ = sender.send(Arc::clone(&token));
        }
        drop((sender, receiver));
        assert_eq!(Arc::strong_count(&token), 1);
    }

    #[test]
    fn many_senders_at_once() {
        let (sender, mut receiver) = inbox(8);
        let threads: Vec<_> = (0..4_u64)
            .map(|of| {
                let sender = sender.clone();
                spawn(move || (0..10_000).for_each(|n| _ = sender.send((of << 32) | n)))
            })
            .collect();
        let mut got = Vec::new();
        while got.len() < 40_000 {
            match receiver.receive() {
                Some(message) => got.push(message),
                None => thread::yield_now(),
            }
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), 40_000);
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own threads")]
    fn spawn(f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        thread::spawn(f)
    }
}

/// Every interleaving of small cases. Run with `--cfg loom`, as `.ci/run` does.
#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use loom::cell::Cell;
    use loom::sync::Notify;
    use loom::thread;

    use super::inbox;
    use crate::runtime::loom_rig::bounded;

    /// A lane that sleeps whenever the inbox is empty gets every message, with at most one wake per
    /// sleep. A message is a cell: loom notices a read that races with the write.
    fn receive_all(capacity: usize, senders: usize, each: usize) {
        bounded(move || {
            let (sender, mut receiver) = inbox(capacity);
            let notifier = Arc::new(Notify::new());
            let wakes = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..senders)
                .map(|_| {
                    let (sender, notifier) = (sender.clone(), Arc::clone(&notifier));
                    let wakes = Arc::clone(&wakes);
                    thread::spawn(move || {
                        for _ in 0..each {
                            if sender.send(Cell::new(1)) {
                                wakes.fetch_add(1, Relaxed);
                                notifier.notify();
                            }
                        }
                    })
                })
                .collect();
            let (mut got, mut sleeps) = (0, 0);
            while got < senders * each {
                if let Some(message) = receiver.receive() {
                    got += message.get();
                    continue;
                }
                sleeps += 1;
                if receiver.fall_asleep() {
                    notifier.wait();
                    receiver.wake_up();
                }
            }
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            let wakes = wakes.load(Relaxed);
            assert!(wakes <= sleeps, "{wakes} wakes for {sleeps} sleeps");
        });
    }

    #[test]
    fn loom_no_wake_is_lost_with_one_sender() {
        receive_all(2, 1, 2);
    }

    #[test]
    fn loom_no_wake_is_lost_with_two_senders() {
        receive_all(2, 2, 1);
    }

    #[test]
    fn loom_no_message_is_lost_when_the_ring_spills() {
        receive_all(1, 2, 1);
    }

    #[test]
    fn loom_no_message_is_lost_when_several_spill() {
        receive_all(1, 1, 3);
    }

    /// A timer or a socket may end a sleep while a sender is about to wake the lane. The late
    /// signal ends a later sleep, and must not replace the later sleep's own wake.
    #[test]
    fn loom_a_sleep_that_ends_by_itself_loses_no_wake() {
        bounded(|| {
            let (sender, mut receiver) = inbox(2);
            let notifier = Arc::new(Notify::new());
            let woken = Arc::clone(&notifier);
            let thread = thread::spawn(move || {
                for message in 0..2 {
                    if sender.send(message) {
                        woken.notify();
                    }
                }
            });
            let (mut got, mut sleeps) = (0, 0);
            while got < 2 {
                if receiver.receive().is_some() {
                    got += 1;
                } else if receiver.fall_asleep() {
                    sleeps += 1;
                    if sleeps != 1 {
                        notifier.wait();
                    }
                    receiver.wake_up();
                }
            }
            thread.join().unwrap();
        });
    }

    /// Each message is dropped once, though senders continue while the lane ends.
    #[test]
    fn loom_nothing_stays_in_an_inbox_that_nobody_reads() {
        bounded(|| {
            let token = Arc::new(());
            let (sender, mut receiver) = inbox(1);
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (sender, token) = (sender.clone(), Arc::clone(&token));
                    thread::spawn(move || _ = sender.send(token))
                })
                .collect();
            drop(receiver.receive());
            drop(receiver);
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            // The sender still holds the inbox.
            assert_eq!(Arc::strong_count(&token), 1);
            drop(sender);
        });
    }
}
