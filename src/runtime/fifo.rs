//! Tasks of any lane that wait for room, served in the order of their arrival.
//!
//! Unlike a [`Waitlist`](super::Waitlist), the order is that of the process. No lane waits for a
//! lock: a waiting task has a ticket in an array of numbers, and a waker searches the smallest
//! ticket. At most as many tasks are called at a time as there is room, so that a task that has
//! come later is never served first. Room without a waiting task costs a load.
#![expect(
    clippy::disallowed_types,
    reason = "a lock that is tried and never waited for"
)]

use std::future::poll_fn;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::{OnceLock, RwLock};
use std::task::{Poll, Waker};

use crate::sys::{AtomicUsize, Bug, fence, seeded};

/// A place without a task.
const FREE: usize = 0;
/// A task takes the place, and has no ticket.
const TAKEN: usize = 1;
/// With a ticket: the task waits.
const WAITING: usize = 2;
/// With a ticket: the task is called.
const CALLED: usize = 3;
/// With a ticket: the task was called in vain, and passed the call on.
const PASSED: usize = 4;
/// The bits of the state, below the ticket.
const STATE: u32 = 3;
const STATE_MASK: usize = (1 << STATE) - 1;

/// Places of a chunk. Two suffice for the models, which are slow with many atomics.
const CHUNK: usize = if cfg!(loom) { 2 } else { 256 };
const CHUNKS: usize = 64;
/// The most tasks that a queue can hold.
const FIFO_MAX: usize = 256 * CHUNKS;

/// A queue of tasks.
#[derive(Debug)]
pub(crate) struct Fifo {
    /// Made on first use, in order.
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
    /// Tasks in the queue, called tasks included.
    present: AtomicUsize,
    /// Tasks that are called and have not answered.
    called: AtomicUsize,
    next_ticket: AtomicUsize,
}

#[derive(Debug)]
struct Chunk {
    /// A ticket and a state each. Apart from the wakers, so that a search reads few lines.
    tickets: [AtomicUsize; CHUNK],
    /// Only tried, never waited for: a failed try means a task without a need for the wake.
    wakers: [RwLock<Option<Waker>>; CHUNK],
}

impl Chunk {
    fn new() -> Box<Self> {
        Box::new(Self {
            tickets: std::array::from_fn(|_| AtomicUsize::new(FREE)),
            wakers: std::array::from_fn(|_| RwLock::new(None)),
        })
    }
}

impl Default for Fifo {
    fn default() -> Self {
        let queue = Self {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            present: AtomicUsize::new(0),
            called: AtomicUsize::new(0),
            next_ticket: AtomicUsize::new(0),
        };
        if cfg!(loom) {
            // Loom does not see the publication of a chunk.
            drop(queue.chunks[0].set(Chunk::new()));
            drop(queue.chunks[1].set(Chunk::new()));
        }
        queue
    }
}

/// A task's place in the queue. A drop leaves the queue; [`Fifo::call`] has to follow, since the
/// task may have been called.
#[derive(Debug)]
pub(crate) struct Turn<'q> {
    queue: &'q Fifo,
    place: usize,
}

