//! Waiting for the first of two futures, for both, and for a one-time event.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Poll, Waker};

/// A latch of one lane. Closed at first; once open, open for good. Opening wakes all waiting tasks.
#[derive(Debug, Default)]
pub struct Latch {
    open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Latch {
    /// Opens the latch for present and later tasks.
    pub fn open(&self) {
        self.open.set(true);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Whether the latch is open.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Ends once the latch is open. Keep a single such future and poll it again: each waiting
    /// future is stored until the latch opens.
    pub async fn pass(&self) {
        let mut place: Option<usize> = None;
        poll_fn(|context| {
            if self.open.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            match place {
                Some(place) => waiting[place].clone_from(context.waker()),
                None => {
                    place = Some(waiting.len());
                    waiting.push(context.waker().clone());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

/// Waits until both futures have succeeded, or one has failed.
///
/// Takes pinned futures, as [`either`] does.
///
/// # Errors
/// The first error.
pub fn both<A, B, E>(mut first: A, mut second: B) -> impl Future<Output = Result<(), E>>
where
    A: Future<Output = Result<(), E>> + Unpin,
    B: Future<Output = Result<(), E>> + Unpin,
{
    let (mut first_ended, mut second_ended) = (false, false);
    poll_fn(move |context| {
        if !first_ended {
            match Pin::new(&mut first).poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                polled => first_ended = polled.is_ready(),
            }
        }
        if !second_ended {
            match Pin::new(&mut second).poll(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                polled => second_ended = polled.is_ready(),
            }
        }
        if first_ended && second_ended {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
}

/// The first of two futures to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Waits for the first of two futures to end; if both have ended, the first argument counts.
///
/// Takes pinned futures (`pin!`), so that a task stores each future once: an `async fn` would store
/// an argument in addition to the polled future.
pub fn either<A, B>(
    mut first: A,
    mut second: B,
) -> impl Future<Output = Either<A::Output, B::Output>>
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    poll_fn(move |context| {
        if let Poll::Ready(output) = Pin::new(&mut first).poll(context) {
            return Poll::Ready(Either::First(output));
        }
        Pin::new(&mut second).poll(context).map(Either::Second)
    })
}
