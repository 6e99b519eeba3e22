//! Tasks of any lane that wait for the same event, woken in turn over the lanes.
//!
//! A [`Semaphore`](super::Semaphore) hands its permits to the tasks of a waitlist. No lane waits
//! for a lock: each waiting task has a [`Seat`] of its own, and a waker wins the seat by an
//! exchange. A release without a waiting task costs one load.
#![expect(
    clippy::disallowed_types,
    reason = "a lock that is tried and never waited for"
)]

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::{Arc, OnceLock, RwLock};
use std::task::{Context, Poll, Waker};

use crate::sys::{AtomicU8, AtomicUsize, fence};

/// The seat's task does not wait.
const IDLE: u8 = 0;
/// The task waits.
const WAITING: u8 = 1;
/// The task was chosen, and has not noticed yet.
const CHOSEN: u8 = 2;

/// The seats, in a list that only grows, so that a walk needs no lock.
#[derive(Debug, Default)]
pub(crate) struct Waitlist {
    first: OnceLock<Arc<Place>>,
    /// Tasks that wait or are about to wait: a hint for wakers.
    waiting: AtomicUsize,
    /// The seat after the last chosen seat: the first candidate of the next wake.
    turn: AtomicUsize,
}

/// A task's place in the list. A drop frees the place for a further task: accept loops come and go
/// with configurations.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Place>);

/// A place in the list. Lives as long as the list.
#[derive(Debug)]
pub(crate) struct Place {
    index: usize,
    has_owner: AtomicBool,
    state: AtomicU8,
    /// The waker of the waiting task, written when the task first waits. Only tried, never waited
    /// for: a failed try means a task without a need for the wake.
    waker: RwLock<Option<Waker>>,
    next: OnceLock<Arc<Self>>,
}

impl Deref for Seat {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.has_owner.store(false, Release);
    }
}

impl Place {
    fn new(index: usize) -> Self {
        Self {
            index,
            has_owner: AtomicBool::new(true),
            state: AtomicU8::new(IDLE),
            waker: RwLock::new(None),
            next: OnceLock::new(),
        }
    }

    /// Whether the place was free and belongs to the caller now.
    fn take(&self) -> bool {
        let taken = self
            .has_owner
            .compare_exchange(false, true, AcqRel, Relaxed)
            .is_ok();
        if taken && !self.set_waker(None) {
            // Still read for the former owner.
            self.has_owner.store(false, Release);
            return false;
        }
        taken
    }

    fn set_waker(&self, waker: Option<&Waker>) -> bool {
        let place = self.waker.try_write();
        place.map(|mut place| *place = waker.cloned()).is_ok()
    }

    /// Wakes the waiting task.
    fn wake(&self) {
        if let Ok(waker) = self.waker.try_read()
            && let Some(waker) = &*waker
        {
            waker.wake_by_ref();
        }
    }

    fn choose(&self) -> bool {
        self.state
            .compare_exchange(WAITING, CHOSEN, AcqRel, Relaxed)
            .is_ok()
    }
}

impl Waitlist {
    /// A seat for one task, for any number of waits.
    pub(crate) fn seat(&self) -> Seat {
        let (mut at, mut index) = (&self.first, 0);
        loop {
            if let Some(place) = at.get() {
                if place.take() {
                    return Seat(Arc::clone(place));
                }
                at = &place.next;
                index += 1;
                continue;
            }
            let place = Arc::new(Place::new(index));
            if at.set(Arc::clone(&place)).is_ok() {
                return Seat(place);
            }
        }
    }

    /// How many tasks wait.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether a task may wait. A release before this call is visible to every task that begins to
    /// wait after a `false`: the fences here and in [`Waitlist::wait`] are in one order.
    pub(crate) fn is_awaited(&self) -> bool {
        fence(SeqCst);
        self.waiting() > 0
    }

    /// Whether a seat waits and is not chosen.
    pub(super) fn has_unchosen(&self) -> bool {
        fence(SeqCst);
        self.seats().any(|seat| seat.state.load(Acquire) == WAITING)
    }

    /// Wakes the next waiting task in turn; `false` without a waiting task.
    pub(crate) fn wake_one(&self) -> bool {
        let turn = self.turn.load(Relaxed);
        let in_turn = self.seats().filter(|seat| seat.index >= turn);
        let then = self.seats().filter(|seat| seat.index < turn);
        let Some(chosen) = in_turn.chain(then).find(|seat| seat.choose()) else {
            return false;
        };
        self.turn.store(chosen.index + 1, Relaxed);
        chosen.wake();
        true
    }

    /// Begins to wait: from now on the task can be chosen. The caller has to check the awaited
    /// condition once more after this; see [`Waitlist::is_awaited`]. Calls `unused` if the task was
    /// chosen and dropped the wait.
    ///
    /// # Panics
    /// When the seat is another task's.
    pub(crate) async fn wait<'a, F: Fn()>(&'a self, seat: &'a Seat, unused: F) -> Wait<'a, F> {
        poll_fn(|context| {
            let waker = context.waker();
            if let Ok(known) = seat.waker.try_read()
                && let Some(known) = &*known
            {
                assert!(known.will_wake(waker), "a seat is one task's");
                return Poll::Ready(());
            }
            if seat.set_waker(Some(waker)) {
                return Poll::Ready(());
            }
            // Still read for the former owner.
            waker.wake_by_ref();
            Poll::Pending
        })
        .await;
        seat.state.swap(WAITING, AcqRel);
        self.waiting.fetch_add(1, Relaxed);
        fence(SeqCst);
        Wait {
            list: self,
            seat,
            unused,
        }
    }

    fn seats(&self) -> impl Iterator<Item = &Place> {
        let mut place = &self.first;
        std::iter::from_fn(move || {
            let seat = place.get()?;
            place = &seat.next;
            Some(&**seat)
        })
    }
}

/// A wait in progress; ends when dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a, F: Fn()> {
    list: &'a Waitlist,
    seat: &'a Seat,
    unused: F,
}

impl<F: Fn()> Wait<'_, F> {
    /// Ends when the task has been chosen; the choice is then used up.
    pub(crate) async fn chosen(&mut self) {
        poll_fn(|context| self.poll_chosen(context)).await;
    }

    fn poll_chosen(&mut self, _: &Context<'_>) -> Poll<()> {
        match self
            .seat
            .state
            .compare_exchange(CHOSEN, IDLE, AcqRel, Relaxed)
        {
            Ok(_) => Poll::Ready(()),
            Err(_) => Poll::Pending,
        }
    }
}

impl<F: Fn()> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        let was = self.seat.state.swap(IDLE, AcqRel);
        self.list.waiting.fetch_sub(1, Relaxed);
        if was == CHOSEN {
            (self.unused)();
        }
    }
}