impl Fifo {
    /// The tasks in the queue.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.present.load(Relaxed)
    }

    /// Whether a task waits. Room from before this call is visible to every task that joins after a
    /// `false`: the fences here and in [`Fifo::join`] are in one order.
    pub(crate) fn is_awaited(&self) -> bool {
        fence(SeqCst);
        self.waiting() > 0
    }

    /// Joins the queue of at most `max` tasks; `None` if the queue is full. [`Fifo::call`] has to
    /// follow, since there may be room.
    pub(crate) async fn join(&self, max: usize) -> Option<Turn<'_>> {
        let max = max.min(FIFO_MAX);
        let room = |present: usize| (present < max).then_some(present + 1);
        self.present.fetch_update(AcqRel, Relaxed, room).ok()?;
        let place = poll_fn(|context| Poll::Ready(self.take_place(context.waker()))).await;
        let ticket = self.next_ticket.fetch_add(1, AcqRel);
        self.ticket(place).store(ticket << STATE | WAITING, Release);
        fence(SeqCst);
        Some(Turn { queue: self, place })
    }

    /// Calls tasks, the oldest first, as long as fewer are called than there is room for.
    pub(crate) fn call(&self, room: impl Fn() -> usize) {
        while self.is_awaited() {
            let room = room();
            let may_call = |called: usize| (called < room).then_some(called + 1);
            if seeded(Bug::QueueForgotten)
                || self.called.fetch_update(AcqRel, Relaxed, may_call).is_err()
            {
                return;
            }
            if self.call_oldest() {
                continue;
            }
            self.called.fetch_sub(1, AcqRel);
            // A task may have joined after the search, and found the call taken.
            if !self.has_uncalled() {
                return;
            }
        }
    }

    /// As [`Fifo::call`], after room has come: tasks that passed a call on may be called again.
    pub(crate) fn call_for_new_room(&self, room: impl Fn() -> usize) {
        if self.is_awaited() {
            self.tickets().for_each(|(_, ticket)| self.recall(ticket));
            self.call(room);
        }
    }

    fn recall(&self, ticket: &AtomicUsize) {
        let seen = ticket.load(Acquire);
        if seen & STATE_MASK == PASSED {
            let waiting = seen & !STATE_MASK | WAITING;
            // Otherwise the task has left.
            let _left = ticket.compare_exchange(seen, waiting, AcqRel, Relaxed);
        }
    }

    /// Gives a call to the next oldest task, without asking for room.
    fn hand_on(&self) {
        while !self.call_oldest() {
            self.called.fetch_sub(1, AcqRel);
            if !self.has_uncalled() {
                return;
            }
            // A task has joined after the search, and found the call taken.
            self.called.fetch_add(1, AcqRel);
        }
    }

    /// Takes a free place. `present` says that there is one, now or in a moment.
    fn take_place(&self, waker: &Waker) -> usize {
        loop {
            for (number, chunk) in self.chunks.iter().enumerate() {
                let chunk = chunk.get_or_init(Chunk::new);
                for (at, ticket) in chunk.tickets.iter().enumerate() {
                    let is_free = ticket.load(Relaxed) == FREE
                        && ticket
                            .compare_exchange(FREE, TAKEN, AcqRel, Relaxed)
                            .is_ok();
                    if !is_free {
                        continue;
                    }
                    // Else still read for the former task.
                    if let Ok(mut place) = chunk.wakers[at].try_write() {
                        *place = Some(waker.clone());
                        return number * CHUNK + at;
                    }
                    ticket.store(FREE, Release);
                }
            }
        }
    }

    fn call_oldest(&self) -> bool {
        loop {
            let waiting = self.tickets().filter_map(|(place, ticket)| {
                let seen = ticket.load(Acquire);
                (seen & STATE_MASK == WAITING).then_some((seen, place, ticket))
            });
            let oldest = match seeded(Bug::QueueReversed) {
                true => waiting.max_by_key(|(seen, ..)| *seen),
                false => waiting.min_by_key(|(seen, ..)| *seen),
            };
            let Some((seen, place, ticket)) = oldest else {
                return false;
            };
            let called = seen & !STATE_MASK | CALLED;
            if ticket
                .compare_exchange(seen, called, AcqRel, Relaxed)
                .is_ok()
            {
                self.wake(place);
                return true;
            }
        }
    }

    fn has_uncalled(&self) -> bool {
        fence(SeqCst);
        self.tickets()
            .any(|(_, ticket)| ticket.load(Acquire) & STATE_MASK == WAITING)
    }

    /// Whether a task waits uncalled although there is room for it.
    #[cfg(feature = "sim")]
    pub(crate) fn has_forgotten(&self, room: usize) -> bool {
        self.called.load(Acquire) < room && self.has_uncalled()
    }

    fn wake(&self, place: usize) {
        let waker = &self.chunk(place).wakers[place % CHUNK];
        if let Ok(waker) = waker.try_read()
            && let Some(waker) = &*waker
        {
            waker.wake_by_ref();
        }
    }

    fn tickets(&self) -> impl Iterator<Item = (usize, &AtomicUsize)> {
        let made = self.chunks.iter().map_while(OnceLock::get);
        made.flat_map(|chunk| &chunk.tickets).enumerate()
    }

    fn chunk(&self, place: usize) -> &Chunk {
        let chunk = self.chunks[place / CHUNK].get();
        chunk.expect("made when the place was taken")
    }

    fn ticket(&self, place: usize) -> &AtomicUsize {
        &self.chunk(place).tickets[place % CHUNK]
    }
}

impl Turn<'_> {
    /// Ends when the task is called.
    pub(crate) async fn called(&self) {
        poll_fn(
            |_| match self.queue.ticket(self.place).load(Acquire) & STATE_MASK {
                CALLED => Poll::Ready(()),
                _ => Poll::Pending,
            },
        )
        .await;
    }

    /// Passes the call on to the next oldest task, and waits with the same ticket: the room is not
    /// for this task, or is taken. If there is room after this, [`Turn::wait_again`] has to follow.
    pub(crate) fn pass_on(&self) {
        let ticket = self.queue.ticket(self.place);
        let called = ticket.load(Acquire);
        ticket.store(called & !STATE_MASK | PASSED, Release);
        self.queue.hand_on();
    }

    /// Gives the call to an older task that waits again since this task was called; returns whether
    /// there is such a task. This task waits to be called again.
    pub(crate) fn give_way(&self) -> bool {
        let own = self.queue.ticket(self.place);
        let called = own.load(Acquire);
        let is_older = |(_, ticket): (usize, &AtomicUsize)| {
            let seen = ticket.load(Acquire);
            seen & STATE_MASK == WAITING && seen < called
        };
        let gives_way = !seeded(Bug::QueueReversed) && self.queue.tickets().any(is_older);
        if gives_way {
            own.store(called & !STATE_MASK | WAITING, Release);
            self.queue.hand_on();
        }
        gives_way
    }

    /// Waits to be called for room, after the call was passed on. [`Fifo::call`] has to follow.
    pub(crate) fn wait_again(&self) {
        self.queue.recall(self.queue.ticket(self.place));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let was = self.queue.ticket(self.place).swap(FREE, AcqRel);
        self.queue.present.fetch_sub(1, AcqRel);
        if was & STATE_MASK == CALLED {
            self.queue.called.fetch_sub(1, AcqRel);
        }
        fence(SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;
    use std::task::{Context, Poll, Wake, Waker};

    use super::{Fifo, Turn};

    struct Silent;

    impl Wake for Silent {
        fn wake(self: Arc<Self>) {}
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(&Waker::from(Arc::new(Silent))))
    }

    fn join(queue: &Fifo, max: usize) -> Option<Turn<'_>> {
        match poll(queue.join(max)) {
            Poll::Ready(turn) => turn,
            Poll::Pending => panic!("a place is there at once"),
        }
    }

    fn called(turns: &[Option<Turn<'_>>]) -> Vec<usize> {
        let is_called = |turn: &Turn<'_>| poll(turn.called()).is_ready();
        let called = turns.iter().enumerate();
        let called = called.filter(|(_, turn)| turn.as_ref().is_some_and(is_called));
        called.map(|(at, _)| at).collect()
    }

    #[test]
    fn tasks_are_called_in_order_and_as_many_as_there_is_room_for() {
        let queue = Fifo::default();
        let mut turns: Vec<_> = (0..600).map(|_| join(&queue, 600)).collect();
        assert!(join(&queue, 600).is_none(), "full");
        queue.call(|| 0);
        assert_eq!(called(&turns), [0_usize; 0]);
        queue.call(|| 2);
        queue.call(|| 2);
        assert_eq!(called(&turns), [0, 1]);
        // Task 1 is served; task 0 found no room and is the oldest as before.
        turns[0].as_ref().unwrap().pass_on();
        assert_eq!(called(&turns), [1, 2]);
        turns[1] = None;
        queue.call(|| 2);
        assert_eq!(called(&turns), [2, 3]);
        queue.call_for_new_room(|| 2);
        assert_eq!(called(&turns), [2, 3], "no more than there is room for");
        // Task 0 waits again and is the oldest.
        assert!(turns[3].as_ref().unwrap().give_way());
        assert_eq!(called(&turns), [0, 2]);
        assert!(!turns[2].as_ref().unwrap().give_way());
        queue.call(|| 3);
        assert_eq!(called(&turns), [0, 2, 3]);
        turns[3] = None;
        // Tasks 0 and 2 leave; a new task is the last, wherever its place.
        turns[0] = None;
        turns[2] = None;
        turns[0] = join(&queue, 600);
        queue.call(|| 1);
        assert_eq!(called(&turns), [4]);
        queue.call(|| 596);
        assert!(!called(&turns).contains(&0));
        queue.call(|| 597);
        assert!(called(&turns).contains(&0));
        drop(turns);
        assert_eq!((queue.waiting(), queue.called.load(SeqCst)), (0, 0));
    }

    /// Threads hold one of two rooms for a moment each; a lost call would never end.
    #[test]
    fn racing_threads_are_all_served_and_never_too_many() {
        let (queue, taken) = (Fifo::default(), AtomicUsize::new(0));
        let room = || 2_usize.saturating_sub(taken.load(SeqCst));
        let take = || {
            let room = |taken: usize| (taken < 2).then_some(taken + 1);
            taken.fetch_update(SeqCst, SeqCst, room).is_ok()
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3_000 {
                        let turn = join(&queue, 4).expect("four tasks");
                        queue.call(room);
                        loop {
                            while poll(turn.called()).is_pending() {
                                std::thread::yield_now();
                            }
                            if take() {
                                break;
                            }
                            turn.pass_on();
                            if room() > 0 {
                                turn.wait_again();
                                queue.call(room);
                            }
                        }
                        drop(turn);
                        queue.call(room);
                        assert!(taken.fetch_sub(1, SeqCst) <= 2);
                        queue.call_for_new_room(room);
                    }
                });
            }
        });
        assert_eq!((queue.waiting(), taken.load(SeqCst)), (0, 0));
    }
}
